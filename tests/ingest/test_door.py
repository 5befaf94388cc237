"""The Sentry door from outside: what it takes is in the inbox, what it refuses is said in the one body."""

import gzip
import io
import uuid
import zlib
from datetime import timedelta

import brotli
import orjson
import pytest
import zstandard
from django.utils import timezone

from apps.ingest import door, inbox, keys, spool
from apps.ingest.models import EntryKind, InboxEntry
from apps.projects.models import ProjectKey
from tests.core.processes import wait_until
from tests.ingest.wsgi import FOREIGN_KEY, KEY, make_envelope, make_project, post, with_key

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 1024 * 1024
EVENT_ID = "a" * 32
EVENT = {"event_id": EVENT_ID, "message": "out of stock"}


def refused(answer, status, code, field=None):
    """The one body, with its reason in the headers too; returns it."""
    assert (answer.status, answer.json["status"]) == (status, status), answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] == code
    assert answer.json["message"]
    assert answer.headers["x-sentry-error"]
    assert answer.headers["x-request-id"] == answer.json["requestId"]
    assert answer.headers["access-control-allow-origin"] == "*"
    if field is not None:
        assert [d["field"] for d in answer.json["details"]] == [field]
    assert not InboxEntry.objects.exists()
    return answer.json


def send(project, body=None, **environ):
    return post(
        f"/api/{project.pk}/envelope/", make_envelope(EVENT, event_id=EVENT_ID) if body is None else body,
        **{**with_key(), **environ},
    )  # fmt: skip


# --- What is taken ---
@pytest.mark.parametrize("endpoint", ["envelope/", "envelope", "store/", "store"])
def test_both_forms_of_the_path_take_an_event_and_answer_with_its_id(endpoint):
    project = make_project()
    body = orjson.dumps(EVENT) if "store" in endpoint else make_envelope(EVENT, event_id=EVENT_ID)
    answer = post(f"/api/{project.pk}/{endpoint}", body, **with_key())
    assert (answer.status, answer.json) == (200, {"id": EVENT_ID})
    entry = InboxEntry.objects.get()
    assert (bytes(entry.body), entry.project_id, entry.context) == (body, project.pk, {"event_id": EVENT_ID})
    assert entry.kind == (EntryKind.STORE if "store" in endpoint else EntryKind.ENVELOPE)


def test_the_id_of_a_single_event_is_its_own_and_not_one_inside_it():
    event = {"contexts": {"replay": {"event_id": "b" * 32}}, "event_id": str(uuid.UUID(EVENT_ID))}
    answer = post(f"/api/{make_project().pk}/store/", orjson.dumps(event), **with_key())
    assert answer.json == {"id": EVENT_ID}


def test_an_event_without_an_id_is_given_one_that_the_drain_will_use():
    answer = send(make_project(), make_envelope({"message": "x"}))
    assert InboxEntry.objects.get().context == {"event_id": answer.json["id"]}
    assert uuid.UUID(answer.json["id"])


@pytest.mark.parametrize(
    "place",
    [
        {"HTTP_X_SENTRY_AUTH": f"Sentry sentry_key={KEY}, sentry_version=7"},
        {"QUERY_STRING": f"sentry_version=7&sentry_key={KEY}"},
        {"HTTP_AUTHORIZATION": f"Bearer {KEY}"},
        {"HTTP_AUTHORIZATION": f"Sentry sentry_key={KEY}"},
    ],
)
def test_the_key_may_stand_in_each_place_where_sdks_put_it(place):
    assert post(f"/api/{make_project().pk}/envelope/", make_envelope(EVENT), **place).status == 200


def test_the_key_may_stand_in_the_envelope_alone():
    project = make_project()
    body = make_envelope(EVENT, dsn=f"http://{KEY}@127.0.0.1:8000/{project.pk}")
    assert post(f"/api/{project.pk}/envelope/", body).status == 200
    foreign = make_envelope(EVENT, dsn=f"http://{FOREIGN_KEY}@127.0.0.1:8000/{project.pk}")
    assert post(f"/api/{project.pk}/envelope/", foreign).status == 401


PACKED = {
    "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress, "identity": bytes, "GZIP": gzip.compress,
}  # fmt: skip


@pytest.mark.parametrize("coding", PACKED)
def test_a_packed_body_is_kept_as_it_came(coding):
    packed = PACKED[coding](make_envelope(EVENT))
    assert send(make_project(), packed, HTTP_CONTENT_ENCODING=coding).status == 200
    entry = InboxEntry.objects.get()
    assert bytes(entry.body) == packed
    assert entry.coding == ("" if coding == "identity" else coding.lower())


