"""Each analysis against what was stored: exact counts, honest denominators, no data said aloud."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core import distinct
from apps.core.spans import by_days
from apps.errors.models import ErrorGroup, HitUserDay
from apps.projects.services import ensure_component
from apps.reports.analytics.block import registry
from apps.reports.analytics.blocks import ORDER
from tests.reports.analytics.make import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    answer,
    make_active,
    make_errors,
    make_project,
    make_requests,
    make_scope,
    make_tracked,
    rows,
    user_hash,
)

pytestmark = pytest.mark.django_db
EVERY = sorted(registry)


def test_there_are_the_analyses_that_were_promised():
    assert set(EVERY) == {
        "errors-over-time", "user-impact", "top-errors", "failure-rate", "feed", "event-errors", "feature-adoption",
        "trial-conversion", "slowest-endpoints", "ai-timeouts", "session-failures", "rate-limited", "email-failures",
        "data-consistency", "cache-hit-rate", "slow-endpoints", "unused-features",
    }  # fmt: skip
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("name", EVERY)
def test_nothing_stored_is_an_empty_answer_with_words_of_what_will_appear(name):
    assert answer(name).rows == []
    assert all(registry[name].empty)
    assert registry[name].how.endswith(".")


@pytest.mark.parametrize("name", EVERY)
def test_every_row_has_every_column(name):
    project = make_project()
    make_errors(project, 3, route="/pay", who="alice")
    make_requests(project, 30, failed=3, duration_ms=1500.0)
    make_tracked(project, "feature_used", subject="export", who="bob")
    make_tracked(project, "feature_used", subject="print", age_s=20 * DAY)
    make_tracked(project, "trial_conversion", subject="team", outcome="converted")
    make_tracked(project, "ai_failure", subject="ai", provider="north", reason="timeout", outcome="none")
    make_tracked(project, "cache_performance", subject="feed", outcome="hit")
    for event in ("session_stabilization_failure", "formspree_failure", "data_consistency_error"):
        make_tracked(project, event, reason="why")
    make_tracked(project, "beta_register_rate_limited", subject="ab" * 16)
    columns = {column.name for column in registry[name].columns}
    found = answer(name).rows
    assert found
    assert all(columns <= row.keys() for row in found)


# --- Errors over time ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["1h", "24h", "7d", "30d"])
def test_columns_add_up_to_all_errors_of_the_range_and_to_no_others(name):
    project = make_project()
    ages = [0, 50 * MINUTE, 23 * HOUR, 6 * DAY, 29 * DAY, 40 * DAY]
    for number, age_s in enumerate(ages):
        make_errors(project, 2, first=10 * number, age_s=age_s)
    inside = {"1h": 4, "24h": 6, "7d": 8, "30d": 10}[name]
    found = answer("errors-over-time", range=name)
    assert sum(row["errors"] for row in found.rows) == sum(row["major"] for row in found.rows) == inside
    assert found.figures[0].value == inside
    assert len(found.chart.labels) == len(found.rows) <= 80


def test_a_filter_leaves_other_components_out_everywhere():
    shop, desk = make_project(), make_project("Desk")
    make_errors(shop, 3, route="/pay", who="alice")
    make_errors(shop, 2, first=10, route="/sync", component_name="Payments", kind="Other", who="bob")
    make_errors(desk, 4, first=20, route="/pay", who="carol")
    for of, n, users in (("shop", 5, 2), ("shop/payments", 2, 1), ("desk/journal", 4, 1), ("", 9, 3)):
        given = {"of": of} if of else {}
        assert sum(row["errors"] for row in answer("errors-over-time", **given).rows) == n
        assert sum(row["events"] for row in answer("top-errors", **given).rows) == n
        assert len(answer("feed", **given).rows) == n
        assert sum(row["errors"] for row in answer("failure-rate", **given).rows) == n
        assert sum(row["errors"] for row in answer("failure-rate", range="1h", **given).rows) == n
        assert answer("user-impact", **given).rows[0]["users_hit"] == users


# --- Top errors ---------------------------------------------------------------------------------------------------
def test_the_most_frequent_groups_come_first_with_what_they_had_before():
    project = make_project()
    make_errors(project, 2, kind="Rare")
    make_errors(project, 5, first=10, kind="Often")
    make_errors(project, 7, first=20, kind="Often", age_s=30 * HOUR)
    make_errors(project, 90, first=100, kind="Rare", age_s=80 * HOUR)
    found = [(row["title"].split(":")[0], row["events"], row["before"]) for row in answer("top-errors").rows]
    assert found == [("Often", 5, 7), ("Rare", 2, 0)]


def test_a_new_group_and_one_that_came_back_are_marked():
    project = make_project()
    make_errors(project, 1, kind="New")
    make_errors(project, 1, first=10, kind="Old")
    make_errors(project, 1, first=20, kind="Old", age_s=40 * HOUR)
    make_errors(project, 1, first=30, kind="Back")
    make_errors(project, 1, first=40, kind="Back", age_s=40 * HOUR)
    ErrorGroup.objects.filter(title__startswith="Back").update(regressed_at=NOW - timedelta(hours=1))
    marks = {row["title"].split(":")[0]: row["mark"] for row in answer("top-errors").rows}
    assert marks == {"New": "new", "Old": "", "Back": "regressed"}


@pytest.mark.parametrize("name", ["24h", "7d", "30d"])
def test_the_spark_line_adds_up_to_the_events_of_the_range(name):
    project = make_project()
    for number in range(40):
        make_errors(project, 1, first=number, age_s=number * 17 * HOUR)
    (row,) = answer("top-errors", range=name).rows
    assert sum(row["trend"]) == row["events"]


def test_only_ten_groups_are_shown_and_more_is_said():
    project = make_project()
    for number in range(11):
        make_errors(project, 1, first=number, kind=f"Kind{number}")
    found = answer("top-errors")
    assert (len(found.rows), found.more) == (10, True)


hours = st.integers(0, 24 * 100)


@given(now=hours, back=st.integers(1, 24 * 40), ended=st.integers(0, 50))
def test_whole_days_and_edges_cover_every_hour_of_a_range_once(now, back, ended):
    base = NOW.replace(minute=0, second=0)
    now_at = base + timedelta(hours=now, minutes=13)
    end = now_at.replace(minute=0) + timedelta(hours=1 - ended)
    start = end - timedelta(hours=back)
    days = by_days(start, end, now_at)
    covered = [
        hour
        for n in range(-24 * 3, back + 24 * 3)
        for hour in [start + timedelta(hours=n)]
        for _ in range(
            (days.first <= hour.date() < days.last) + sum(low <= hour < high for low, high in days.edges)
        )
        if hour <= now_at
    ]
    wanted = [start + timedelta(hours=n) for n in range(back) if start + timedelta(hours=n) <= now_at]
    assert covered == wanted


# --- Failure rate -------------------------------------------------------------------------------------------------
def test_a_rate_is_failed_requests_of_requests_and_errors_stand_beside_it():
    project = make_project()
    make_requests(project, 40, failed=4)
    make_errors(project, 7, route="/pay")
    wanted = ("endpoint", "failure_rate", "failed", "requests", "errors")
    for name in ("1h", "24h", "7d", "30d"):
        assert rows("failure-rate", *wanted, range=name) == [("/pay", 0.1, 4, 40, 7)]


def test_errors_without_requests_have_no_rate_and_are_not_called_zero_or_a_hundred_percent():
    make_errors(make_project(), 7, route="/pay")
    found = answer("failure-rate")
    assert [(r["failure_rate"], r["requests"], r["note"]) for r in found.rows] == [
        (None, None, "no request data")
    ]
    assert found.figures[0].value is None
    assert "no rate" in found.sentence


def test_requests_without_failure_are_a_rate_of_zero_and_errors_there_are_still_told():
    project = make_project()
    make_requests(project, 40)
    make_errors(project, 3, route="/pay")
    assert rows("failure-rate", "failure_rate", "errors") == [(0.0, 3)]


def test_an_endpoint_with_neither_errors_nor_failures_is_left_out():
    make_requests(make_project(), 40)
    found = answer("failure-rate")
    assert found.rows == []
    assert found.sentence == "None of 40 requests failed."
    assert found.figures[0].value == 0


def test_few_requests_do_not_outrank_many():
    project = make_project()
    make_requests(project, 2, failed=2, endpoint="/rare")
    make_requests(project, 100, failed=5, first=10, endpoint="/busy")
    make_errors(project, 50, route="/blind")
    assert rows("failure-rate", "endpoint", "note") == [
        ("/busy", ""), ("/rare", "few requests"), ("/blind", "no request data"),
    ]  # fmt: skip


def test_background_tasks_and_pages_are_no_requests():
    project = make_project()
    make_requests(project, 30, failed=30, kind="task")
    assert answer("failure-rate").rows == []


def test_whole_days_and_hours_together_count_every_request_once():
    project = make_project()
    for number, age_s in enumerate([0, 2 * HOUR, 20 * HOUR, 3 * DAY, 6 * DAY + 23 * HOUR]):
        make_requests(project, 10, failed=1, first=100 * number, age_s=age_s)
    assert rows("failure-rate", "failed", "requests", range="7d") == [(5, 50)]


# --- Users --------------------------------------------------------------------------------------------------------
def test_a_user_who_is_hit_often_is_one_user_and_a_share_needs_the_active_ones():
    project = make_project()
    make_errors(project, 5, who="alice")
    make_errors(project, 1, first=10, who="bob")
    make_errors(project, 1, first=20)
    assert rows("user-impact", "users_hit", "active_users", "share") == [(2, None, None)]
    make_active(project, "alice", "bob", "carol", "mallory")
    assert rows("user-impact", "users_hit", "active_users", "share") == [(2, 4, 0.5)]


def test_fewer_active_users_than_hit_ones_give_no_share():
    project = make_project()
    for number, who in enumerate(["alice", "bob", "carol"]):
        make_errors(project, 1, first=number, who=who)
    make_active(project, "alice")
    found = answer("user-impact")
    assert found.rows[0]["share"] is None
    assert "only 1 active" in found.figures[1].note


def test_users_of_before_the_range_are_not_in_it():
    project = make_project()
    make_errors(project, 1, who="alice", age_s=30 * HOUR)
    make_errors(project, 1, first=10, who="bob", age_s=23 * HOUR)
    make_active(project, "alice", age_s=30 * HOUR)
    make_active(project, "bob", age_s=23 * HOUR)
    assert rows("user-impact", "users_hit", "active_users") == [(1, 1)]
    assert rows("user-impact", "users_hit", "active_users", range="7d") == [(2, 2)]


def test_the_active_users_of_a_component_are_those_of_its_project():
    shop, desk = make_project(), make_project("Desk")
    make_errors(shop, 1, who="alice")
    make_active(shop, "alice", "bob")
    make_active(desk, "carol")
    assert rows("user-impact", "users_hit", "active_users", of="shop/journal") == [(1, 2)]


@pytest.mark.parametrize("sixteenth_below", [2, 4_000])
def test_many_users_are_estimated_from_a_sample_within_what_is_said(monkeypatch, sixteenth_below):
    project = make_project()
    component = ensure_component(project=project, name="Journal")
    HitUserDay.objects.bulk_create(
        HitUserDay(
            day=NOW.date(), project=project, component=component, last_hour=NOW.replace(minute=0, second=0),
            user_key=UUID(bytes=user_hash(f"user {n}")[:16]),
        )
        for n in range(4_000)
    )  # fmt: skip
    exact = answer("user-impact")
    assert (exact.rows[0]["users_hit"], exact.rows[0]["within"]) == (4_000, None)
    monkeypatch.setattr(distinct, "EXACT_BELOW", 1)
    monkeypatch.setattr(distinct, "SIXTEENTH_BELOW", sixteenth_below)
    about = answer("user-impact")
    row = about.rows[0]
    assert abs(row["users_hit"] - 4_000) <= 4 * row["within"] * 4_000
    assert 0 < row["within"] < 0.2
    assert "estimate" in about.figures[0].note


# --- Feed ---------------------------------------------------------------------------------------------------------
def test_the_newest_come_first_and_twenty_are_enough():
    project = make_project()
    for number in range(25):
        make_errors(project, 1, first=number, age_s=number, kind=f"Kind{number % 3}")
    for part in ({}, {"of": "shop"}, {"of": "shop/journal"}):
        ages = [(NOW - row["at"]).seconds for row in answer("feed", **part).rows]
        assert ages == list(range(20))


def test_what_lies_outside_the_range_is_not_in_the_feed():
    project = make_project()
    make_errors(project, 1, age_s=26 * HOUR)
    assert answer("feed").rows == []
    assert len(answer("feed", range="7d").rows) == 1


# --- Tracked events -----------------------------------------------------------------------------------------------
def test_tracked_errors_are_those_whose_name_says_so_with_users_and_mean_duration():
    project = make_project()
    make_tracked(project, "client_error", 3, who=["alice", "alice", "bob"], duration_ms=10.0)
    make_tracked(project, "client_error", 1, first=50, duration_ms=30.0)
    make_tracked(project, "data_consistency_error", 2)
    make_tracked(project, "feature_used", 9, subject="export")
    make_tracked(project, "client_error", 5, first=70, age_s=30 * HOUR)
    assert rows("event-errors", "event", "severity", "count", "users", "mean_ms") == [
        ("client_error", "Minor", 4, 2, 15.0),
        ("data_consistency_error", "Major", 2, 0, None),
    ]


def test_adoption_counts_uses_and_distinct_users_by_feature():
    project = make_project()
    make_tracked(
        project, "feature_used", 3, subject="export", who=["alice", "bob", "bob"], duration_ms=2000.0
    )
    make_tracked(project, "feature_used", 5, first=10, subject="print", who="carol")
    make_tracked(project, "feature_used", 9, first=30, subject="old", age_s=9 * DAY)
    assert rows("feature-adoption", "feature", "users", "uses", "mean_ms") == [
        ("export", 2, 3, 2000.0),
        ("print", 1, 5, None),
    ]


def test_trials_are_shared_out_by_how_they_ended():
    project = make_project()
    make_tracked(project, "trial_conversion", 1, subject="team", outcome="converted")
    make_tracked(project, "trial_conversion", 3, first=5, subject="team", outcome="expired", age_s=20 * DAY)
    make_tracked(project, "trial_conversion", 1, first=9, subject="solo", outcome="expired")
    assert rows("trial-conversion", "trial_type", "conversion", "converted", "expired", "ended") == [
        ("solo", 0.0, 0, 1, 1),
        ("team", 0.25, 1, 3, 4),
    ]
    assert answer("trial-conversion").sentence == "1 of 5 trials converted, 20.0 %."


def test_slowest_endpoints_have_more_than_ten_requests_and_stand_by_their_p99():
    project = make_project()
    make_requests(project, 10, endpoint="/few", duration_ms=9000.0)
    make_requests(project, 11, first=20, endpoint="/slow", duration_ms=500.0)
    make_requests(project, 99, first=100, endpoint="/tail", duration_ms=20.0, age_s=2 * DAY)
    make_requests(project, 10, first=300, endpoint="/tail", duration_ms=3000.0)
    found = answer("slowest-endpoints").rows
    assert [row["endpoint"] for row in found] == ["/tail", "/slow"]
    tail = found[0]
    assert tail["requests"] == 109
    assert tail["p50_ms"] == pytest.approx(20, rel=0.02)
    assert tail["p99_ms"] == pytest.approx(3000, rel=0.02)
    assert tail["mean_ms"] == pytest.approx((99 * 20 + 10 * 3000) / 109)


# --- Reviews ------------------------------------------------------------------------------------------------------
def test_ai_timeouts_stand_by_feature_and_provider_with_how_often_the_fallback_helped():
    project = make_project()
    common = {"subject": "summary", "provider": "north"}
    make_tracked(project, "ai_failure", 3, **common, reason="Timeout", outcome="fallback")
    make_tracked(project, "ai_failure", 1, first=5, **common, reason="request timed out", outcome="none")
    make_tracked(project, "ai_failure", 7, first=9, **common, reason="refused", outcome="none")
    make_tracked(
        project, "ai_failure", 1, first=30, subject="chat", provider="south", reason="timeout", outcome="none"
    )
    assert rows("ai-timeouts", "feature", "provider", "timeouts", "fallback", "share") == [
        ("summary", "north", 4, 3, 0.75),
        ("chat", "south", 1, 0, 0.0),
    ]


@pytest.mark.parametrize(
    ("name", "event", "dimension", "column"),
    [
        ("session-failures", "session_stabilization_failure", "reason", "reason"),
        ("email-failures", "formspree_failure", "reason", "message"),
        ("rate-limited", "beta_register_rate_limited", "subject", "address"),
    ],
)
def test_the_daily_review_counts_by_what_tells_the_failures_apart(name, event, dimension, column):
    project = make_project()
    make_tracked(project, event, 3, **{dimension: "aaaa"}, who="alice")
    make_tracked(project, event, 1, first=5, **{dimension: "bbbb"})
    make_tracked(project, event, 9, first=9, **{dimension: "cccc"}, age_s=26 * HOUR)
    assert rows(name, column, "count") == [("aaaa", 3), ("bbbb", 1)]
    assert answer(name).sentence == "4 in all, 1 user."


def test_data_consistency_errors_stand_by_component():
    project = make_project()
    make_tracked(project, "data_consistency_error", 2)
    make_tracked(project, "data_consistency_error", 3, first=9, component_name="Payments")
    assert rows("data-consistency", "component", "count") == [("Payments", 3), ("Journal", 2)]


def test_cache_rates_are_hits_of_lookups_by_key():
    project = make_project()
    make_tracked(project, "cache_performance", 3, subject="feed", outcome="hit")
    make_tracked(project, "cache_performance", 1, first=5, subject="feed", outcome="miss")
    make_tracked(project, "cache_performance", 2, first=9, subject="profile", outcome="hit")
    assert rows("cache-hit-rate", "key", "hit_rate", "misses") == [("feed", 0.75, 1), ("profile", 1.0, 0)]


def test_slow_endpoints_have_requests_over_a_second_or_say_so_themselves():
    project = make_project()
    make_requests(project, 8, endpoint="/fast", duration_ms=900.0)
    make_requests(project, 6, first=20, endpoint="/mixed", duration_ms=100.0)
    make_requests(project, 2, first=40, endpoint="/mixed", duration_ms=1500.0)
    make_tracked(project, "slow_endpoint", 3, subject="/mixed", duration_ms=1500.0)
    make_tracked(project, "slow_endpoint", 1, first=9, subject="/told", duration_ms=2500.0)
    assert rows("slow-endpoints", "endpoint", "slow", "share", "requests", "told") == [
        ("/mixed", 2, 0.25, 8, 3),
        ("/told", None, None, None, 1),
    ]


def test_a_feature_is_unused_when_it_was_used_before_and_not_this_week():
    project = make_project()
    make_tracked(project, "feature_used", 2, subject="print", age_s=20 * DAY)
    make_tracked(project, "feature_used", 1, first=5, subject="export", age_s=20 * DAY)
    make_tracked(project, "feature_used", 1, first=9, subject="export", age_s=2 * DAY)
    make_tracked(project, "feature_used", 1, first=12, subject="ancient", age_s=95 * DAY)
    assert rows("unused-features", "feature", "uses") == [("print", 2)]
    assert answer("unused-features").sentence == "1 of 2 known features had no user."


def test_a_range_of_its_own_gives_way_to_one_that_is_asked_for():
    project = make_project()
    make_tracked(project, "feature_used", 1, subject="export", age_s=20 * DAY)
    assert rows("feature-adoption", "feature") == []
    assert rows("feature-adoption", "feature", range="30d") == [("export",)]
    assert make_scope().over("7d").name == "7d"
