"""The link in a page: in the message and not in the database, opened without harm, acting once."""

import re
import threading
from pathlib import Path

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection, connections
from django.test import Client

from apps.alerts import outbox, paging, services
from apps.alerts.answering import links
from apps.alerts.answering.views import LOOKS_PER_MINUTE, MISSES_PER_MINUTE
from apps.alerts.channels import Receipt
from apps.alerts.models import Alert, AnswerLink, ContactMethod, Escalation, Page, PersonZone
from apps.alerts.sending import deliver_due
from apps.alerts.services import Act
from apps.audit.models import AuditEvent
from apps.incidents.models import TimelineEntry
from tests import cached
from tests.alerts.make import NOW, at, make_alert, make_channel, make_policy, make_user
from tests.alerts.receivers import Receiver, Sink, smtp

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>"
STATIC = Path(__file__).parents[3] / "static" / "portal"


@pytest.fixture(autouse=True)
def frozen():
    cached.forget()
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def client():
    """A browser, as its headers say."""
    return Client(HTTP_ACCEPT="text/html,application/xhtml+xml,*/*;q=0.8")


def make_responder(name="alice"):
    user = make_user(name)
    user.groups.add(Group.objects.get(name="Responder"))
    return user


def make_paged(*steps, **facts):
    """An alert whose first step was paged now, and the addresses of the links by person."""
    alert = make_alert(make_policy(*(steps or ((0, make_responder()), (300, make_user("bob")))), **facts))
    return alert, paged(alert)


def paged(alert, now=NOW):
    paging.escalate_due(now=now)
    found = {}
    for pk in outbox.due_ids(now=now, limit=50):
        page = outbox.claim(pk, now=now)
        whom = page.user.username if page.user else page.target_label
        found[whom] = page.data.get("answer_url", "").removeprefix(settings.SITE_URL)
    return found


def test_the_mail_carries_a_link_that_stands_nowhere_in_the_database(settings):
    make_alert(make_policy((0, make_responder())))
    paging.escalate_due(now=NOW)
    with smtp(settings, Sink()) as sink:
        deliver_due(now=NOW)
    mail = sink.envelopes[0].content.decode()
    token = re.search(r"Acknowledge: http://127.0.0.1:\d+/answer/([\w-]{24})\r?\n", mail).group(1)
    assert "In the portal: http" in mail
    assert_nowhere(token)
    link = AnswerLink.objects.get()
    assert (link.user.username, link.epoch) == ("alice", 1)
    assert links.find(token).pk == link.pk