def test_a_body_without_a_length_is_read_to_its_end_in_whatever_pieces_it_comes():
    class Pieces(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 1000))

    body = make_envelope({"message": "x" * 5000})
    assert send(make_project(), body, CONTENT_LENGTH=None, stream=Pieces(body)).status == 200
    assert bytes(InboxEntry.objects.get().body) == body


def test_a_request_that_says_nothing_of_its_body_has_none():
    class Endless:
        def read(self, size=-1):
            raise AssertionError("would wait for ever")

    answer = send(make_project(), stream=Endless(), CONTENT_LENGTH=None, **{"wsgi.input_terminated": None})
    refused(answer, 400, "bad_json", "header")


def test_a_browser_is_told_beforehand_what_it_may_send():
    answer = post("/api/1/envelope/", method="OPTIONS", HTTP_ORIGIN="https://app.example.org")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert "X-Sentry-Auth" in answer.headers["access-control-allow-headers"]


# --- Who may ---
@pytest.mark.parametrize(
    "given",
    [
        {}, with_key(FOREIGN_KEY), with_key("short"), with_key(""), with_key("g" * 32), with_key(KEY + "0"),
        {"QUERY_STRING": "sentry_key="}, {"HTTP_AUTHORIZATION": "Bearer rp_token"},
        {"HTTP_X_SENTRY_AUTH": "Sentry " + "x" * 65536}, {"QUERY_STRING": "a=1&" * 16384 + f"sentry_key={KEY}"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("endpoint", ["envelope", "store"])
def test_every_wrong_key_gets_the_same_answer(given, endpoint):
    body = orjson.dumps(EVENT) if endpoint == "store" else make_envelope(EVENT)
    answer = post(f"/api/{make_project().pk}/{endpoint}/", body, **given)
    said = refused(answer, 401, "not_authenticated", "sentry_key")
    assert said["message"] == "sentry_key: a valid project key is required"
    assert answer.headers["www-authenticate"] == "Sentry"


def test_the_body_of_a_stranger_is_not_read():
    class Untouched:
        def read(self, size=-1):
            raise AssertionError("read")

    for endpoint, given in (("envelope", with_key(FOREIGN_KEY)), ("store", {})):
        answer = post(
            f"/api/{make_project(endpoint, uuid.uuid4().hex).pk}/{endpoint}/", stream=Untouched(), **given
        )
        assert answer.status == 401


def test_a_key_of_another_project_is_told_so():
    project, other = make_project(), make_project("Other", FOREIGN_KEY)
    refused(send(other), 403, "wrong_project", "project")
    refused(post("/api/999999999999999999/envelope/", b"", **with_key()), 403, "wrong_project", "project")
    assert send(project).status == 200


@pytest.mark.parametrize(
    "ended",
    [{"active": False}, {"expires_at": timezone.now() - timedelta(seconds=1)}],
    ids=["off", "expired"],
)
def test_a_key_that_ended_opens_nothing(ended):
    refused(send(make_project(**ended)), 401, "not_authenticated")


def test_a_key_that_is_switched_off_works_no_longer_than_it_is_remembered(monkeypatch):
    project = make_project()
    assert send(project).status == 200
    InboxEntry.objects.all().delete()
    ProjectKey.objects.update(active=False)
    assert send(project).status == 200  # remembered
    InboxEntry.objects.all().delete()
    monkeypatch.setattr(keys, "FRESH_S", 0)
    refused(send(project), 401, "not_authenticated")


def test_a_key_made_after_it_was_first_tried_works_as_soon_as_the_stranger_is_forgotten(monkeypatch):
    project = make_project()
    assert send(project, **with_key(FOREIGN_KEY)).status == 401
    ProjectKey.objects.create(project=project, public_key=FOREIGN_KEY)
    monkeypatch.setattr(keys, "FRESH_S", 0)
    assert send(project, **with_key(FOREIGN_KEY)).status == 200


def test_strangers_who_try_keys_push_out_nobody_who_has_one(monkeypatch):
    monkeypatch.setattr(keys, "MOST_STRANGERS", 3)
    make_project()
    assert keys.find(KEY)
    for n in range(10):
        assert keys.find(f"{n:032x}") is None
    assert len(keys._strangers) <= 3
    assert KEY in keys._known


def test_a_key_may_name_the_pages_that_use_it():
    project = make_project(allowed_origins=["https://App.example.org/"])
    assert send(project, HTTP_ORIGIN="https://app.example.org").status == 200
    assert send(project).status == 200  # a server sends no origin
    InboxEntry.objects.all().delete()
    refused(send(project, HTTP_ORIGIN="https://mallory.example"), 403, "origin_not_allowed", "Origin")


# --- Bad input ---
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "X"])
def test_only_post_is_taken(method):
    answer = post("/api/1/envelope/", method=method, **with_key())
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST, OPTIONS"


BODY = make_envelope(EVENT)
BAD_BODIES = {
    "empty": (b"", 400, "bad_json", "header"),
    "header is no JSON": (b"{nope\n{}", 400, "bad_json", "header"),
    "header is a list": (b"[]\n", 400, "not_an_object", "header"),
    "header is not UTF-8": (b'{"a":"\xff"}\n', 400, "bad_encoding", "header"),
    "header of 64 kB": (b'{"a":"' + b"x" * 65536 + b'"}\n', 400, "too_large", "header"),
    "header 10,000 deep": (b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}\n", 400, "too_deep", "header"),
    "a name that would break a header line": (
        b'{"\\r\\nSet-Cookie: \\u65e5\\ud800":1e400}\n', 400, "bad_number", None,
    ),
    "path as an event id": (b'{"event_id":"../../etc/passwd"}\n', 400, "invalid_event_id", "header.event_id"),
    "item header is no JSON": (b"{}\nnope\n", 400, "bad_json", "items[0]"),
    "item without a type": (b'{}\n{"length":0}\n\n', 400, "required", "items[0].type"),
    "length beyond the end": (b'{}\n{"type":"event","length":99}\n{}', 400, "invalid_length", "items[0].length"),
    "length too short": (b'{}\n{"type":"event","length":1}\n{}', 400, "invalid_length", "items[0].length"),
    "negative length": (b'{}\n{"type":"event","length":-1}\n{}', 400, "invalid_length", "items[0].length"),
    "101 items": (b'{}\n' + b'{"type":"x","length":0}\n\n' * 101, 400, "too_many_items", "items"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_BODIES)
def test_a_bad_envelope_is_refused_by_the_field_that_is_wrong(what):
    body, status, code, field = BAD_BODIES[what]
    refused(send(make_project(), body), status, code, field)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"), (b"nope", "bad_json"), (b"[]", "not_an_object"), (b'"x"', "not_an_object"),
        (b'{"event_id":17}', "invalid_event_id"), (b'{"a":' * 300 + b"1" + b"}" * 300, "too_deep"),
        (b'{"a":1e400}', "bad_number"), (b'{"a":NaN}', "bad_number"), (b'{"a":"\xff"}', "bad_encoding"),
    ],
)  # fmt: skip
def test_a_bad_single_event_is_refused(body, code):
    refused(post(f"/api/{make_project().pk}/store/", body, **with_key()), 400, code)


