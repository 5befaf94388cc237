"""The API of alerts: what it shows, whom it lets act, and what it refuses."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from rest_framework.test import APIClient

from apps.alerts import services
from apps.alerts.models import Alert
from apps.alerts.services import Act
from apps.audit.models import AuditEvent
from apps.projects.services import create_token
from tests.alerts.make import at, make_alert, make_component, make_policy, make_project, make_user

pytestmark = pytest.mark.django_db
LIST = "/api/reliability/alerts"


def client_of(name="alice", group="Responder", scopes=("api:read", "alerts:write")):
    user = make_user(name)
    user.groups.add(Group.objects.get(name=group))
    _, secret = create_token(user=user, scopes=list(scopes))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return client


def titles(answer):
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_active_alerts_are_listed_and_resolved_ones_only_when_asked_for():
    first, second = make_alert(), make_alert(component=make_component("Journal"))
    services.resolve(alert=first, act=Act("bob", at(5)))
    client = client_of()
    assert titles(client.get(LIST)) == titles(client.get(LIST + "/")) == [second.pk]
    assert titles(client.get(LIST, {"state": "resolved"})) == [first.pk]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"severity": "critical"}, 2), ({"severity": "SEV1"}, 2), ({"severity": "low"}, 0),
        ({"component": "Payments"}, 1), ({"component": "journal"}, 1), ({"project": "shop"}, 1),
        ({"state": "triggered"}, 2), ({"state": "acknowledged"}, 0),
        ({"project": "other", "component": "x"}, 0),
    ],
)  # fmt: skip
def test_the_list_is_narrowed(query, found):
    make_alert()
    make_alert(component=make_component("Journal", make_project("Other")))
    assert len(titles(client_of().get(LIST, query))) == found


@pytest.mark.parametrize(
    ("query", "field"), [({"severity": "huge"}, "severity"), ({"state": "open"}, "state")]
)
def test_an_unknown_word_is_refused_by_the_name_of_its_field(query, field):
    answer = client_of().get(LIST, query)
    assert answer.status_code == 400 and answer.json()["details"][0]["field"] == field


def test_the_list_costs_the_same_number_of_queries_however_long(django_assert_max_num_queries):
    client = client_of()
    for name in ("One", "Two", "Three", "Four"):
        make_alert(component=make_component(name))
    client.get(LIST)
    with django_assert_max_num_queries(6):
        assert len(titles(client.get(LIST))) == 4


@pytest.mark.parametrize(("verb", "state"), [("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_an_act_changes_the_alert_once_and_says_how_it_is(verb, state):
    alert = make_alert(make_policy((0, make_user())))
    client = client_of()
    first = client.post(f"{LIST}/{alert.pk}/{verb}", {"epoch": 1}, format="json")
    again = client.post(f"{LIST}/{alert.pk}/{verb}/", format="json")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["state"] == again.json()["state"] == state
    event = AuditEvent.objects.get(action=f"alert.{verb}")
    assert event.actor_label == "alice"


def test_a_snooze_names_its_end_and_is_refused_beyond_a_week_or_after_the_end():
    alert, client = make_alert(make_policy((0, make_user()))), client_of()
    url, soon = f"{LIST}/{alert.pk}/snooze", (timezone.now() + timedelta(hours=4)).isoformat()
    for until in (None, "x", timezone.now().isoformat(), (timezone.now() + timedelta(days=8)).isoformat()):
        refused = client.post(url, {"until": until}, format="json")
        assert refused.status_code == 400 and refused.json()["details"][0]["field"] == "until", until
    assert Alert.objects.get().state == "triggered"
    assert client.post(url, {"until": soon, "epoch": 1}, format="json").json()["state"] == "acknowledged"
    assert Alert.objects.get().returns_at.isoformat()[:19] == soon[:19]
    client.post(f"{LIST}/{alert.pk}/resolve", format="json")
    late = client.post(url, {"until": soon}, format="json")
    assert late.status_code == 409 and late.json()["details"][0]["field"] == "state"


def test_a_stale_epoch_is_a_conflict_that_names_the_field():
    alert = make_alert()
    answer = client_of().post(f"{LIST}/{alert.pk}/acknowledge", {"epoch": 9}, format="json")
    assert answer.status_code == 409
    assert answer.json()["code"] == "conflict" and answer.json()["details"][0]["field"] == "epoch"
    assert Alert.objects.get().state == "triggered"


@pytest.mark.parametrize("epoch", [0, "x", [1]])
def test_a_wrong_epoch_is_refused(epoch):
    answer = client_of().post(f"{LIST}/{make_alert().pk}/acknowledge", {"epoch": epoch}, format="json")
    assert answer.status_code == 400 and answer.json()["details"][0]["field"] == "epoch"


@pytest.mark.parametrize(
    ("group", "scopes", "read", "write"),
    [("Responder", ("api:read",), 200, 403), ("Viewer", ("api:read", "alerts:write"), 200, 403),
     ("Responder", ("alerts:write",), 403, 200)],
)  # fmt: skip
def test_scope_and_permission_are_both_needed(group, scopes, read, write):
    alert, client = make_alert(), client_of(group=group, scopes=scopes)
    assert client.get(LIST).status_code == read
    assert client.post(f"{LIST}/{alert.pk}/acknowledge", format="json").status_code == write


def test_strangers_are_asked_who_they_are_and_get_is_no_act():
    alert = make_alert()
    assert APIClient().get(LIST).status_code == 401
    assert APIClient().post(f"{LIST}/{alert.pk}/resolve").status_code == 401
    assert client_of().get(f"{LIST}/{alert.pk}/acknowledge").status_code == 405
    assert client_of("bob").post(f"{LIST}/999999/acknowledge", format="json").status_code == 404


def test_stats_count_and_leave_unknown_figures_open():
    client = client_of()
    assert client.get(LIST + "/stats").json()["recent"]["meanSecondsToAcknowledge"] is None
    alert = make_alert(now=at(-60))
    make_alert(component=make_component("Journal"))
    Alert.objects.update(triggered_at=at(0))
    services.acknowledge(alert=alert, act=Act("alice", at(30)))
    found = client.get(LIST + "/stats/").json()
    assert (found["open"], found["triggered"], found["acknowledged"]) == (2, 1, 1)
    assert found["bySeverity"] == {"critical": 2}


def test_one_alert_is_shown_in_whatever_state():
    alert = make_alert()
    services.resolve(alert=alert, act=Act("bob", at(5)))
    client = client_of()
    found = client.get(f"{LIST}/{alert.pk}")
    assert (found.status_code, found.json()["state"], found.json()["resolvedBy"]) == (200, "resolved", "bob")
    assert client.get(f"{LIST}/{alert.pk + 1}/").status_code == 404
    assert APIClient().get(f"{LIST}/{alert.pk}").status_code == 401


# --- Incidents: what stops paging -----------------------------------------------------------------------------
def make_paged_incident():
    alert = make_alert(make_policy((0, make_user()), (300, make_user("bob"))))
    return alert, f"/api/reliability/incidents/{alert.incident_id}"


def client_for_incidents(group="Commander", scopes=("incidents:write",)):
    return client_of("carol", group, scopes)


@pytest.mark.parametrize(
    ("address", "body", "state"),
    [
        ("acknowledge", {}, "acknowledged"), ("resolve", {}, "resolved"),
        ("move", {"verb": "cancel", "reason": "false alarm"}, "resolved"),
    ],
)  # fmt: skip
def test_an_act_on_an_incident_stops_its_paging_at_once(address, body, state):
    alert, url = make_paged_incident()
    answer = client_for_incidents().post(f"{url}/{address}", body, format="json")
    assert answer.status_code == 200, answer.content
    alert.refresh_from_db()
    assert (alert.state, alert.escalations.get().state) == (state, "stopped")
    assert answer.json()["openAlerts"] == (1 if state == "acknowledged" else 0)
    again = client_for_incidents().post(f"{url}/{address}/", body, format="json")
    assert again.status_code == (409 if address == "move" else 200)


def test_a_move_that_is_refused_leaves_the_alerts_as_they_are():
    alert, url = make_paged_incident()
    for body, status in (
        ({"verb": "cancel"}, 400),
        ({"verb": "close"}, 409),
        ({"verb": "cancel", "reason": "x", "version": 9}, 409),
    ):
        assert client_for_incidents().post(f"{url}/move", body, format="json").status_code == status
    alert.refresh_from_db()
    assert (alert.state, alert.escalations.get().state) == ("triggered", "active")


@pytest.mark.parametrize(
    ("group", "scopes"), [("Viewer", ("incidents:write",)), ("Commander", ("alerts:write",))]
)
def test_an_act_on_an_incident_needs_its_scope_and_its_role(group, scopes):
    alert, url = make_paged_incident()
    for verb in ("acknowledge", "resolve"):
        assert client_for_incidents(group, scopes).post(f"{url}/{verb}", format="json").status_code == 403
    alert.refresh_from_db()
    assert alert.state == "triggered"


def test_resolving_a_critical_incident_needs_the_commander():
    alert, url = make_paged_incident()
    assert client_for_incidents("Responder").post(f"{url}/resolve", format="json").status_code == 403
    alert.refresh_from_db()
    assert alert.state == "triggered"
