"""Integrations in the admin: made, keyed, tried; the secret is seen once."""

import json

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from apps.alerts.models import Alert, Integration, IntegrationKey
from apps.audit.models import AuditEvent
from tests.alerts.doors.make import am_alert, am_body, make_integration, make_paging, pd_event
from tests.alerts.make import make_component, make_policy, make_project, make_user

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def as_admin(client):
    client.force_login(make_user("carol", is_superuser=True, is_staff=True))
    return client


def fields(**changes):
    return {
        "name": "Prometheus", "kind": "alertmanager", "project": make_project().pk, "pages_from": "error",
        "default_severity": "error", "severity_map": "{}", "reopen_window_s": 0, "limit_per_minute": 120,
        "enabled": "on", **changes,
    }  # fmt: skip


def url(name, *args):
    return reverse(f"admin:alerts_integration_{name}", args=args)


def test_it_is_made_in_the_admin_with_its_words_tidied_and_audited(as_admin):
    words = json.dumps({" Page ": "SEV1", "ticket": "warning"})
    answer = as_admin.post(url("add"), fields(severity_map=words, policy=make_policy().pk))
    assert answer.status_code == 302, answer.context["errors"]
    assert answer["Location"] == url("change", Integration.objects.get().pk)
    assert Integration.objects.get().severity_map == {"page": "critical", "ticket": "warning"}
    assert AuditEvent.objects.filter(action="integration.create").exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"severity_map": '{"page": "huge"}'}, "severity_map"), ({"severity_map": "[1]"}, "severity_map"),
        ({"severity_map": "{"}, "severity_map"), ({"dedup_prefix": "a:b"}, "dedup_prefix"),
        ({"kind": "json"}, "path_of_title"), ({"kind": "json", "path_of_title": "$..x"}, "path_of_title"),
        ({"kind": "json", "path_of_title": "a", "path_of_key": "{{ x }}"}, "path_of_key"),
        ({"limit_per_minute": 0}, "limit_per_minute"), ({"kind": "other"}, "kind"),
    ],
)  # fmt: skip
def test_a_word_or_path_that_cannot_be_is_refused_by_its_field(as_admin, changes, field):
    answer = as_admin.post(url("add"), fields(**changes))
    assert answer.status_code == 200 and field in answer.context["adminform"].form.errors
    assert not Integration.objects.exists()


def test_a_component_of_another_project_is_refused(as_admin):
    other = make_component("Journal", make_project("Other"))
    answer = as_admin.post(url("add"), fields(component=other.pk))
    assert "component" in answer.context["adminform"].form.errors


def test_the_mapping_is_kept_and_shown_again(as_admin):
    typed = {
        "kind": "json",
        "path_of_title": "alert.name",
        "path_of_state": "alert.state",
        "resolved_words": "ok, fine",
    }
    assert as_admin.post(url("add"), fields(**typed)).status_code == 302
    made = Integration.objects.get()
    assert made.mapping == {"title": "alert.name", "state": "alert.state", "resolved_words": ["ok", "fine"]}
    page = as_admin.get(url("change", made.pk)).content.decode()
    assert 'value="alert.name"' in page and 'value="ok, fine"' in page


@pytest.mark.parametrize("kind", ["alertmanager", "events_v2", "json"])
def test_a_key_is_shown_once_inside_what_the_sender_is_given_and_works(as_admin, kind):
    integration, _ = make_integration(kind, mapping={"title": "t"})
    made = as_admin.post(url("key", integration.pk), {"overlap_days": 0})
    secret = made.context["secret"]
    assert made.status_code == 200 and made.content.decode().count(secret) >= 2
    page = as_admin.get(url("change", integration.pk)).content.decode()
    assert secret not in page and secret[:6] in page and "YOUR-KEY" in page
    bodies = {"alertmanager": am_body(am_alert()), "events_v2": pd_event(secret), "json": {"t": "x"}}
    address = "/v2/enqueue" if kind == "events_v2" else f"/api/integrations/{kind}/{secret}/"
    assert address in made.content.decode() or kind == "events_v2"
    assert as_admin.post(address, bodies[kind], "application/json").status_code in (200, 202)