def assert_nowhere(token):
    with connection.cursor() as cursor:
        for table in ("alerts_page", "alerts_answerlink", "alerts_attempt", "audit_auditevent"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{token}%"])
            assert cursor.fetchone() == (0,), table


@pytest.mark.parametrize("outcome", ["bad_message", "permanent", "transient", "ambiguous"])
def test_a_try_that_fails_leaves_the_link_nowhere_and_the_next_way_gets_one_of_its_own(outcome):
    alice = make_responder()
    for order, address in enumerate(("alice@example.org", "alice@example.net"), 1):
        ContactMethod.objects.create(user=alice, kind="email", address=address, order=order, verified_at=NOW)
    make_alert(make_policy((0, alice)))
    paging.escalate_due(now=NOW)
    page = outbox.claim(Page.objects.get().pk, now=NOW)
    token, later = page.data["answer_url"].rpartition("/")[2], at(70)
    outbox.record_result(page, Receipt(outcome, "refused"), started_at=NOW, now=later)
    assert_nowhere(token)
    for other in Page.objects.exclude(pk=page.pk):
        second = outbox.claim(other.pk, now=later)
        assert token not in second.body and second.body.count("/answer/") == 1
    assert Page.objects.count() == (1 if outcome == "bad_message" else 2)


def test_a_further_try_of_a_page_carries_the_same_link_and_another_page_another():
    alert, first = make_paged((0, make_responder()), (300, make_user("bob")))
    page = Page.objects.get()
    again = outbox.claim(page.pk, now=at(300))
    assert again.data["answer_url"].endswith(first["alice"]) and AnswerLink.objects.count() == 1
    assert paged(alert, at(301))["bob"] not in first.values()


def test_a_webhook_gets_no_link_and_slack_gets_one(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    with Receiver() as hook:
        slack = make_channel("slack", "", secret=hook.url + "/slack")
        make_alert(make_policy((0, make_channel("webhook", hook.url + "/hook")), (0, slack)))
        for seconds in (0, 2):
            paging.escalate_due(now=at(seconds))
        deliver_due(now=at(2))
        said = {path: body.decode() for path, _, body in hook.requests}
    assert "/answer/" not in said["/hook"] and "/answer/" in said["/slack"]


def test_looking_changes_nothing_however_often(client):
    _, found = make_paged()
    before = list(Alert.objects.values()), list(Escalation.objects.values()), list(Page.objects.values())
    for _ in range(3):
        assert client.get(found["alice"]).status_code == 200
        assert client.head(found["alice"]).status_code == 200
    assert client.get(found["alice"] + "/acknowledge").status_code == 405
    assert before == (
        list(Alert.objects.values()),
        list(Escalation.objects.values()),
        list(Page.objects.values()),
    )
    assert AnswerLink.objects.get().used_at is None


def test_the_page_says_what_is_wrong_since_when_who_was_paged_and_who_is_next(client):
    alert, found = make_paged((0, make_responder()), (0, make_user("bob")), (300, make_user("carol")))
    paged(alert, at(2))
    text = client.get(found["alice"]).content.decode()
    for words in (
        "Payments are failing",
        "12 errors within 5 min",
        "Nobody has it",
        "you, Bob",
        "Carol",
        "12:00 UTC",
    ):
        assert words in text, words
    assert [word in text for word in ("Acknowledge", "Escalate now", "I can&#x27;t", "Resolve")] == [True] * 4


def test_acknowledging_stops_the_paging_once_and_says_by_whom(client):
    alert, found = make_paged()
    answer = client.post(found["alice"] + "/acknowledge")
    assert (answer.status_code, answer["Location"]) == (302, found["alice"])
    alert.refresh_from_db()
    assert (alert.state, alert.acked_by, alert.acked_via) == ("acknowledged", "alice", "link")
    assert Escalation.objects.get().state == "stopped"
    assert AuditEvent.objects.get(action="alert.acknowledge").actor_label == "alice"
    text = client.get(found["alice"]).content.decode()
    assert "alice acknowledged it by this link at 12:00 UTC" in text and "<form" not in text
    assert client.post(found["alice"] + "/resolve").status_code == 302
    assert Alert.objects.get().state == "acknowledged", "a used link does nothing more"


def test_what_somebody_else_has_is_told_and_the_link_is_not_used_up(client):
    alert, found = make_paged()
    services.acknowledge(alert=alert, act=Act("bob", NOW, via="slack"))
    answer = client.post(found["alice"] + "/acknowledge")
    assert "Somebody has it already" in answer.content.decode() and "bob has it" in answer.content.decode()
    assert AnswerLink.objects.get().used_at is None


def test_escalating_pages_the_next_at_once_and_leaves_the_alert_open(client):
    alert, found = make_paged()
    client.post(found["alice"] + "/escalate")
    assert Escalation.objects.get().next_at == NOW
    assert set(paged(alert, at(1))) == {"bob"}
    alert.refresh_from_db()
    assert alert.state == "triggered"
    told = TimelineEntry.objects.get(action="alert.escalate").text
    assert "alice asked for the next via link. Paging Bob now." in told


def test_who_cannot_is_passed_over_and_their_waiting_pages_are_cancelled(client):
    alice, bob = make_responder(), make_user("bob")
    alert, found = make_paged((0, alice), (300, alice), (300, bob))
    Page.objects.update(state="pending", lease_until=None)
    client.post(found["alice"] + "/decline")
    assert Page.objects.get().state == "cancelled"
    assert set(paged(alert, at(1))) == {"bob"}
    assert AuditEvent.objects.get(action="alert.decline").actor_label == "alice"
    assert "alice could not take it" in client.get(found["alice"]).content.decode()


def test_after_the_last_step_the_fallback_is_paged_and_where_that_is_oneself_it_is_said(client):
    alert, found = make_paged((0, make_responder()), fallback=make_user("carol"))
    client.post(found["alice"] + "/decline")
    carol = paged(alert)["carol"]
    client.post(carol + "/decline")
    said = [entry.text for entry in TimelineEntry.objects.filter(action="alert.decline").order_by("id")]
    assert "paging the fallback Carol now" in said[0] and "tell somebody yourself" in said[1]


def test_a_fallback_that_was_paged_already_is_not_said_to_be_paged_again(client):
    alert, found = make_paged((0, make_responder()), (0, make_user("bob")), fallback=make_user("carol"))
    found |= paged(alert, at(2))
    client.post(found["alice"] + "/escalate")
    paged(alert, at(4))
    client.post(found["bob"] + "/decline")
    said = TimelineEntry.objects.get(action="alert.decline").text
    assert "the fallback Carol was paged already" in said
    assert Page.objects.filter(user__username="carol").count() == 1


def test_resolving_needs_the_role(client):
    alert, found = make_paged((0, make_responder()), (0, make_user("bob")))
    found |= paged(alert, at(2))
    assert client.post(found["bob"] + "/resolve").status_code == 403
    assert "Resolve" not in client.get(found["bob"]).content.decode()
    client.post(found["alice"] + "/resolve")
    alert.refresh_from_db()
    assert (alert.state, alert.resolved_by) == ("resolved", "alice")
    assert "Resolved by alice" in client.get(found["bob"]).content.decode()


def test_a_link_of_an_earlier_episode_says_so_and_does_nothing(client):
    alert, found = make_paged()
    Alert.objects.update(epoch=2)
    for verb in ("acknowledge", "escalate", "decline", "resolve"):
        answer = client.post(f"{found['alice']}/{verb}")
        assert answer.status_code == 409 and "Triggered again since" in answer.content.decode()
    assert "Triggered again since" in client.get(found["alice"]).content.decode()
    alert.refresh_from_db()
    assert alert.state == "triggered" and AnswerLink.objects.get().used_at is None


def test_a_link_ends_with_its_day_and_with_its_person(client, frozen):
    _, found = make_paged()
    AnswerLink.objects.get().user.__class__.objects.update(is_active=False)
    assert client.post(found["alice"] + "/acknowledge").status_code == 410
    AnswerLink.objects.get().user.__class__.objects.update(is_active=True)
    frozen.shift(links.LIFE)
    assert client.get(found["alice"]).status_code == 410
    answer = client.post(found["alice"] + "/acknowledge")
    assert answer.status_code == 410 and "This link has ended" in answer.content.decode()
    assert Alert.objects.get().state == "triggered"
    assert links.forget(now=at(86_400 * 32)) == 1


@pytest.mark.parametrize(
    "path", ["/answer/" + "x" * 24, "/answer/short", "/answer/" + "x" * 24 + "/acknowledge"]
)
def test_an_unknown_token_is_nowhere(client, path):
    assert (client.post if path.endswith("acknowledge") else client.get)(path).status_code == 404


def test_an_unknown_verb_is_nowhere(client):
    _, found = make_paged()
    assert client.post(found["alice"] + "/delete").status_code == 404


def test_looks_and_guesses_are_limited_and_one_address_does_not_shut_out_another(client):
    _, found = make_paged()
    said = [client.get("/answer/" + "x" * 24).status_code for _ in range(MISSES_PER_MINUTE + 2)]
    assert said[:MISSES_PER_MINUTE] == [404] * MISSES_PER_MINUTE and said[-1] == 429
    assert client.get(found["alice"]).status_code == 429
    other = Client(REMOTE_ADDR="192.0.2.7")
    said = [other.get(found["alice"]).status_code for _ in range(LOOKS_PER_MINUTE + 2)]
    assert said[0] == 200 and said[-1] == 429


def test_without_valkey_the_link_still_works(client, settings):
    _, found = make_paged()
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}}
    assert client.get(found["alice"]).status_code == 200
    assert client.post(found["alice"] + "/acknowledge").status_code == 302
    assert Alert.objects.get().state == "acknowledged"