def test_too_many_bytes_are_refused_before_and_after_unpacking():
    project = make_project()
    large = b"{}\n" + b"x" * (2 * MIB)
    refused(send(project, large), 413, "too_large", "body")
    refused(send(project, large, CONTENT_LENGTH=None), 413, "too_large", "body")
    refused(send(project, b"", CONTENT_LENGTH="9" * 18), 413, "too_large", "body")
    refused(send(project, gzip.compress(large * 5), HTTP_CONTENT_ENCODING="gzip"), 413, "too_large", "body")
    event = gzip.compress(orjson.dumps({"message": "x" * (MIB + 1)}))
    answer = post(f"/api/{project.pk}/store/", event, HTTP_CONTENT_ENCODING="gzip", **with_key())
    refused(answer, 413, "too_large", "body")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_refused_and_a_stream_cut_short_too(coding):
    project = make_project()
    bomb = PACKED[coding](bytes(200 * MIB))
    assert len(bomb) < 2 * MIB
    refused(send(project, bomb, HTTP_CONTENT_ENCODING=coding), 413, "too_large", "body")
    whole = PACKED[coding](BODY * 50)
    for broken in (whole[:-3], whole[: len(whole) // 2], b"", b"not packed at all", whole + b"tail"):
        answer = send(project, broken, HTTP_CONTENT_ENCODING=coding)
        refused(answer, 400, answer.json["code"])
        assert answer.json["code"] in ("bad_encoding", "bad_json")


@pytest.mark.parametrize("coding", ["rar", "gzip, gzip", "x" * 65536, "\xe9"])
def test_an_unknown_content_coding_is_refused(coding):
    refused(
        send(make_project(), HTTP_CONTENT_ENCODING=coding), 415, "unsupported_encoding", "Content-Encoding"
    )


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "9" * 5000, "\xb2", " 5", "+5"])
def test_a_length_that_is_none_is_refused(length):
    refused(send(make_project(), CONTENT_LENGTH=length), 400, "invalid_length", "Content-Length")


