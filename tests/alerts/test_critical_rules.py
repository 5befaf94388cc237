"""The five built-in critical rules, each in both its alternatives, from a request at the door to somebody's page."""

from datetime import timedelta

import orjson
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.alerts import builtin, paging, watch
from apps.alerts.models import Alert, Page
from apps.ingest import drain, inbox, keys, limits, routes
from apps.ingest.models import SetAside
from tests.alerts.make import make_user
from tests.ingest.items import make_items
from tests.ingest.wsgi import KEY, make_project, post, with_key

pytestmark = pytest.mark.django_db(transaction=True)
BEARER = {"HTTP_AUTHORIZATION": f"Bearer {KEY}"}


@pytest.fixture(autouse=True)
def _a_portal_with_one_administrator(settings, tmp_path):
    """The door keeps keys and connections of its own: each test begins without them."""
    settings.DATA_DIR = tmp_path
    make_user(is_superuser=True, is_staff=True)
    builtin.ensure_builtin_rules()
    yield
    keys.forget()
    routes.forget()
    limits.forget()
    inbox.close()


def tracked(name, **data):
    def send(project):
        body = orjson.dumps({"event": name, "data": data})
        assert post("/api/analytics/track", body, **BEARER).status == 200

    return send


def reported(n, component, **record):
    def send(project):
        for number in range(n):
            facts = {"message": "it broke", "component": component, "route": f"/{number}", **record}
            assert post("/api/errors", orjson.dumps(facts), **BEARER).status < 300

    return send


def requests(*codes, component="Authentication"):
    """Transactions as an SDK sends them, one for each status."""

    def send(project):
        at = timezone.now().timestamp()
        items = [
            ({"type": "transaction"}, {
                "event_id": f"{n:032x}", "type": "transaction", "transaction": "/auth/login", "timestamp": at,
                "start_timestamp": at - 0.2, "tags": {"component": component},
                "contexts": {"trace": {"op": "http.server"}, "response": {"status_code": code}},
            }) for n, code in enumerate(codes, 1)
        ]  # fmt: skip
        assert post(f"/api/{project.pk}/envelope/", make_items(*items), **with_key()).status == 200

    return send


def failed_sign_ins(n):
    def send(project):
        for _ in range(n):
            Client().post(reverse("admin:login"), {"username": "mallory", "password": "guess"})

    return send


def fired(*sends):
    """Codes of the rules that fired after the drain and one look, the only look."""
    project = make_project()
    for send in sends:
        send(project)
    drain.drain(now=timezone.now(), slot=1)
    assert not SetAside.objects.exists()
    watch.watch(now=timezone.now())
    return set(Alert.objects.values_list("rule__code", flat=True))


FIRES = {
    "database-connections": {
        "event": tracked("db_pool_error"),
        "figure": reported(1, "Journal", errorType="Database Connection Error", severity="Minor"),
    },
    "authentication-requests": {
        "event": tracked("auth_system_failure"),
        "figure": requests(500, 503, 502, 200, 401),
    },
    "payment-failures": {
        "event": tracked("stripe_checkout_error"),
        "figure": reported(1, "Payments", severity="Critical"),
    },
    "cascade": {
        "event": tracked("cascade_failure_detected"),
        "figure": reported(3, "Journal", severity="Minor"),
    },
    "application-lockout": {
        "event": tracked("security_incident_lockout", email="mallory@example.org", ip="203.0.113.9"),
    },
    "security-lockout": {"figure": failed_sign_ins(5)},
}


@pytest.mark.parametrize(
    ("code", "alternative"), [(code, name) for code, ways in FIRES.items() for name in ways]
)
def test_a_critical_rule_fires_from_what_came_in_and_pages_at_once(code, alternative):
    assert code in fired(FIRES[code][alternative])
    alert = Alert.objects.get(rule__code=code)
    assert (alert.severity, alert.state, alert.incident.severity) == ("critical", "triggered", "critical")
    paging.escalate_due(now=timezone.now() + timedelta(seconds=1))
    assert Page.objects.filter(alert=alert).get().target_label == "Alice"


def test_authentication_down_fires_from_five_serious_errors_too():
    errors = reported(5, "Authentication", severity="Major", route="/login")
    assert "authentication-down" in fired(errors)


@pytest.mark.parametrize(
    ("code", "send"),
    [
        ("authentication-requests", requests(500, 503, 502, 500)),  # fewer than five
        ("authentication-requests", requests(500, 503, 200, 200, 200)),  # less than half
        ("authentication-requests", requests(500, 500, 500, 500, 500, component="Journal")),
        ("authentication-down", reported(4, "Authentication", severity="Major", route="/login")),
        ("payment-failures", reported(3, "Payments", severity="Major")),
        ("payment-failures", reported(3, "Journal", severity="Critical")),
        ("cascade", reported(2, "Journal")),
        ("cascade", reported(5, "Journal", route="/one")),
        ("security-lockout", failed_sign_ins(4)),
        ("database-connections", reported(3, "Journal", errorType="Server Error")),
    ],
)
def test_a_critical_rule_stays_quiet_just_below(code, send):
    assert code not in fired(send)
