"""Quotas as arithmetic."""

from datetime import UTC, date, datetime

import pytest

from apps.ingest.quotas import Ends, of, spent

TODAY = date(2026, 12, 31)


def test_only_limits_that_are_set_are_quotas():
    assert of(Ends(), Ends(), (1, 2, 3, 4), TODAY) == []
    assert not Ends()
    assert Ends(per_month=0)
    shown = of(Ends(10, 100), Ends(1000, 10_000), (1, 2, 3, 4), TODAY)
    assert [(q.limit, q.used, q.scope) for q in shown] == [
        (10, 1, "project"), (100, 2, "project"), (1000, 3, "organization"), (10_000, 4, "organization"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("today", "day_ends", "month_ends"),
    [
        (date(2026, 12, 31), datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (date(2028, 2, 28), datetime(2028, 2, 29, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        (date(2026, 1, 1), datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
    ],
)
def test_days_and_months_end_at_midnight_of_utc(today, day_ends, month_ends):
    day, month = of(Ends(1, 1), Ends(), (0, 0, 0, 0), today)
    assert (day.resets_at, month.resets_at) == (day_ends, month_ends)


def test_a_quota_is_spent_at_its_limit_and_the_longest_decides():
    assert spent(of(Ends(10, 100), Ends(), (9, 99, 0, 0), TODAY)) is None
    both = of(Ends(10, 100), Ends(), (10, 100, 0, 0), date(2026, 12, 5))
    assert spent(both).label == "Events this month"
    assert spent(of(Ends(10, 100), Ends(), (10, 50, 0, 0), date(2026, 12, 5))).label == "Events today"
    assert spent(of(Ends(0), Ends(), (0, 0, 0, 0), TODAY)).limit == 0