def test_a_body_shorter_than_its_length_or_torn_off_is_refused():
    class Torn(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError

    project = make_project()
    refused(send(project, BODY, CONTENT_LENGTH=str(len(BODY) + 1)), 400, "truncated", "body")
    refused(send(project, BODY, stream=Torn()), 400, "truncated", "body")


def test_bytes_beyond_the_length_are_not_read():
    stream = io.BytesIO(BODY + b"\nGET / HTTP/1.1")
    assert send(make_project(), BODY, stream=stream).status == 200
    assert bytes(InboxEntry.objects.get().body) == BODY


@pytest.mark.parametrize(
    "path",
    [
        "/api/x/envelope/", "/api/-1/envelope/", "/api/1\0/envelope/", "/api/1/envelope/\0", "/api/1/envelope/x",
        "/api/" + "9" * 19 + "/envelope/", "/api/1/../2/envelope/", "/api/\xd9\xa1/envelope/", "/api/1/minidump/",
        "/api//envelope/", "/api/1/envelope/\n",
    ],
)  # fmt: skip
def test_a_path_that_is_no_door_is_answered_in_the_one_body(path):
    make_project()
    answer = post(path, BODY, **with_key())
    assert answer.status in (400, 404), answer.body
    assert answer.json["status"] == answer.status


def test_a_bug_of_ours_is_answered_in_the_one_form_without_its_words(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("hunter2")

    project = make_project()
    monkeypatch.setattr(door, "opened", broken)
    answer = send(project)
    refused(answer, 500, "error")
    assert b"hunter2" not in answer.body


# --- Backpressure, and a database that is away ---------------------------------------------------------------------
def test_a_full_inbox_holds_senders_back_until_it_has_room(settings, monkeypatch):
    monkeypatch.setattr(inbox, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(inbox, "_committer", inbox.Committer())
    settings.INBOX_MAX_ROWS = 2
    project = make_project()
    answers = []
    while len(answers) < 50 and (answer := send(project)).status == 200:
        answers.append(answer)
        inbox._committer._looked_at = 0
    assert answer.status == 429, "never full"
    assert answer.json["code"] == "throttled"
    assert (answer.headers["retry-after"], answer.headers["x-sentry-rate-limits"]) == ("30", "30::key")
    assert InboxEntry.objects.count() == len(answers)
    client = post("/api/errors/client", b'{"message":"x"}', HTTP_AUTHORIZATION=f"Bearer {KEY}")
    assert (client.status, client.headers["retry-after"]) == (429, "30")
    InboxEntry.objects.all().delete()
    wait_until(lambda: send(project).status == 200, "it looks again")


@pytest.fixture
def _database_away(settings, monkeypatch):
    """Nothing listens where the door looks for the database; what it knew before, it knows."""
    from apps.ingest import connect

    def away(name, *, patience_ms):
        return connect.psycopg.connect(host="127.0.0.1", port=1, connect_timeout=2)

    def begin():
        inbox.close()
        keys._drop()
        monkeypatch.setattr(keys, "connect", away)
        monkeypatch.setattr(inbox, "connect", away)

    return begin


def test_while_the_database_is_away_reports_are_spooled_and_unknown_keys_told_to_come_again(_database_away):
    project = make_project()
    assert send(project).status == 200
    InboxEntry.objects.all().delete()
    _database_away()
    assert send(project).status == 200
    assert (spool.waiting(), InboxEntry.objects.count()) == (1, 0)
    unknown = send(project, **with_key(FOREIGN_KEY))
    refused(unknown, 503, "database_connection")
    assert unknown.headers["retry-after"] == "5"
    assert "x-sentry-rate-limits" not in unknown.headers


def test_while_the_database_is_away_the_last_known_keys_hold(_database_away, monkeypatch):
    project = make_project()
    assert keys.find(KEY)
    assert keys.find(FOREIGN_KEY) is None
    _database_away()
    monkeypatch.setattr(keys, "FRESH_S", 0)
    assert keys.find(KEY).project_id == project.pk
    with pytest.raises(keys.KeysUnavailable):
        keys.find(FOREIGN_KEY)


def test_after_the_database_came_back_keys_are_asked_again(_database_away, monkeypatch):
    make_project()
    with monkeypatch.context():
        _database_away()
        with pytest.raises(keys.KeysUnavailable):
            keys.find(KEY)
    monkeypatch.undo()
    keys._link.away_until = 0
    assert keys.find(KEY)
