"""What browsers are told, and that servers are not asked."""

import orjson
import pytest

from apps.ingest.models import InboxEntry
from tests.ingest.wsgi import FOREIGN_KEY, KEY, make_envelope, make_project, post, with_key

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "https://shop.example.org"
MALLORY = "https://mallory.example"
DOORS = ["/api/{}/envelope/", "/api/{}/store/", "/api/errors/client", "/api/errors/batch"]


def make_restricted():
    return make_project(allowed_origins=["https://*.example.org", "http://localhost:3000"])


def ask(path, origin, key=KEY):
    """As a browser asks first: no body, no header of ours, the key in the query or nowhere."""
    query = f"sentry_version=7&sentry_key={key}" if key else ""
    return post(path, method="OPTIONS", QUERY_STRING=query, HTTP_ORIGIN=origin)


def send(path, origin=None):
    body = make_envelope({"message": "x"}) if "envelope" in path else orjson.dumps({"message": "x"})
    more = {"HTTP_ORIGIN": origin} if origin else {}
    return post(path, body, QUERY_STRING=f"sentry_key={KEY}", **more)


@pytest.mark.parametrize("door", DOORS)
def test_a_key_that_names_its_pages_is_answered_with_the_page_that_asks(door):
    path = door.format(make_restricted().pk)
    for answer in (ask(path, PAGE), send(path, PAGE)):
        assert answer.status in (200, 201, 202), answer.body
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "Origin" in answer.headers["vary"]
    assert "X-Sentry-Auth" in ask(path, PAGE).headers["access-control-allow-headers"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("origin", [MALLORY, "null", "https://example.org", "https://evilexample.org"])
def test_other_pages_are_refused_when_they_ask_and_when_they_send(door, origin):
    path = door.format(make_restricted().pk)
    for answer in (ask(path, origin), send(path, origin)):
        assert (answer.status, answer.json["code"]) == (403, "origin_not_allowed")
        assert origin not in answer.headers.values()
    assert not InboxEntry.objects.exists()


@pytest.mark.parametrize("door", DOORS)
def test_a_server_says_no_origin_and_is_not_asked_for_one(door):
    answer = send(door.format(make_restricted().pk))
    assert answer.status in (200, 201, 202)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("door", DOORS)
def test_a_key_that_names_no_pages_takes_any(door):
    path = door.format(make_project().pk)
    for answer in (ask(path, MALLORY), send(path, MALLORY)):
        assert answer.status in (200, 201, 202)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("key", [None, FOREIGN_KEY, "nonsense"])
def test_a_browser_that_does_not_say_its_key_when_it_asks_is_judged_when_it_sends(key):
    path = f"/api/{make_restricted().pk}/envelope/"
    assert ask(path, MALLORY, key).status == 200
    answer = post(path, make_envelope({"message": "x"}), HTTP_ORIGIN=MALLORY, **with_key())
    assert answer.status == 403