def test_keys_are_revoked_by_a_button(as_admin):
    integration, key = make_integration()
    as_admin.post(f"/admin/alerts/integration/{integration.pk}/press/revoke/")
    assert not IntegrationKey.objects.filter(revoked_at=None).exists()
    assert as_admin.post(f"/api/integrations/alertmanager/{key}/", {}, "application/json").status_code == 404


def test_a_wrong_number_of_days_makes_no_key(as_admin):
    integration, _ = make_integration()
    as_admin.post(url("key", integration.pk), {"overlap_days": 91})
    assert IntegrationKey.objects.count() == 1


def test_what_came_in_and_what_was_refused_is_shown_as_text(as_admin):
    integration, key = make_integration()
    bad = am_body(am_alert())
    bad["alerts"][0]["labels"] = {HOSTILE: 7}
    as_admin.post(f"/api/integrations/alertmanager/{key}/", bad, "application/json")
    as_admin.post(
        f"/api/integrations/alertmanager/{key}/", am_body(am_alert(), truncatedAlerts=4), "application/json"
    )
    page = as_admin.get(url("change", integration.pk)).content.decode()
    assert "The sender leaves alerts out" in page
    assert HOSTILE not in page and "&lt;script&gt;" in page


def test_a_sample_says_what_it_would_make_and_writes_nothing(as_admin):
    integration, key = make_paging(severity_map={"page": "critical"})
    as_admin.post(
        f"/api/integrations/alertmanager/{key}/", am_body(am_alert(severity="page")), "application/json"
    )
    before = Alert.objects.values().get()
    sample = json.dumps(am_body(am_alert(severity="page"), am_alert(host=HOSTILE, severity="info")))
    answer = as_admin.post(url("try", integration.pk), {"sample": sample})
    first, second = answer.context["outcomes"]
    assert (first.severity, first.pages, first.meets) == (
        "critical",
        str(integration.policy),
        "Errors are high (firing)",
    )
    assert (second.severity, second.pages) == ("info", "nobody")
    assert Alert.objects.values().get() == before and HOSTILE not in answer.content.decode()


@pytest.mark.parametrize("sample", ["{", "[]", '{"version": "3"}', '{"a": NaN}', ""])
def test_a_sample_that_the_door_would_refuse_says_why(as_admin, sample):
    integration, _ = make_integration()
    answer = as_admin.post(url("try", integration.pk), {"sample": sample})
    assert answer.status_code == 200 and answer.context["form"].errors["sample"]


def test_who_may_only_look_makes_no_key_and_tries_nothing(client):
    integration, _ = make_integration()
    bob = make_user("bob", is_staff=True)
    bob.groups.add(Group.objects.get(name="Responder"))
    client.force_login(bob)
    assert client.get(url("change", integration.pk)).status_code == 200
    assert client.post(url("key", integration.pk)).status_code == 403
    assert client.get(url("try", integration.pk)).status_code == 403
    assert client.get(url("key", integration.pk)).status_code == 405


def test_the_list_says_which_receive(as_admin):
    make_integration()
    integration, key = make_integration("events_v2")
    as_admin.post("/v2/enqueue", pd_event(key), "application/json")
    IntegrationKey.objects.exclude(integration=integration).delete()
    page = as_admin.get(url("changelist")).content.decode()
    assert "No key" in page and "Receives" in page and "Pages nobody" in page


def test_an_alert_says_which_tool_sent_it_and_where_that_speaks_of_it(as_admin):
    integration, key = make_integration(pages_from="critical")
    as_admin.post(
        f"/api/integrations/alertmanager/{key}/", am_body(am_alert(severity="info")), "application/json"
    )
    page = as_admin.get(f"/admin/alerts/alert/{Alert.objects.get().pk}/change/").content.decode()
    assert integration.name in page and 'href="http://prometheus.example.org/graph?g0.expr=up"' in page
    assert "Its integration pages nobody" in page
    assert Alert.objects.get().incident.opened_by == f"integration: {integration.name}"
