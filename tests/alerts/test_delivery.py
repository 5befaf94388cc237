"""Outcomes of a try, as a table."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.channels.http import retry_after
from apps.alerts.delivery import Tried, after, outcome_of_status, page_deadline, wait_s

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def tried(attempts=1, age_s=0, life_s=300, **facts):
    created = NOW - timedelta(seconds=age_s)
    return Tried(attempts, created, created + timedelta(seconds=life_s), **facts)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "sent"), (204, "sent"), (408, "transient"), (425, "transient"), (429, "transient"),
     (500, "transient"),
     (503, "transient"), (401, "permanent"), (403, "permanent"), (404, "permanent"), (410, "permanent"),
     (301, "permanent"), (307, "permanent"), (400, "bad_message"), (422, "bad_message")],
)  # fmt: skip
def test_a_status_has_its_class(status, outcome):
    assert outcome_of_status(status) == outcome


@pytest.mark.parametrize(
    ("outcome", "page", "state", "fail_over", "broken"),
    [
        ("sent", tried(), "sent", False, False),
        ("permanent", tried(), "failed", True, True),
        ("bad_message", tried(), "pending", False, False),
        ("bad_message", tried(plain=True), "failed", True, False),
        ("transient", tried(), "pending", False, False),
        ("ambiguous", tried(), "pending", False, False),
        ("transient", tried(age_s=61), "pending", True, False),
        ("transient", tried(age_s=61, pages=False, life_s=3600), "pending", False, False),
        ("transient", tried(age_s=300), "failed", True, False),
    ],
)
def test_what_follows_from_an_outcome(outcome, page, state, fail_over, broken):
    found = after(outcome, page, None, NOW, 0.5)
    assert (found.state, found.fail_over, found.broken) == (state, fail_over, broken)


def test_the_last_try_comes_at_the_deadline_not_after_it():
    found = after("transient", tried(attempts=9, age_s=290), None, NOW, 0.99)
    assert (found.state, found.next_try_at) == ("pending", NOW + timedelta(seconds=10))


@given(
    st.integers(1, 60_000), st.one_of(st.none(), st.integers(-5, 10**9)), st.floats(0, 0.999), st.booleans()
)
def test_waits_are_bounded_and_a_larger_retry_after_wins(attempts, asked, roll, pages):
    wait = wait_s(tried(attempts, pages=pages), asked, roll)
    assert 0.5 <= wait <= max(60 if pages else 300, min(asked or 0, 900), 1)
    if asked is not None:
        assert wait >= min(max(asked, 1), 900)


def test_retry_after_is_seconds_or_a_date():
    soon = datetime.now(UTC) + timedelta(seconds=90)
    assert retry_after("30") == 30
    assert 80 <= retry_after(format_datetime(soon, usegmt=True)) <= 90
    assert retry_after(format_datetime(soon - timedelta(days=1), usegmt=True)) == 0
    assert [retry_after(text) for text in ("", "soon", "-5", "٣")] == [None, None, None, 3]


def test_a_page_lives_until_the_next_step_and_five_minutes_at_least():
    assert page_deadline(NOW, NOW + timedelta(seconds=10)) == NOW + timedelta(seconds=300)
    assert page_deadline(NOW, NOW + timedelta(seconds=900)) == NOW + timedelta(seconds=900)
