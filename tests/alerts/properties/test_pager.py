"""Whatever happens in whatever order, the pager keeps its promises: histories made by Hypothesis, real database."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.alerts.properties.faults import FAULTS, planted
from tests.alerts.properties.machine import Pager
from tests.alerts.properties.world import Broken, found
from tests.fuzz import CI

pytestmark = pytest.mark.django_db(transaction=True)
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
HISTORIES = settings(
    max_examples=120 if CI else 8, stateful_step_count=50, deadline=None, suppress_health_check=QUIET
)
# The same histories each time, and the first one that shows the fault is enough.
UNTIL_FOUND = settings(
    HISTORIES, max_examples=80, stateful_step_count=30, derandomize=True, database=None, phases=[Phase.generate],
    report_multiple_bugs=False, print_blob=False,
)  # fmt: skip
KNOWN = [
    "a claim that looks before it writes", "no look at the alert when sending", "marked as sent before sending",
    "an expired deadline is a failure", "a burst to catch up",
]  # fmt: skip


def test_no_history_of_triggers_acts_crashes_clocks_and_edits_breaks_a_promise():
    run_state_machine_as_test(Pager, settings=HISTORIES)


@pytest.mark.parametrize("fault", list(FAULTS) if CI else KNOWN)
def test_the_model_catches(fault, monkeypatch):
    found.clear()
    with planted(monkeypatch, fault), pytest.raises((Broken, Flaky)):
        run_state_machine_as_test(Pager, settings=UNTIL_FOUND)
    assert found[0] in FAULTS[fault][3]
