"""The door's other ways in: the tunnel, bodies as browsers and very old clients send them; and what has no door."""

import base64
import zlib

import orjson
import pytest
from django.utils import timezone

from apps.errors.models import ErrorEvent
from apps.ingest import drain
from apps.ingest.models import EntryKind, InboxEntry
from tests.ingest.wsgi import FOREIGN_KEY, KEY, make_envelope, make_project, post, with_key

pytestmark = pytest.mark.django_db(transaction=True)
EVENT_ID = "a" * 32
EVENT = {"event_id": EVENT_ID, "message": "out of stock"}
PAGE = "https://shop.example.org"


def dsn(project, key=KEY, host="shop.example.org", number=None) -> str:
    return f"https://{key}@{host}/{number or project.pk}"


def tunnel(body: bytes, path="/api/tunnel/", **environ):
    return post(path, body, CONTENT_TYPE="text/plain;charset=UTF-8", **environ)


# --- The tunnel ---
@pytest.mark.parametrize("path", ["/api/tunnel/", "/api/tunnel"])
def test_an_envelope_comes_in_by_the_dsn_that_it_holds(path):
    project = make_project()
    answer = tunnel(make_envelope(EVENT, event_id=EVENT_ID, dsn=dsn(project)), path, HTTP_ORIGIN=PAGE)
    assert (answer.status, answer.json) == (200, {"id": EVENT_ID})
    assert answer.headers["access-control-allow-origin"] == "*"
    entry = InboxEntry.objects.get()
    assert (entry.project_id, entry.kind) == (project.pk, EntryKind.ENVELOPE)


@pytest.mark.parametrize("given", [
    None, 7, "", "nonsense", "https://shop.example.org/1", f"https://{FOREIGN_KEY}@x/1", f"https://{KEY}@x/",
    f"https://{KEY}@x/../1/x", f"https://{KEY}@[::1/1", {"key": KEY}, f"https://{KEY}@x/{'9' * 30}",
])  # fmt: skip
def test_without_a_dsn_of_a_project_nothing_comes_in_whatever_else_the_request_says(given):
    make_project()
    answer = tunnel(make_envelope(EVENT, dsn=given), QUERY_STRING=f"sentry_key={KEY}", **with_key())
    assert (answer.status, answer.json["code"]) == (401, "not_authenticated")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert not InboxEntry.objects.exists()


def test_the_key_and_the_number_of_a_dsn_belong_together():
    shop = make_project()
    blog = make_project("Blog", FOREIGN_KEY)
    answer = tunnel(make_envelope(EVENT, dsn=dsn(shop, number=blog.pk)))
    assert (answer.status, answer.json["code"]) == (403, "wrong_project")


def test_a_key_that_names_its_pages_holds_in_the_tunnel_too():
    project = make_project(allowed_origins=[PAGE])
    body = make_envelope(EVENT, dsn=dsn(project))
    assert tunnel(body, HTTP_ORIGIN=PAGE).headers["access-control-allow-origin"] == PAGE
    assert tunnel(body, HTTP_ORIGIN="https://mallory.example").status == 403
    assert tunnel(body).status == 200  # forwarded by a server, which has no origin


def test_a_key_that_ended_opens_no_tunnel():
    project = make_project(active=False)
    assert tunnel(make_envelope(EVENT, dsn=dsn(project))).status == 401


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("GET", 405), ("PUT", 405)])
def test_a_tunnel_takes_posts_and_tells_browsers_so(method, status):
    answer = post("/api/tunnel/", method=method, HTTP_ORIGIN=PAGE)
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == "*"
    if method == "OPTIONS":
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert "sentry-trace" in allowed and "baggage" in allowed and "content-type" in allowed


@pytest.mark.parametrize("body", [b"", b"\n", b"{}", b"[]", b"\xff", b"{", b'{"dsn":"' + b"x" * 9000 + b'"}'])
def test_a_body_that_is_no_envelope_of_ours_is_refused(body):
    assert tunnel(body).status in (400, 401)


# --- Bodies ---
@pytest.mark.parametrize("content_type", [
    "text/plain;charset=UTF-8", "application/x-sentry-envelope", "application/octet-stream", "", None,
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
])  # fmt: skip
@pytest.mark.parametrize("endpoint", ["envelope", "store"])
def test_the_type_of_a_body_does_not_matter(content_type, endpoint):
    body = orjson.dumps(EVENT) if endpoint == "store" else make_envelope(EVENT)
    answer = post(f"/api/{make_project().pk}/{endpoint}/", body, CONTENT_TYPE=content_type, **with_key())
    assert answer.status == 200


@pytest.mark.parametrize("ending", [b"", b"\n", b"\n\n", b"\n\n\n"])
@pytest.mark.parametrize("with_length", [True, False])
def test_an_envelope_may_end_in_newlines_or_none(ending, with_length):
    project = make_project()
    payload = orjson.dumps(EVENT)
    head = {"type": "event", "length": len(payload)} if with_length else {"type": "event"}
    body = b"\n".join((orjson.dumps({"event_id": EVENT_ID}), orjson.dumps(head), payload)) + ending
    assert post(f"/api/{project.pk}/envelope/", body, **with_key()).status == 200
    drain.drain(now=timezone.now(), slot=1)
    assert ErrorEvent.objects.get().event_id == EVENT_ID


def old(event: dict, level: int = 6) -> bytes:
    return base64.b64encode(zlib.compress(orjson.dumps(event), level))


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_very_old_clients_send_zlib_in_base64(level, ending):
    project = make_project()
    answer = post(f"/api/{project.pk}/store/", old(EVENT, level) + ending, **with_key())
    assert (answer.status, answer.json) == (200, {"id": EVENT_ID})
    drain.drain(now=timezone.now(), slot=1)
    assert ErrorEvent.objects.get().message == "out of stock"


@pytest.mark.parametrize(("body", "status"), [
    (b"e", 400), (b"eJ", 400), (b"eJyr", 400), (old(EVENT)[:-12], 400), (b"eJ" + b"!" * 20, 400),
    (old({"a": "x" * 3 * 1024 * 1024}), 413), (base64.b64encode(zlib.compress(b"[]")), 400),
])  # fmt: skip
def test_what_only_begins_like_theirs_is_refused(body, status):
    answer = post(f"/api/{make_project().pk}/store/", body, **with_key())
    assert answer.status == status
    assert not InboxEntry.objects.exists()


# --- What has no door ---
@pytest.mark.parametrize("path", [
    "security/", "security", "minidump/", "unreal/" + KEY + "/", "cspreport/", "playstation/", "user-feedback/",
    "chunk-upload/", "tunnel/",
])  # fmt: skip
def test_what_is_not_taken_is_a_plain_404_in_the_one_body(path):
    answer = post(f"/api/{make_project().pk}/{path}", b"x", **with_key())
    assert (answer.status, answer.json["status"]) == (404, 404)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert not InboxEntry.objects.exists()
