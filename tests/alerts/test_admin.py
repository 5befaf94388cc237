"""Alerts in the admin: forms that refuse, secrets that stay in, buttons that stop paging."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.urls import reverse

from apps.alerts import builtin, channel_services, escalation, outbox, paging, sending, watch
from apps.alerts.forms import ChannelForm, ContactMethodForm, RuleForm
from apps.alerts.models import Alert, AlertRule, Attempt, Channel, ContactMethod, Escalation, Page
from apps.alerts.policy_admin import preview_context
from apps.alerts.policy_forms import StepForm
from apps.audit.models import AuditEvent
from apps.core import panels
from apps.incidents.models import Incident
from tests.alerts.make import (
    NOW,
    make_alert,
    make_channel,
    make_component,
    make_errors,
    make_policy,
    make_rule,
    make_user,
)
from tests.alerts.receivers import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_private_allowed(settings):
    settings.OUTBOUND_ALLOW = []


@pytest.fixture
def as_admin(client):
    client.force_login(make_user(is_superuser=True, is_staff=True))
    return client


def signed_in(client, group, name="bob"):
    user = make_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return client


RULE = {
    "name": "Mine", "condition": "errorCount > 5", "window_s": 300, "for_s": 0, "minimum": 0, "severity":
    "error", "resolve_after_s": 300, "reopen_window_s": 0, "tags": "{}", "enabled": "on",
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"condition": "nonsense > 5"}, "condition", "Unknown measure nonsense. Known: affectedUsers"),
        ({"condition": "errorRate > 100"}, "condition", "can never hold"),
        ({"condition": "errorCount > exit()"}, "condition", "code are not read"),
        ({"condition": "errorCount > 5", "threshold": 6}, "threshold", "Clear one of them"),
        ({"window_s": 5}, "window_s", "greater than or equal to 60"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_at_its_field(given, field, said):
    form = RuleForm({**RULE, **given})
    assert not form.is_valid() and said in form.errors[field][0]


def test_a_rule_of_one_project_cannot_name_a_component_of_another():
    journal = make_component("Journal")
    form = RuleForm({**RULE, "component": journal.pk, "component_name": "Journal"})
    assert not form.is_valid() and "not both" in form.errors["component_name"][0]


def test_a_rule_is_made_in_the_admin_and_audited(as_admin):
    answer = as_admin.post(reverse("admin:alerts_alertrule_add"), RULE)
    assert answer.status_code == 302, answer.context["errors"]
    assert AlertRule.objects.get(name="Mine").condition == "errorCount > 5"
    assert AuditEvent.objects.filter(action="alert_rule.create").exists()


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"kind": "webhook", "address": ""}, "address", "Give an address"),
        ({"kind": "webhook", "address": "ftp://x.org/"}, "address", "must begin with"),
        ({"kind": "webhook", "address": "https://a:b@x.org/"}, "address", "user or password"),
        ({"kind": "webhook", "address": "https://x.org\\@evil.org/"}, "address", "plain ASCII"),
        ({"kind": "webhook", "address": "https://x.org:22/"}, "address", "Port 22"),
        ({"kind": "email", "address": "nobody"}, "address", "valid email"),
        ({"kind": "slack", "address": "https://hooks.slack.com/x"}, "address", "is a secret"),
        ({"kind": "slack", "new_secret": "hooks.slack.com/x"}, "new_secret", "must begin with"),
        ({"kind": "pigeon", "address": "x"}, "kind", "not one of the available choices"),
    ],
)
def test_a_channel_that_cannot_work_is_refused_at_its_field(given, field, said):
    form = ChannelForm({"name": "x", "enabled": "on", **given})
    assert not form.is_valid() and said in form.errors[field][0]


def test_people_are_not_reached_by_a_webhook_and_a_step_names_somebody():
    form = ContactMethodForm(
        {"user": make_user().pk, "kind": "webhook", "address": "https://x.org", "order": 1}
    )
    assert not form.is_valid() and "not a person" in form.errors["kind"][0]
    step = StepForm({"order": 1, "wait_before_s": 0, "kind": "team"})
    assert not step.is_valid() and "would page nobody" in step.errors["team"][0]


def test_a_secret_goes_in_and_never_comes_out(as_admin):
    secret = "https://hooks.slack.com/services/T000/B000/verysecret1"
    given = {"name": "ops", "kind": "slack", "address": "", "enabled": "on", "new_secret": secret}
    assert as_admin.post(reverse("admin:alerts_channel_add"), given).status_code == 302
    channel = Channel.objects.get()
    assert channel.open_secret() == secret and channel.secret_hint == "…ret1"
    assert secret.encode() not in bytes(channel.secret)
    assert as_admin.get(reverse("admin:alerts_channel_changelist")).content.count(b"verysecret1") == 0
    assert not AuditEvent.objects.filter(canonical__contains="verysecret1").exists()
    assert AuditEvent.objects.filter(action="channel.secret").count() == 1
    # Saved again without a new one, the secret stays.
    changed = {**given, "new_secret": "", "name": "ops two"}
    assert (
        as_admin.post(reverse("admin:alerts_channel_change", args=[channel.pk]), changed).status_code == 302
    )
    channel.refresh_from_db()
    assert (channel.name, channel.open_secret()) == ("ops two", secret)


def test_a_test_is_sent_by_post_and_leaves_a_receipt(as_admin, settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    with Receiver() as hook:
        channel = make_channel("webhook", hook.url)
        url = reverse("admin:alerts_channel_press", args=[channel.pk, "test"])
        assert as_admin.get(url).status_code == 405
        as_admin.post(url)
    assert len(hook.requests) == 1 and b"This is a test" in hook.requests[0][2]
    assert Attempt.objects.get().outcome == "sent"
    channel.refresh_from_db()
    assert channel.last_sent_at is not None


def test_a_test_that_fails_is_one_try_and_says_why(settings):
    channel = make_channel("webhook", "http://127.0.0.1/")
    page = channel_services.send_test(channel=channel, now=NOW)
    assert page.attempts == 1 and "may not be reached" in page.failure
    assert outbox.due_ids(now=NOW, limit=5) == []


LISTS = ("alert", "alertrule", "escalationpolicy", "channel", "contactmethod", "page", "escalation")


@pytest.mark.parametrize("model", LISTS)
def test_each_list_shows_its_rows_in_a_fixed_number_of_queries(
    as_admin, model, django_assert_max_num_queries
):
    for name in ("One", "Two", "Three"):
        make_alert(make_policy((0, make_user()), (60, make_channel())), component=make_component(name))
    paging.escalate_due(now=NOW)
    builtin.ensure_builtin_rules()
    url = reverse(f"admin:alerts_{model}_changelist")
    as_admin.get(url)
    with django_assert_max_num_queries(25):
        assert as_admin.get(url).status_code == 200


def test_the_list_of_alerts_begins_with_the_open_ones(as_admin):
    make_alert()
    Alert.objects.update(state="resolved")
    make_alert(component=make_component("Journal"))
    url = reverse("admin:alerts_alert_changelist")
    assert as_admin.get(url).context["cl"].result_count == 1
    assert as_admin.get(url, {"state": "all"}).context["cl"].result_count == 2


def test_the_list_of_rules_says_what_it_saw_and_that_it_pages_nobody(as_admin):
    rule = AlertRule.objects.create(name="Mine", condition="errorCount > 1")
    make_errors(7)
    watch.watch(now=NOW)
    text = as_admin.get(reverse("admin:alerts_alertrule_changelist"), {"q": "Mine"}).content.decode()
    assert "Firing (1)" in text and ">7<" in text and rule.policy is None and "Pages nobody" in text


def test_the_preview_is_the_plan_that_the_engine_runs():
    gone = make_user("bob", is_active=False)
    policy = make_policy((0, make_user()), (300, gone), (60, make_channel("slack", "", "https://x.org")))
    shown = preview_context(policy)["previews"][0][1]
    assert [(row.after, row.who, row.by) for row in shown.rows][:2] == [
        ("+0 min", "Alice", "email"), ("+1 min", policy.steps.last().channel.name, "slack"),
    ]  # fmt: skip
    assert "Step 2: Bob is no longer active." in shown.warnings
    make_alert(policy)
    frozen = escalation.plan_of(Escalation.objects.get().plan)
    shown = paging.plan_for(policy, NOW)
    assert list(escalation.preview(frozen)) == list(escalation.preview(shown))


def test_markup_in_a_persons_name_stays_text_in_the_preview(as_admin):
    policy = make_policy((0, make_user("mallory", first_name="<script>x()</script>")))
    page = as_admin.get(reverse("admin:alerts_escalationpolicy_change", args=[policy.pk]))
    assert b"&lt;script&gt;x()" in page.content and b"<script>x()" not in page.content


@pytest.mark.parametrize("model", LISTS)
def test_each_page_of_a_row_is_drawn(as_admin, model):
    alert = make_alert(make_policy((0, make_user()), (0, make_channel())), rule=make_rule())
    ContactMethod.objects.create(user=make_user(), address="alice@example.org")
    paging.escalate_due(now=NOW)
    sending.deliver_due(now=NOW)
    row = apps.get_model("alerts", model).objects.first()
    assert as_admin.get(reverse(f"admin:alerts_{model}_change", args=[row.pk])).status_code == 200
    assert alert.state == "triggered"


def test_verbs_are_offered_only_where_they_fit(as_admin):
    alert = make_alert()
    url = reverse("admin:alerts_alert_change", args=[alert.pk])
    assert [b.name for b in as_admin.get(url).context["buttons"]] == [
        "acknowledge", "resolve", "snooze", "silence", "merge",
    ]  # fmt: skip
    Alert.objects.update(state="resolved")
    assert [b.name for b in as_admin.get(url).context["buttons"]] == ["reopen"]


@pytest.mark.parametrize(("verb", "state"), [("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_an_alerts_button_works_for_responders_and_not_for_viewers(client, verb, state):
    alert = make_alert(make_policy((0, make_user())))
    url = reverse("admin:alerts_alert_press", args=[alert.pk, verb])
    assert signed_in(client, "Viewer", "mallory").post(url).status_code == 403
    signed_in(client, "Responder").post(url)
    alert.refresh_from_db()
    assert alert.state == state


@pytest.mark.parametrize("verb", ["acknowledge", "resolve"])
def test_an_incidents_button_stops_the_paging_and_goes_back_safely(client, verb):
    alert = make_alert(make_policy((0, make_user())))
    url = reverse(f"alerts:{verb}_incident", args=[alert.incident_id])
    assert client.post(url).url.startswith("/admin/login/")
    assert signed_in(client, "Viewer", "mallory").post(url).status_code == 403
    signed_in(
        client, "Commander"
    )  # a responder acknowledges, and does not resolve the two highest severities
    assert client.get(url).status_code == 405
    assert client.post(url, {"next": "/admin/"}).url == "/admin/"
    away = client.post(url, {"next": "https://evil.example/"}).url
    assert away == reverse("admin:incidents_incident_change", args=[alert.incident_id])
    incident = Incident.objects.get()
    assert incident.acknowledged_by == "bob" if verb == "acknowledge" else incident.state == "resolved"
    assert client.post(reverse(f"alerts:{verb}_incident", args=[999_999])).status_code == 404


def test_several_incidents_are_acknowledged_with_one_reason(client):
    found = [make_alert(component=make_component(name)).incident_id for name in ("Payments", "Journal")]
    url = reverse("alerts:acknowledge_incidents")
    signed_in(client, "Responder")
    client.post(url, {"incident": found})
    assert not Incident.objects.filter(acknowledged_by="bob").exists()
    client.post(url, {"incident": found, "reason": "One deploy"})
    assert Incident.objects.filter(acknowledged_by="bob").count() == 2


def test_the_panels_of_an_incident_say_who_is_paged_next_and_who_was():
    alert = make_alert(make_policy((0, make_user()), (300, make_user("bob"))))
    paging.escalate_due(now=NOW)
    assert panels.names("incidents.Incident", "side") == ["alerts", "paging"]
    assert "alerts" in panels.names("incidents.PostMortem", "facts")
    shown, paged = panels.of("incidents.Incident", "side", alert.incident)[:2]
    assert [row.label for row in shown.rows] == ["Payments are failing"] and shown.rows[0].state == "firing"
    assert [(row.label, row.state) for row in paged.rows] == [("Next: Bob", "pending"), ("Alice", "pending")]
    Page.objects.all().delete()
    assert panels.of("incidents.Incident", "side", make_alert(component=make_component("Journal")).incident)[
        1
    ].empty.startswith("Pages nobody")
