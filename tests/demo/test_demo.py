"""The demo story: as promised, in order, the same each time, and quiet."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings as configured
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import F, Q, Sum

from apps.alerts import paging, sending, watch
from apps.alerts.confidence import reachability
from apps.alerts.models import Alert, AlertRule, ContactMethod, Escalation, Page
from apps.alerts.models.oncall import Override
from apps.alerts.rule_history import history as rule_history
from apps.audit.models import AuditEvent
from apps.errors.models import ErrorEvent, ErrorGroup, ErrorMinute, GroupHour
from apps.incidents.models import ActionItem, Incident, PostMortem, TimelineEntry
from apps.projects.models import Component, Project
from reliability_portal.demo import cast, load, story

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 10, 14, 15, 20, 7, tzinfo=UTC)  # a Wednesday afternoon
SEED, N_ERRORS = 1, story.FEWEST + 700
COUNTED = (
    Project,
    Component,
    Incident,
    TimelineEntry,
    PostMortem,
    ActionItem,
    Alert,
    Page,
    ErrorGroup,
    AuditEvent,
)


@pytest.fixture(scope="module")
def told(django_db_setup, django_db_blocker, tmp_path_factory):
    """The story in an empty portal, once for all tests here; each of them undoes what it adds."""
    before, configured.DATA_DIR = configured.DATA_DIR, tmp_path_factory.mktemp("data")
    with django_db_blocker.unblock(), transaction.atomic():
        assert load.is_empty()
        project = load.load(now=NOW, seed=SEED, n_errors=N_ERRORS, say=lambda words: None)
        yield project
        transaction.set_rollback(True)
    configured.DATA_DIR = before


def moments():
    return story.moments(NOW, SEED, N_ERRORS)


# --- Figures ----------------------------------------------------------------------------------------------------------
def test_it_has_the_people_and_components_of_its_cast(told):
    people = get_user_model().objects.filter(email__endswith="@example.org")
    assert set(people.values_list("username", flat=True)) == {"alice", "bob", "carol", "admin"}
    assert set(told.components.values_list("name", flat=True)) == set(cast.COMPONENTS)
    alice = people.get(username="alice")
    assert set(alice.groups.values_list("name", flat=True)) == {"Responder", "Commander"}
    assert ContactMethod.objects.filter(user__in=people, kind="email").count() == 4


def test_every_error_is_stored_and_counted_once(told):
    assert ErrorEvent.objects.count() == N_ERRORS
    for counter in (ErrorGroup.objects.aggregate(n=Sum("event_count")), ErrorMinute.objects.aggregate(n=Sum("n")),
                    GroupHour.objects.aggregate(n=Sum("n"))):  # fmt: skip
        assert counter["n"] == N_ERRORS
    assert ErrorEvent.objects.filter(backfilled=False).count() == 0


def test_each_failure_is_one_group_with_the_count_that_was_told(told):
    expected = Counter((m.failure.component, m.failure.kind, m.failure.message) for m in moments())
    rows = ErrorGroup.objects.values_list("component__name", "exception_type", "title", "event_count")
    assert sorted(n for *_, n in rows) == sorted(expected.values())
    assert {(component, kind) for component, kind, *_ in rows} == {(c, k) for c, k, _ in expected}


def test_eight_incidents_are_over_and_one_is_going_on_with_its_alert_and_its_page(told):
    assert Incident.objects.count() == len(cast.PASTS) + 1
    (incident,) = Incident.objects.open()
    assert incident.acknowledged_at is None and incident.open_alerts == 1
    assert incident.began_at == NOW - story.OPEN_FOR
    (alert,) = Alert.objects.open()
    assert alert.incident == incident and alert.component.name == "Payments"
    (page,) = Page.objects.all()
    assert (page.alert, page.user.username, page.state) == (alert, "alice", "sent")
    assert ErrorGroup.objects.get(
        exception_type="ConnectionRefusedError", component__name="Payments"
    ).event_count == (story.OPEN_ERRORS)


def test_somebody_is_on_call_stands_in_on_a_saturday_and_one_address_was_never_verified(told):
    made = reachability.audit(now=NOW)
    assert {one.person.name for one in made.people} == {"Alice", "Bob", "Admin"}
    assert [one.person.name for one in made.people if one.bad] == ["Bob"] and made.gaps == []
    override = Override.objects.get()
    assert override.starts_at.astimezone(ZoneInfo("Europe/Berlin")).weekday() == 5


def test_the_rule_that_people_made_has_a_past_of_the_three_incidents(told):
    rule = AlertRule.objects.get(code="")
    past = rule_history.history(rule, watch.terms_of(rule), now=NOW)
    incidents = [p for p in cast.PASTS if p.component == "API Services" and p.days_ago < 30]
    assert 1 <= len(past.episodes) <= len(incidents)


def test_post_mortems_stand_in_each_state(told):
    wanted = Counter(past.postmortem for past in cast.PASTS if past.postmortem)
    assert Counter(PostMortem.objects.values_list("state", flat=True)) == wanted
    assert set(wanted) == {"draft", "in_review", "published"}
    assert ActionItem.objects.count() == sum(len(past.items) for past in cast.PASTS)
    assert ActionItem.objects.exclude(state="done").exists()


def test_the_welcome_names_a_password_that_works_and_a_dsn(told):
    words = (configured.DATA_DIR / "welcome.txt").read_text()
    alice = get_user_model().objects.get(username="alice")
    assert alice.check_password(load.password()) and load.password() in words
    assert told.keys.get().public_key in words
    assert (configured.DATA_DIR / "demo-password").stat().st_mode & 0o077 == 0


# --- Times ------------------------------------------------------------------------------------------------------------
def test_the_stamps_of_incidents_are_in_order_and_in_the_past(told):
    stamps = ("began_at", "detected_at", "acknowledged_at", "mitigated_at", "resolved_at", "closed_at")
    for incident in Incident.objects.all():
        known = [getattr(incident, name) for name in stamps if getattr(incident, name)]
        assert known == sorted(known) and known[-1] <= NOW, incident
        assert incident.began_at < incident.created_at <= NOW
        assert (incident.closed_at is not None) == (incident.state == "closed")


def test_nothing_is_told_before_its_incident_began_or_after_now(told):
    # The one page is really sent, a moment after the load began.
    entries = TimelineEntry.objects.exclude(action="page.sent", incident__state="triage")
    assert entries.exists() and not entries.filter(Q(at__lt=F("incident__began_at")) | Q(at__gt=NOW)).exists()
    assert not Alert.objects.filter(Q(first_seen_at__gt=F("triggered_at")) | Q(last_seen_at__gt=NOW)).exists()
    assert not Alert.objects.filter(resolved_at__lt=F("triggered_at")).exists()


def test_documents_follow_their_incidents_and_promises_their_documents(told):
    for document in PostMortem.objects.select_related("incident"):
        known = [document.incident.resolved_at, document.created_at, document.submitted_at, document.approved_at,
                 NOW]  # fmt: skip
        known = [at for at in known if at]
        assert known == sorted(known), document
        assert document.approved_by_id is None or document.approved_by_id != document.author_id
    for item in ActionItem.objects.all():
        assert item.created_at <= NOW and (
            item.closed_at is None or item.created_at <= item.closed_at <= NOW
        ), item


def test_errors_lie_within_the_ninety_days_and_what_was_resolved_stayed_away(told):
    assert not ErrorEvent.objects.filter(occurred_at__gt=NOW).exists()
    assert not ErrorEvent.objects.filter(occurred_at__lt=NOW - story.DAYS * story.DAY).exists()
    assert not ErrorEvent.objects.filter(received_at__lt=F("occurred_at")).exists()
    resolved = ErrorGroup.objects.filter(status="resolved")
    assert resolved.exists() and not resolved.filter(last_seen__gt=F("resolved_at")).exists()
    assert not ErrorGroup.objects.filter(regressed_at__gt=NOW).exists()


# --- The same each time -----------------------------------------------------------------------------------------------
def test_the_same_seed_and_now_tell_the_same_story_and_another_seed_a_different_one():
    one, two, other = moments(), moments(), story.moments(NOW, SEED + 1, N_ERRORS)
    assert one == two and one != other and len(one) == len(other) == N_ERRORS
    for index in range(0, N_ERRORS, 97):
        assert story.event_of(one[index], index, 1, NOW, SEED) == story.event_of(
            two[index], index, 1, NOW, SEED
        )


def test_what_is_stored_is_what_the_seed_says(told):
    told_ids = {story.event_of(m, i, told.pk, NOW, SEED).event_id for i, m in enumerate(moments())}
    assert set(ErrorEvent.objects.values_list("event_id", flat=True)) == told_ids


# --- Quiet ------------------------------------------------------------------------------------------------------------
def test_the_ticks_afterwards_open_nothing_for_history_and_page_for_the_open_incident_only(told, mailoutbox):
    """Fifteen minutes: long enough for every window of the built-in rules, and for Bob's turn."""
    (incident,) = Incident.objects.open()
    alerts, incidents = Alert.objects.count(), Incident.objects.count()
    for seconds in range(0, 15 * 60, 20):
        now = NOW + timedelta(seconds=seconds)
        watch.watch(now=now)
        paging.escalate_due(now=now)
        sending.deliver_due(now=now)
    assert AlertRule.objects.filter(enabled=True).count() >= 8
    assert (Alert.objects.count(), Incident.objects.count()) == (alerts, incidents)
    assert list(Page.objects.exclude(alert__incident=incident)) == []
    assert [m.to for m in mailoutbox] == [["bob@example.org"]]
    assert Escalation.objects.count() == 1


# --- The command ------------------------------------------------------------------------------------------------------
def run(*arguments, **options):
    said = StringIO()
    call_command("demo", *arguments, stdout=said, **options)
    return said.getvalue()


def counts():
    return {model: model.objects.count() for model in COUNTED}


def test_if_empty_does_nothing_the_second_time(told):
    before = counts()
    assert run("--if-empty") == ""
    assert counts() == before


def test_a_second_load_is_refused_with_the_way_out(told):
    with pytest.raises(CommandError, match="demo --remove"):
        run()


@pytest.mark.parametrize("arguments", [(), ("--if-empty",), ("--remove",)])
def test_an_external_database_is_left_alone(told, settings, arguments):
    settings.EMBEDDED_DATABASE = False
    before = counts()
    with pytest.raises(CommandError, match="--force-external"):
        run(*arguments)
    assert counts() == before


def test_fewer_errors_than_the_incidents_have_are_refused():
    with pytest.raises(CommandError, match=f"--errors.*{story.FEWEST:,}"):
        run("--errors", str(story.FEWEST - 1))
