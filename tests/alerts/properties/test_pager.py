"""Whatever happens in whatever order, the pager keeps its promises: histories made by Hypothesis, real database."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.alerts.properties.machine import Pager
from tests.fuzz import CI

pytestmark = pytest.mark.django_db(transaction=True)
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
FEW = settings(
    max_examples=250 if CI else 12, stateful_step_count=50, deadline=None, suppress_health_check=QUIET
)


def test_no_history_of_triggers_acts_crashes_clocks_and_edits_breaks_a_promise():
    run_state_machine_as_test(Pager, settings=FEW)