def test_the_page_weighs_little_runs_no_script_and_cannot_be_kept_or_framed(client):
    _, found = make_paged()
    Alert.objects.update(title=HOSTILE, sentence=HOSTILE)
    answer = client.get(found["alice"])
    text = answer.content.decode()
    loaded = set(re.findall(r"portal/([a-z.]+\.(?:css|svg))", text))
    assert len(answer.content) + sum((STATIC / name).stat().st_size for name in loaded) <= 30_000
    assert not re.search(r"<script|<style|style=|\son[a-z]+=", text)
    assert answer["Cache-Control"] == "private, no-store" and answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-Frame-Options"] == "DENY" and "default-src 'none'" in answer["Content-Security-Policy"]
    assert not answer.cookies


def test_times_are_those_of_the_person_who_was_paged(client):
    _, found = make_paged()
    PersonZone.objects.create(user=make_user("alice"), zone="Europe/Berlin")
    assert "13:00 CET" in client.get(found["alice"]).content.decode()


def test_a_link_in_a_channel_acts_for_somebody_there_and_resolves_nothing(client):
    channel = make_channel("slack", "", secret="https://hooks.slack.com/x")
    alert, found = make_paged((0, channel))
    url = found[channel.name]
    assert client.post(url + "/resolve").status_code == 403
    client.post(url + "/acknowledge")
    alert.refresh_from_db()
    assert alert.acked_by == f"somebody in {channel.name}"


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_once_one_acts():
    _, found = make_paged()
    barrier = threading.Barrier(4)
    said = []

    def click(verb):
        barrier.wait()
        said.append(Client().post(f"{found['alice']}/{verb}").status_code)
        connections.close_all()

    threads = [threading.Thread(target=click, args=(verb,)) for verb in ("acknowledge", "escalate") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [302] * 4
    acts = AuditEvent.objects.filter(action__in=("alert.acknowledge", "alert.escalate"))
    assert acts.count() == 1 and AnswerLink.objects.get().used_for == acts.get().action.removeprefix("alert.")
