"""Tokens at the door of the API: what they open, and the one answer to all that do not."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.projects import services
from apps.projects.models import ApiToken
from tests.people import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.core.probe_urls")]
WHO, RIGHT = "/api/probe/who", "/api/probe/right"


def make_token(*scopes, user=None, **facts):
    return services.create_token(user=user or make_person(), scopes=list(scopes or ["api:read"]), **facts)


def ask(address, secret, scheme="Bearer"):
    return Client(raise_request_exception=False).get(address, headers={"authorization": f"{scheme} {secret}"})


def test_a_token_opens_what_its_scope_names_and_is_the_actor():
    token, secret = make_token()
    answer = ask(WHO, secret)
    assert (answer.status_code, answer.json()) == (200, {"actor": "api_key"})
    event = AuditEvent.objects.get(action="probe.read")
    assert (event.actor_type, event.actor_id, event.actor_label) == ("api_key", token.prefix, "alice")
    assert secret not in event.canonical


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(scheme):
    assert ask(WHO, make_token()[1], scheme).status_code == 200


def test_unknown_revoked_ended_and_inactive_tokens_get_the_same_401():
    alice, now = make_person(), timezone.now()
    _, ended = make_token(user=alice, expires_at=now - timedelta(seconds=1))
    revoked, gone = make_token(user=alice)
    services.revoke_token(token=revoked)
    carol = make_person("carol")
    _, orphan = make_token(user=carol)
    type(carol).objects.filter(pk=carol.pk).update(is_active=False)
    told = set()
    for secret in (ended, gone, orphan, "rp_unknown", "rp_", "rp_\u00ff\0", "rp_" + "x" * 100_000):
        answer = ask(WHO, secret)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == 'Bearer realm="reliability-portal"'
        document = answer.json()
        assert document.pop("requestId") == document.pop("instance").removeprefix("urn:uuid:")
        told.add(str(document))
    assert len(told) == 1


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer  ", "Basic YTpi", "Bearer other", "rp_x", "Token rp_x"]
)
def test_what_is_no_token_of_ours_is_401_as_well(header):
    answer = Client().get(WHO, headers={"authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_a_token_without_the_scope_is_403_whatever_its_user_may():
    _, secret = make_token("alerts:write", user=make_person(is_superuser=True))
    assert ask(WHO, secret).status_code == 403
    assert ask(RIGHT, secret).status_code == 403


def test_a_scope_gives_no_right_that_its_user_does_not_have():
    alice = make_person()
    _, secret = make_token("incidents:write", user=alice)
    assert ask(RIGHT, secret).status_code == 403
    alice.user_permissions.add(Permission.objects.get(codename="add_user"))
    assert ask(RIGHT, secret).status_code == 200


def test_a_session_needs_no_scope_but_the_right():
    client = Client()
    client.force_login(make_person())
    assert client.get(WHO).json() == {"actor": "user"}
    assert client.get(RIGHT).status_code == 403


def test_a_token_that_is_refused_never_falls_back_to_the_session_beside_it():
    client = Client()
    client.force_login(make_person())
    assert client.get(WHO, headers={"authorization": "Bearer rp_unknown"}).status_code == 401


def test_use_is_noted_once_a_minute():
    _, secret = make_token()
    ask(WHO, secret)
    first = ApiToken.objects.get().last_used_at
    ask(WHO, secret)
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    ask(WHO, secret)
    assert ApiToken.objects.get().last_used_at >= first


def test_a_token_opens_no_page_of_the_admin():
    _, secret = make_token(user=make_person(is_superuser=True))
    assert ask("/admin/", secret).status_code == 302
