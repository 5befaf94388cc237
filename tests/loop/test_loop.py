"""The main job with real parts: a real SDK's error becomes a group, an alert, an incident and a mail; acknowledging
stops the paging."""

import json
import subprocess
import sys
import time

import pytest

from tests.core.processes import PROJECT
from tests.loop.portal import KEY, eventually, running_portal

SECOND_STEP_S = 20
SET_UP = f"""
import json
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from apps.alerts.builtin import ensure_builtin_rules
from apps.alerts.models import AlertRule, EscalationPolicy, EscalationStep
from apps.projects.services import create_token
User = get_user_model()
made = {{}}
for name in ("alice", "bob"):
    made[name] = User.objects.create_user(name, f"{{name}}@example.org", is_staff=True)
    made[name].groups.set(Group.objects.filter(name__in=["Responder", "Commander"]))
policy = EscalationPolicy.objects.create(
    name="Test", repeat_count=0, fallback_user=made["alice"], is_default=True)
for order, (name, wait) in enumerate([("alice", 0), ("bob", {SECOND_STEP_S})]):
    EscalationStep.objects.create(policy=policy, order=order, wait_before_s=wait, kind="people").users.add(made[name])
ensure_builtin_rules()
AlertRule.objects.update(policy=policy)
print(json.dumps(create_token(user=made["alice"], scopes=["api:read", "alerts:write"])[1]))
"""
DJANGO_APP = """
import sys
import sentry_sdk
from sentry_sdk.integrations.django import DjangoIntegration
sentry_sdk.init(sys.argv[1], integrations=[DjangoIntegration()], release="shop@1.4.2", environment="test")
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], DATABASES={})
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.urls import path
def pay(request):
    card = {"number": "4111 1111 1111 1111"}
    raise ConnectionRefusedError("payment gateway refused the connection")
urlpatterns = [path("payments/checkout", pay)]
from django.test import Client
try:
    Client().get("/payments/checkout")
except ConnectionRefusedError:
    pass
sentry_sdk.flush(10)
"""
FLASK_APP = """
import sys
import sentry_sdk
from sentry_sdk.integrations.flask import FlaskIntegration
sentry_sdk.init(sys.argv[1], integrations=[FlaskIntegration(transaction_style="url")], release="shop@1.4.2")
from flask import Flask
app = Flask(__name__)
@app.route("/journal/entry")
def entry():
    raise KeyError("draft")
app.test_client().get("/journal/entry")
sentry_sdk.flush(10)
"""
STATE = """
import json
from apps.alerts.models import Alert, Page
from apps.errors.models import ErrorGroup
from apps.incidents.models import Incident
print(json.dumps({
    "groups": [[g.title, g.event_count, g.component.name, g.severity] for g in ErrorGroup.objects.all()],
    "alerts": [[a.pk, a.title, a.state, a.acked_by] for a in Alert.objects.all()],
    "incidents": [[i.pk, i.title, i.severity, bool(i.acknowledged_at)] for i in Incident.objects.all()],
    "pages": [[p.target_label, p.state] for p in Page.objects.all()],
}))
"""


@pytest.fixture
def portal():
    with running_portal() as it:
        it.token = json.loads(it.manage("shell", "--verbosity", "0", "-c", SET_UP).splitlines()[-1])
        it.dsn = it.manage("dsn", "Shop", "--key", KEY)
        yield it


def test_a_django_app_with_the_sdk_pages_alice_and_acknowledging_spares_bob(portal):
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", DJANGO_APP, portal.dsn], cwd=PROJECT, check=True, timeout=60)
    mail = eventually(portal.mails, "the first mail", 30)[0]
    took = time.monotonic() - begun
    print(f"from the exception to the mail: {took:.1f} s")
    assert mail["to"] == "alice@example.org"
    state = portal.ask(STATE)
    assert (
        [g for g in state["groups"] if "ConnectionRefusedError" in g[0]]
        and state["incidents"]
        and state["alerts"]
    )
    assert portal.site in mail["text"]

    for alert_id, *_ in state["alerts"]:
        status, _ = portal.post(
            f"/api/reliability/alerts/{alert_id}/acknowledge", {}, Authorization=f"Bearer {portal.token}"
        )
        assert status == 200
    time.sleep(SECOND_STEP_S + 12)  # the second step would have been due and delivered long since
    assert {m["to"] for m in portal.mails()} == {"alice@example.org"}
    after = portal.ask(STATE)
    assert all(state == "acknowledged" for _, _, state, _ in after["alerts"])
    assert all(acknowledged for *_, acknowledged in after["incidents"])
    assert "4111" not in portal.manage("shell", "--verbosity", "0", "-c", "from apps.errors.models import ErrorEvent\n"
                                       "print([e.payload for e in ErrorEvent.objects.all()])")  # fmt: skip


def test_without_an_acknowledgement_bob_is_paged_second(portal):
    status, answer = portal.post(
        "/api/errors/", {"component": "Payments", "severity": "Critical", "message": "card payments fail"},
        Authorization=f"Bearer {KEY}",
    )  # fmt: skip
    assert (status, answer["ok"]) == (201, True)
    eventually(
        lambda: {"alice@example.org", "bob@example.org"} <= {m["to"] for m in portal.mails()},
        "bob's mail",
        60,
    )


def test_flask_with_the_sdk_and_a_browser_reach_their_components(portal):
    subprocess.run([sys.executable, "-c", FLASK_APP, portal.dsn], cwd=PROJECT, check=True, timeout=60)
    status, _ = portal.post(
        f"/api/errors/client?sentry_key={KEY}", {"message": "x is undefined", "errorType": "TypeError"}
    )
    assert status == 201
    groups = eventually(lambda: len(g := portal.ask(STATE)["groups"]) == 2 and g, "both groups", 20)
    assert {component for _, _, component, _ in groups} == {"Journal", "Frontend UI"}
    assert {severity for *_, severity in groups} == {"Major", "Minor"}
