"""Signing in and out, failing to, and being locked out: through the real page."""

import pytest
from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory

from apps.audit.models import AuditEvent
from apps.audit.receivers import typed_name
from apps.core.owner import as_owner
from tests.people import PASSWORD, make_person

LOGIN = "/admin/login/"


def sign_in(client, name="alice", password=PASSWORD, **headers):
    return client.post(LOGIN, {"username": name, "password": password, "next": "/api/live"}, headers=headers)


def events(**narrowed):
    return list(AuditEvent.objects.filter(**narrowed).order_by("id"))


@pytest.mark.django_db
def test_a_sign_in_and_a_sign_out_are_recorded_with_person_address_and_request():
    alice = make_person()
    client = Client(headers={"user-agent": "Firefox"})
    answer = sign_in(client)
    assert (answer.status_code, answer["Location"]) == (302, "/api/live")
    client.post("/admin/logout/")
    came, went = events(category="auth")
    assert (came.action, went.action) == ("session.login", "session.logout")
    for event in (came, went):
        assert (event.outcome, event.actor_type, event.actor_id) == ("success", "user", str(alice.pk))
        assert (event.ip, event.user_agent) == ("127.0.0.1", "Firefox")
    assert came.request_id == answer["X-Request-ID"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["alice", "nobody-of-that-name", "hunter2 typed into the wrong field"])
def test_a_failed_sign_in_is_recorded_without_the_typed_name_wherever_it_could_be_kept(name):
    make_person()
    sign_in(Client(), name, "hunter2-canary")
    (event,) = events(action="session.login")
    assert (event.outcome, event.severity, event.actor_type) == ("failure", "medium", "anonymous")
    assert event.resource_id.startswith("name:")
    (attempt,) = AccessAttempt.objects.values()
    for kept in (event.canonical, str(attempt)):
        assert name not in kept
        assert "hunter2-canary" not in kept
    assert attempt["username"] == event.resource_id


@pytest.mark.django_db
def test_repeated_tries_of_one_name_can_be_joined_and_those_of_another_told_apart():
    for name in ("alice", "alice", "bob"):
        sign_in(Client(), name, "wrong")
    one, two, other = (e.resource_id for e in events(action="session.login"))
    assert one == two != other


@pytest.mark.django_db
def test_five_failures_lock_a_name_out_from_that_address_only():
    make_person()
    client = Client()
    assert [sign_in(client, password="wrong").status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    locked = sign_in(client)  # with the right password
    assert locked.status_code == 429
    assert locked["Retry-After"] == str(15 * 60)
    assert locked.json()["code"] == "throttled"
    assert "alice" not in locked.content.decode()
    assert settings.SESSION_COOKIE_NAME not in client.cookies
    assert (
        Client(REMOTE_ADDR="192.0.2.77").post(LOGIN, {"username": "alice", "password": PASSWORD}).status_code
        == 302
    )
    assert sign_in(client, "bob", "wrong").status_code == 200
    first, *_ = lockouts = events(action="security.lockout")
    assert len(lockouts) == 2  # the fifth failure, and the refused try after it
    assert (first.category, first.outcome, first.severity) == ("security", "denied", "high")
    assert first.ip == "127.0.0.1"
    assert first.resource_id == events(action="session.login")[0].resource_id


@pytest.mark.django_db
def test_a_lock_out_cannot_be_had_around_by_another_user_agent_or_a_forged_address():
    make_person()
    for n in range(5):
        sign_in(
            Client(), password="wrong", **{"user-agent": f"agent {n}", "x-forwarded-for": f"203.0.113.{n}"}
        )
    answer = sign_in(Client(), **{"user-agent": "fresh", "x-forwarded-for": "203.0.113.99"})
    assert answer.status_code == 429


@pytest.mark.django_db
def test_a_lock_out_answers_the_same_for_names_that_exist_and_names_that_do_not():
    make_person()
    told = []
    for name in ("alice", "nobody"):
        for _ in range(5):
            answer = sign_in(Client(), name, "wrong")
        document = answer.json()
        told.append({k: v for k, v in document.items() if k not in ("requestId", "instance")})
    assert told[0] == told[1]


@pytest.mark.django_db
def test_a_sign_in_forgets_the_failures_before_it():
    make_person()
    for _ in range(2):
        for _ in range(4):
            assert sign_in(Client(), password="wrong").status_code == 200
        assert sign_in(Client()).status_code == 302
    assert not AccessAttempt.objects.exists()
    assert not AccessLog.objects.exists()


@pytest.mark.django_db
def test_signing_in_where_the_peer_has_no_address_works_and_locks_out_all_the_same():
    make_person()
    client = Client(REMOTE_ADDR="")
    assert sign_in(client).status_code == 302
    answers = [sign_in(Client(REMOTE_ADDR=""), password="wrong").status_code for _ in range(5)]
    assert answers[-1] == 429


@pytest.mark.django_db(transaction=True)
def test_nobody_signs_in_while_the_audit_log_cannot_be_written():
    make_person()
    client = Client(raise_request_exception=False)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("REVOKE INSERT ON audit_auditevent FROM portal_app")
    try:
        answer = sign_in(client)
        assert answer.status_code >= 500
        assert settings.SESSION_COOKIE_NAME not in client.cookies
        assert client.get("/admin/", follow=False).status_code == 302
    finally:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("GRANT INSERT ON audit_auditevent TO portal_app")
    assert sign_in(client).status_code == 302


@pytest.mark.django_db
def test_a_person_who_changes_the_own_password_is_on_record():
    alice = make_person()
    client = Client()
    client.force_login(alice)
    new = "a quite different long phrase"
    sent = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert client.post("/admin/password_change/", sent).status_code == 302
    (event,) = events(action="user.password")
    assert (event.category, event.actor_id, event.resource_id) == ("security", str(alice.pk), str(alice.pk))
    assert new not in event.canonical


@pytest.mark.django_db
def test_a_change_of_password_ends_the_other_sessions():
    alice = make_person()
    here, there = Client(), Client()
    for client in (here, there):
        client.force_login(alice)
    new = "a quite different long phrase"
    sent = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    here.post("/admin/password_change/", sent)
    assert here.get("/admin/").status_code != 302
    assert there.get("/admin/").status_code == 302


@pytest.mark.django_db
def test_making_people_at_the_shell_is_not_on_record():
    make_person()
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db
def test_a_sign_in_without_a_request_is_recorded_too_and_a_missing_name_is_no_error():
    authenticate(request=RequestFactory().post("/"), username="alice", password="wrong")
    assert len(events(action="session.login", outcome="failure")) == 1
    assert typed_name(None, {}) is None
    assert typed_name(RequestFactory().post("/", {"username": "a\0b"}), None).startswith("name:")


@pytest.mark.django_db
def test_the_digest_of_a_name_hangs_on_the_secret_key(settings):
    before = typed_name(None, {"username": "alice"})
    settings.SECRET_KEY = "another secret key of more than forty characters"
    assert typed_name(None, {"username": "alice"}) != before


@pytest.mark.django_db
def test_expired_sessions_can_be_cleared():
    call_command("clearsessions")
