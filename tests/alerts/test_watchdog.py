"""The watchdog: says that the pager is stuck, by ways of its own, seldom, and not for what an outage left."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from apps.alerts import outbox, paging
from apps.alerts.models import Watchdog
from apps.alerts.watchdog import looking
from apps.alerts.watchdog.judging import Seen, progressed, wrong
from apps.core.models import TickRun
from tests.alerts.make import NOW, at, make_alert, make_policy, make_user
from tests.alerts.receivers import Receiver, Sink, free_port, smtp

pytestmark = pytest.mark.django_db
FRESH = {"escalated_at": NOW, "delivered_at": NOW, "watched_at": NOW}


@pytest.fixture
def receiver(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]
    settings.WATCHDOG_EMAIL, settings.WATCHDOG_URL, settings.DEADMAN_URL = [], "", ""
    with Receiver() as it:
        yield it


def make_ticks(when, *names):
    for name in names or ("alerts.escalate", "alerts.deliver", "alerts.watch"):
        TickRun.objects.update_or_create(name=name, slot=0, defaults={"every_s": 5, "succeeded_at": when})


def look(seconds, ticks=True, **facts):
    if ticks:
        make_ticks(at(seconds))
    return looking.look(now=at(seconds), **facts)


def overdue_alert():
    return make_alert(make_policy((0, make_user())))


# --- What is wrong --------------------------------------------------------------------------------------
@pytest.mark.parametrize("field", ["escalation_due_at", "page_due_at", *FRESH])
def test_each_thing_that_stands_still_for_more_than_a_minute_is_wrong(field):
    seen = {"escalation_due_at": None, "page_due_at": None, **FRESH, field: at(-61)}
    assert len(wrong(Seen(**seen), at(-1000), NOW)) == 1
    assert wrong(Seen(**{**seen, field: at(-60)}), at(-1000), NOW) == []


def test_what_waits_since_before_anybody_watched_is_given_its_minute():
    seen = Seen(at(-7200), at(-7200), None, None, None)
    assert wrong(seen, at(-60), NOW) == []
    assert len(wrong(seen, at(-61), NOW)) == 5


def test_progress_needs_both_escalating_and_delivering_since_the_last_sign():
    assert progressed(Seen(None, None, at(-5), at(-5), None), at(-60), NOW)
    assert not progressed(Seen(None, None, at(-5), at(-61), None), None, NOW)
    assert not progressed(Seen(None, None, at(-61), at(-5), None), None, NOW)
    assert not progressed(Seen(None, None, at(-5), at(-30), None), at(-30), NOW)


# --- Reports --------------------------------------------------------------------------------------------
def test_an_overdue_escalation_is_reported_once_in_a_quarter_of_an_hour_and_then_that_it_works_again(
    settings, receiver
):
    settings.WATCHDOG_URL = receiver.url
    overdue_alert()
    assert look(0).wrong == [] and look(60).wrong == []
    assert look(61).reported
    for seconds in range(76, 961, 15):
        assert not look(seconds).reported
    assert look(961).reported
    paging.escalate_due(now=at(970))
    assert look(976).reported and not look(991).reported
    said = [json.loads(body) for _, _, body in receiver.requests]
    assert ["not working" in one["subject"] for one in said] == [True, True, False]
    assert said[0]["wrong"][0].startswith("The oldest due escalation waits since 2026-11-22 12:00:05 UTC")


def test_pages_that_nobody_claims_are_reported_by_mail_past_a_channel_that_does_not_work(settings, receiver):
    settings.WATCHDOG_URL = f"http://127.0.0.1:{free_port()}/"
    settings.WATCHDOG_EMAIL = ["ops@example.org"]
    overdue_alert()
    paging.escalate_due(now=NOW)
    with smtp(settings, Sink()) as sink:
        look(0)
        assert look(70).reported
    (mail,) = sink.envelopes
    assert mail.rcpt_tos == ["ops@example.org"]
    assert b"[WATCHDOG] The pager is not working" in mail.content and b"oldest due page" in mail.content
    assert Watchdog.objects.get().report_failure.startswith("Webhook: ")


def test_a_page_whose_sender_died_counts_once_its_lease_is_over(receiver):
    overdue_alert()
    paging.escalate_due(now=NOW)
    outbox.claim(outbox.due_ids(now=NOW, limit=1)[0], now=NOW)
    look(0)
    assert look(60).wrong == [] and look(119).wrong == []
    assert len(look(125).wrong) == 1


def test_a_report_that_no_way_took_is_tried_again_at_the_next_look(settings, receiver):
    settings.WATCHDOG_URL = receiver.url
    receiver.answers[:] = [(500, {}, b""), (200, {}, b"")]
    overdue_alert()
    look(0)
    assert not look(70).reported and look(85).reported


def test_workers_that_are_gone_are_wrong_though_nothing_waits_yet(receiver):
    look(0)
    assert look(59, ticks=False).wrong == []
    assert len(look(61, ticks=False).wrong) == 3


def test_after_an_outage_of_the_whole_portal_what_piled_up_is_no_report(settings, receiver):
    settings.WATCHDOG_URL = receiver.url
    overdue_alert()
    look(0)
    assert look(3600, ticks=False).wrong == []
    paging.escalate_due(now=at(3605))
    make_ticks(at(3630))
    for page in outbox.due_ids(now=at(3630), limit=9):
        outbox.claim(page, now=at(3630))
    assert look(3640).wrong == [] and receiver.requests == []


def test_a_process_that_just_began_gives_its_minute_too(receiver):
    overdue_alert()
    look(0)
    assert look(100, since=at(90)).wrong == []
    assert look(151, since=at(90)).wrong != []


def test_without_ways_it_only_looks(receiver):
    overdue_alert()
    look(0)
    assert not look(70).reported
    row = Watchdog.objects.get()
    assert row.wrong and row.reported_at is None and row.looked_at == at(70)


# --- Sign of life ---------------------------------------------------------------------------------------
def test_the_sign_of_life_goes_out_each_minute_while_both_make_progress_and_not_otherwise(settings, receiver):
    settings.DEADMAN_URL = f"{receiver.url}/alive"
    assert look(0).pinged and not look(30).pinged and look(60).pinged
    make_ticks(at(125), "alerts.escalate")
    assert not look(126, ticks=False).pinged  # nothing was delivered since
    assert look(130).pinged
    overdue_alert()
    assert not look(200).pinged  # something is overdue
    assert [path for path, _, _ in receiver.requests] == ["/alive"] * 3


def test_a_sign_of_life_that_did_not_arrive_is_tried_again_and_shown(settings, receiver):
    settings.DEADMAN_URL = f"http://127.0.0.1:{free_port()}/"
    assert not look(0).pinged
    assert Watchdog.objects.get().ping_failure
    settings.DEADMAN_URL = receiver.url
    assert look(15).pinged and Watchdog.objects.get().ping_failure == ""


# --- Doors ----------------------------------------------------------------------------------------------
def test_the_command_says_what_is_wrong_by_its_exit(receiver, capsys):
    from apps.core.ticks import database_now

    make_ticks(database_now())
    call_command("watchdog")
    assert "on time" in capsys.readouterr().out
    Watchdog.objects.update(watching_since=database_now() - timedelta(hours=1))
    make_ticks(database_now() - timedelta(minutes=5))
    with pytest.raises(CommandError, match="Pages are not sent since"):
        call_command("watchdog")


@pytest.mark.django_db(transaction=True)
def test_the_guard_looks_until_it_is_stopped_and_survives_a_clock_that_fails(receiver):
    clocks, waits = [OSError("away"), NOW, at(15)], [False, False, False, True]

    def clock():
        told = clocks.pop(0)
        if isinstance(told, OSError):
            raise told
        return told

    looking.stand_guard(clock, lambda _: waits.pop(0))
    assert Watchdog.objects.get().looked_at == at(15)


def test_a_database_that_is_away_for_a_minute_is_told_once(settings, receiver, monkeypatch):
    from apps.alerts.watchdog import telling

    settings.WATCHDOG_URL = receiver.url
    times = iter([0, 30, 61, 75, 500, 960, 970])
    monkeypatch.setattr(telling, "monotonic", lambda: 1000 + next(times))
    silence = telling.Silence()
    assert [silence.goes_on(OSError()) for _ in range(6)] == [False, False, True, False, False, False]
    silence.over()
    assert not silence.goes_on(OSError())
    assert len(receiver.requests) == 1
