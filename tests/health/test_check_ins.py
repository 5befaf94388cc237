"""Reports of runs: read as far as they can be meant, and joined in whatever order they come."""

from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.health.check_ins import after, from_sentry, schedule_of, slug_of
from apps.projects.intake import Intake
from tests.fuzz import json_values as JSON

NOW = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)


def intake(at=NOW, event_id="e" * 32):
    return Intake(project_id=1, received_at=at, hash_key=b"k", event_id=event_id)


def report(status="ok", at=NOW, **facts):
    sent = {"monitor_slug": "nightly", "check_in_id": "a" * 32, "status": status, **facts}
    return from_sentry(sent, intake(at))


# --- Reading ---
def test_a_report_of_the_python_sdk_is_read_whole():
    one = from_sentry(
        {
            "type": "check_in", "monitor_slug": "Nightly Report", "check_in_id": "a" * 32, "status": "ok",
            "duration": 12.5, "environment": "staging", "release": "shop@1", "monitor_config": {
                "schedule": {"type": "crontab", "value": "0 3 * * *"}, "timezone": "Europe/Vienna",
                "checkin_margin": 5, "max_runtime": 30, "failure_issue_threshold": 2},
        }, intake(),
    )  # fmt: skip
    assert (one.slug, one.environment, one.check_in_id, one.status) == (
        "nightly-report",
        "staging",
        "a" * 32,
        "ok",
    )
    assert (one.started_at, one.finished_at, one.duration_s) == (NOW - timedelta(seconds=12.5), NOW, 12.5)
    assert one.schedule == {
        "schedule": {"type": "crontab", "value": "0 3 * * *"}, "timezone": "Europe/Vienna", "checkin_margin": 5,
        "max_runtime": 30,
    }  # fmt: skip


def test_a_run_that_goes_on_has_no_end_and_no_duration():
    one = report("in_progress", duration=3)
    assert (one.started_at, one.finished_at, one.duration_s) == (NOW, None, None)


@pytest.mark.parametrize("given_id", [None, "", "0" * 32, "00000000-0000-0000-0000-000000000000"])
def test_a_run_without_an_id_is_known_by_its_envelope_s(given_id):
    assert report(check_in_id=given_id).check_in_id == "e" * 32


@pytest.mark.parametrize(("field", "value"), [
    ("status", None), ("status", "missed"), ("status", 1), ("status", ["ok"]), ("monitor_slug", None),
    ("monitor_slug", ""), ("monitor_slug", "///"), ("monitor_slug", 7), ("check_in_id", "../../etc"),
    ("check_in_id", 5),
])  # fmt: skip
def test_what_names_no_job_run_or_outcome_is_refused_by_its_field(field, value):
    with pytest.raises(Refused) as refused:
        report(**{field: value})
    assert refused.value.field == field


@pytest.mark.parametrize(("name", "slug"), [
    ("tasks.send_mail", "tasks-send_mail"), ("Ärger", "rger"), ("a" * 300, "a" * 64), ("a/../b", "a-b"),
])  # fmt: skip
def test_the_name_of_a_job_is_plain(name, slug):
    assert slug_of(name) == slug


@pytest.mark.parametrize("duration", [None, "5", -1, 1e300, True, [1], {}])
def test_a_duration_that_can_not_be_is_left_out(duration):
    assert report(duration=duration).duration_s is None


@pytest.mark.parametrize("config", [
    None, [], "x", {"schedule": None}, {"schedule": {"type": "crontab", "value": 5}},
    {"schedule": {"type": "crontab", "value": "*" * 101}},
    {"schedule": {"type": "interval", "value": 0, "unit": "day"}},
    {"schedule": {"type": "interval", "value": 5, "unit": "blink"}}, {"schedule": {"type": "interval", "value": 5}},
    {"schedule": {"type": "interval", "value": 5, "unit": ["day"]}}, {"schedule": {"type": "moon"}},
    {"checkin_margin": "5", "max_runtime": -1, "timezone": "x" * 65}, {"timezone": "a\nb"},
])  # fmt: skip
def test_a_schedule_that_can_not_be_meant_is_left_out_and_the_report_stands(config):
    assert report(monitor_config=config).schedule == {}


def test_an_interval_is_kept_with_its_unit():
    kept = schedule_of({"schedule": {"type": "interval", "value": 10, "unit": "minute"}})
    assert kept == {"schedule": {"type": "interval", "value": 10, "unit": "minute"}}


@given(JSON | st.fixed_dictionaries({"status": st.just("ok"), "monitor_slug": JSON | st.just("x"),
                                     "check_in_id": JSON, "duration": JSON, "environment": JSON,
                                     "monitor_config": JSON | st.dictionaries(st.just("schedule"), JSON)}))  # fmt: skip
def test_any_json_is_read_or_refused(payload):
    try:
        one = from_sentry(payload, intake())
    except Refused:
        return
    assert len(one.check_in_id) == 32 and 0 < len(one.slug) <= 64 and 0 < len(one.environment) <= 64


# --- Joining ---
def minutes(n):
    return NOW + timedelta(minutes=n)


def run_of(*reports):
    return reduce(lambda run, one: after(run, one) or run, reports, None)


def test_a_run_takes_from_its_first_report_to_its_end():
    run = run_of(report("in_progress"), report("ok", at=minutes(3)))
    assert (run.status, run.started_at, run.finished_at, run.duration_s) == ("ok", NOW, minutes(3), 180)


def test_what_has_ended_does_not_run_again():
    run = run_of(report("error", at=minutes(3)), report("in_progress", at=minutes(4)))
    assert (run.status, run.finished_at, run.duration_s) == ("error", minutes(3), None)


def test_the_same_word_again_tells_nothing():
    started, ended = report("in_progress"), report("ok", at=minutes(1))
    for reports in ([started], [ended], [started, ended]):
        run = run_of(*reports)
        assert [after(run, one) for one in reports] == [None] * len(reports)


REPORTS = st.builds(
    lambda status, at, took: report(status, at=minutes(at), duration=took),
    st.sampled_from(["in_progress", "ok", "error"]), st.integers(0, 50), st.none() | st.floats(0, 600),
)  # fmt: skip


@given(st.lists(REPORTS, min_size=1, max_size=5, unique_by=lambda r: r.received_at), st.randoms())
def test_the_order_of_reports_does_not_matter(reports, dice):
    shuffled = dice.sample(reports, len(reports))
    first, second = run_of(*reports), run_of(*shuffled)
    assert (first.status, first.started_at, first.finished_at) == (
        second.status, second.started_at, second.finished_at)  # fmt: skip
