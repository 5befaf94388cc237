import json
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core import jsontext, scrub
from apps.core.scrub import REMOVED
from apps.errors import event_payload, new_event
from apps.errors.new_event import EventRefused
from apps.errors.normalise import from_sentry
from apps.projects.intake import Intake, device_of, identity_of, parse_time, place_in_time, user_hash
from tests.fuzz import fewer, json_values

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
EVENT_ID = "9ec79c33ec9942ab8353589fcb2e04dc"
RULES = [("auth", "Authentication"), ("/checkout", "Payments")]


def make_intake(**more):
    return Intake(
        **{
            "project_id": 7,
            "received_at": NOW,
            "hash_key": b"k" * 32,
            "event_id": "f" * 32,
            "rules": RULES,
            **more,
        }
    )


def make_event(**more):
    frame = {"function": "pay", "module": "shop.orders", "filename": "shop/orders.py", "lineno": 12, "in_app": True,
             "context_line": "    charge(card)", "pre_context": ["a"], "post_context": ["b"],
             "vars": {"password": "hunter2", "total": "19.90"}}  # fmt: skip
    return {
        "event_id": EVENT_ID,
        "timestamp": "2026-11-22T17:59:00Z",
        "level": "error",
        "platform": "python",
        "exception": {
            "values": [{"type": "PaymentDeclined", "value": "code 51", "stacktrace": {"frames": [frame]}}]
        },
        "transaction": "/checkout/{id}/",
        "release": "shop@4.12.3",
        "environment": "production",
        "tags": {"region": "eu"},
        "user": {"id": "42", "email": "bob@example.org", "ip_address": "192.0.2.7"},
        **more,
    }


def stored(event):
    """All that would be kept of an event, as text."""
    return orjson.dumps(
        {name: getattr(event, name) for name in event.__struct_fields__ if name != "user_hash"}
    ).decode()


def test_an_ordinary_event():
    event = from_sentry(make_event(), make_intake())
    assert (event.event_id, event.project_id) == (EVENT_ID, 7)
    assert (event.occurred_at, event.time_is_usable) == (NOW - timedelta(minutes=1), True)
    assert (event.exception_type, event.error_type, event.message) == (
        "PaymentDeclined",
        "Server Error",
        "code 51",
    )
    assert (event.severity, event.level, event.user_impact) == ("Major", "error", True)
    assert (event.component_name, event.component_is_named) == ("Payments", False)
    assert (event.route, event.release, event.environment) == ("/checkout/{id}/", "shop@4.12.3", "production")
    assert event.title == "PaymentDeclined: code 51"
    assert event.culprit == "/checkout/{id}/"
    assert event.tags == {"region": "eu"}
    frame = event.payload["exceptions"][0]["stacktrace"]["frames"][0]
    assert frame["context_line"] == "    charge(card)"
    assert frame["vars"] == {"password": REMOVED, "total": "19.90"}


def test_nothing_of_the_person_is_kept_but_a_hash():
    event = from_sentry(
        make_event(user={"id": "42", "email": "bob@example.org", "ip_address": "192.0.2.7", "name": "Bob"}),
        make_intake(),
    )
    assert event.user_hash == user_hash(b"k" * 32, 7, "42")
    assert not any(said in stored(event) for said in ("bob", "Bob", "192.0.2.7", '"42"'))


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ({"id": 42, "username": "bob"}, "42"),
        ({"id": "", "username": "bob", "email": "x"}, "bob"),
        ({"email": "bob@example.org", "ip_address": "192.0.2.7"}, "bob@example.org"),
        ({"ip_address": "192.0.2.7"}, "192.0.2.7"),
        ({"ip_address": "{{auto}}"}, None),
        ({}, None),
        (None, None),
        ({"id": ["x"]}, None),
        ({"id": True}, None),
        (17, "17"),
        ("", None),
    ],
)
def test_a_user_is_known_by_the_first_of_id_name_mail_and_address(user, identity):
    assert identity_of(user) == identity


def test_hashes_of_users_differ_by_project_and_key_and_take_any_text():
    hashes = {user_hash(key, project, "42") for key in (b"a", b"b") for project in (1, 2)}
    assert len(hashes) == 4
    assert len(user_hash(b"a", 1, "\ud800")) == 32


REQUEST = {
    "url": "https://bob:pw1@shop.example.org/pay?token=t0ps3cret&page=2#frag-t0ps3cret",
    "method": "POST",
    "query_string": "token=t0ps3cret&page=2&mail=bob%40example.org",
    "data": {"note": "leave-at-the-door"},
    "cookies": {"sessionid": "c00kie"},
    "headers": {"Cookie": "sessionid=c00kie", "Authorization": "Bearer t0ps3cret", "User-Agent": "Mozilla/5.0 (iPhone)",
                "X-Forwarded-For": "192.0.2.7", "X-Acme-Auth": "own-secret", "Accept": "*/*"},
    "env": {"REMOTE_ADDR": "192.0.2.7", "SERVER_NAME": "web-1", "DB_URL": "x"},
}  # fmt: skip


@pytest.mark.parametrize(
    "request_sent",
    [
        REQUEST,
        {**REQUEST, "headers": [list(pair) for pair in REQUEST["headers"].items()]},
        {**REQUEST, "query_string": [["token", "t0ps3cret"], ["page", "2"], ["mail", "bob@example.org"]]},
        {**REQUEST, "query_string": {"token": "t0ps3cret", "page": "2", "mail": "bob@example.org"}},
    ],
    ids=["objects", "headers as pairs", "query as pairs", "query as object"],
)
def test_of_a_request_neither_data_nor_cookies_nor_secrets_nor_addresses_are_kept(request_sent):
    event = from_sentry(make_event(request=request_sent), make_intake())
    kept = stored(event)
    for secret in ("t0ps3cret", "c00kie", "leave-at", "192.0.2.7", "own-secret", "pw1", "bob", "DB_URL"):
        assert secret not in kept, secret
    request = event.payload["request"]
    assert request["url"] == f"https://{REMOVED}@shop.example.org/pay"
    assert request["query"] == [["token", REMOVED], ["page", "2"], ["mail", REMOVED]]
    assert request["headers"]["Accept"] == "*/*"
    assert request["env"] == {"SERVER_NAME": "web-1"}
    assert event.device == "mobile"


def test_secrets_are_removed_wherever_an_event_can_hold_them():
    secret = "sk_live_4eC39HqLyjWDarjt"
    event = make_event(
        exception={"values": [{"type": f"E{secret}", "value": f"key {secret}", "module": secret}]},
        message=secret,
        breadcrumbs=[{"message": secret, "data": {"a": [secret]}}],
        contexts={"x": {"y": secret}},
        extra={secret: secret},
        tags={secret: secret},
        transaction=f"/pay {secret}",
        release=f"r {secret}",
        environment=secret + " x",
        server_name=f"web {secret}",
        logger=secret,
        sdk={"name": secret},
        modules={"m": secret},
        fingerprint=[secret],
    )
    kept = stored(from_sentry(event, make_intake()))
    assert "4eC39HqLyjWDarjt" not in kept.replace(f"E{secret}", "")


def test_device_names_and_places_are_left_out():
    contexts = {
        "device": {"name": "Bob's phone", "family": "iPhone"},
        "user": {"a": 1},
        "geo": {"city": "x"},
        "os": {"name": "iOS"},
    }
    kept = from_sentry(make_event(contexts=contexts), make_intake()).payload["contexts"]
    assert kept == {"device": {"family": "iPhone"}, "os": {"name": "iOS"}}


@pytest.mark.parametrize(
    ("sent", "at"),
    [
        ("2026-11-22T17:59:00Z", "17:59:00"),
        ("2026-11-22T17:59:00.123456Z", "17:59:00.123456"),
        ("2026-11-22T17:59:00.123456789Z", "17:59:00.123456"),
        ("2026-11-22T18:59:00+01:00", "17:59:00"),
        ("2026-11-22T17:59:00", "17:59:00"),
        ("2026-11-22 17:59:00", "17:59:00"),
        (1795370340, "17:59:00"),
        (1795370340.5, "17:59:00.500000"),
        ("1795370340.5", "17:59:00.500000"),
    ],
)
def test_times_are_read_in_every_form_that_sdks_use(sent, at):
    assert parse_time(sent) == datetime.fromisoformat(f"2026-11-22T{at}+00:00")


@pytest.mark.parametrize(
    "sent",
    ["", "yesterday", "2026-13-01T00:00:00Z", "2026-02-30", None, True, [], {}, float("nan"), float("inf"),
     1e300, -1, 2**70,
     "1e9", "٢٠٢٦-١١-٢٢", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2026-11-22T17:59:00Z" + "0" * 50],
)  # fmt: skip
def test_what_is_no_time_is_none(sent):
    assert parse_time(sent) is None


@pytest.mark.parametrize(
    ("offset", "usable"),
    [
        (timedelta(0), True),
        (timedelta(minutes=5), True),
        (timedelta(minutes=5, microseconds=1), False),
        (timedelta(hours=-72), True),
        (timedelta(hours=-72, microseconds=-1), False),
    ],
)
def test_a_time_counts_from_72_hours_ago_to_5_minutes_ahead(offset, usable):
    assert place_in_time(NOW + offset, NOW) == (NOW + offset if usable else NOW, usable)
    assert place_in_time(None, NOW) == (NOW, False)


@pytest.mark.parametrize(
    ("more", "intake", "component", "named"),
    [
        ({"tags": {"component": "Journal"}}, {}, "Journal", True),
        ({"tags": [["component", "  Journal "]]}, {}, "Journal", True),
        ({"transaction": "/api/auth/login"}, {}, "Authentication", False),
        ({"transaction": "/other"}, {}, "API Services", False),
        ({"transaction": "/other"}, {"default_component": "Shop"}, "Shop", False),
        (
            {"transaction": None, "platform": "javascript", "request": {"url": "https://x.example.org"}},
            {},
            "Frontend UI",
            False,
        ),
        ({"transaction": None, "platform": "node"}, {}, "API Services", False),
    ],
)
def test_the_component_is_the_tags_then_the_routes_then_the_default(more, intake, component, named):
    event = from_sentry(make_event(**more), make_intake(**intake))
    assert (event.component_name, event.component_is_named) == (component, named)


@pytest.mark.parametrize(
    ("more", "error_type"),
    [
        ({"tags": {"code": "ECONNREFUSED"}}, "Database Connection Error"),
        ({"extra": {"code": 11000}}, "Database Duplicate Key"),
        ({"contexts": {"MulterError": {"code": "LIMIT_FILE_SIZE"}}}, "File Size Error"),
        (
            {
                "exception": [
                    {"type": "UniqueViolation", "value": "x"},
                    {"type": "IntegrityError", "value": "x"},
                ]
            },
            "Database Duplicate Key",
        ),
        ({"exception": {"type": "ValidationError", "value": "x"}}, "Validation Error"),
        (
            {"exception": [{"type": "OperationalError", "module": "sqlite3", "value": "no such table"}]},
            "Server Error",
        ),
    ],
)
def test_the_error_type_comes_from_types_and_codes(more, error_type):
    assert from_sentry(make_event(**more), make_intake()).error_type == error_type


@pytest.mark.parametrize(
    ("sent", "message", "title"),
    [
        (
            {"logentry": {"formatted": "order 17 lost", "message": "order %s lost"}},
            "order 17 lost",
            "order 17 lost",
        ),
        ({"logentry": {"message": "order %s lost"}}, "order %s lost", "order %s lost"),
        ({"message": "plain"}, "plain", "plain"),
        ({"message": {"formatted": "f", "message": "m"}}, "f", "f"),
        ({"message": 5}, "", "Error"),
        ({}, "", "Error"),
    ],
)
def test_a_message_without_exception(sent, message, title):
    event = from_sentry({"level": "info", **sent}, make_intake())
    assert (event.message, event.title, event.exception_type) == (message, title, "")
    assert (event.severity, event.user_impact) == ("Minor", False)


def test_messages_group_by_their_template():
    prints = {
        from_sentry(
            {"logentry": {"formatted": f"{who} lost", "message": "%s lost"}}, make_intake()
        ).fingerprint
        for who in ("Alice", "Bob")
    }
    assert len(prints) == 1


def test_the_envelopes_id_is_used_where_the_event_has_none():
    assert from_sentry({}, make_intake()).event_id == "f" * 32
    assert from_sentry({"event_id": EVENT_ID.upper()}, make_intake()).event_id == EVENT_ID


@pytest.mark.parametrize("event", [None, [], "text", 5, True, [{}]])
def test_what_is_no_object_is_refused(event):
    with pytest.raises(EventRefused) as caught:
        from_sentry(event, make_intake())
    assert (caught.value.code, caught.value.field) == ("not_an_object", "event")


def test_an_id_that_is_no_id_is_refused():
    with pytest.raises(EventRefused) as caught:
        from_sentry({"event_id": "../../x"}, make_intake())
    assert (caught.value.code, caught.value.field) == ("invalid_event_id", "event_id")


def test_limits_of_an_event():
    frames = [{"function": f"f{n}"} for n in range(5000)]
    event = from_sentry(
        make_event(
            exception={
                "values": [{"type": "E", "value": "v" * 100_000, "stacktrace": {"frames": frames}}] * 50
            },
            tags={f"t{n}": "x" * 1000 for n in range(5000)},
            breadcrumbs={"values": [{"message": str(n)} for n in range(5000)]},
            extra={str(n): "y" * 50_000 for n in range(10)},
            release="r" * 5000,
        ),
        make_intake(),
    )
    assert len(event.message) == new_event.MAX_MESSAGE
    assert len(event.tags) == new_event.MAX_TAGS
    assert max(map(len, event.tags.values())) == new_event.MAX_TAG
    assert len(event.payload["exceptions"]) == event_payload.MAX_EXCEPTIONS
    stack = event.payload["exceptions"][0]["stacktrace"]
    assert (len(stack["frames"]), stack["left_out"]) == (event_payload.MAX_FRAMES, 4900)
    assert stack["frames"][-1]["function"] == "f4999"
    assert len(event.release) == 200
    assert len(event.payload["breadcrumbs"]) == event_payload.MAX_BREADCRUMBS
    assert event.payload["breadcrumbs"][-1]["message"] == "4999"
    assert all(len(value) == scrub.MAX_TEXT for value in event.payload["extra"].values())


def test_depth_is_cut_and_not_refused_up_to_the_decoders_bound():
    raw = b'{"extra":' + b'{"a":' * 200 + b"1" + b"}" * 201
    event = from_sentry(
        jsontext.decode(raw, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None), make_intake()
    )
    assert scrub.CUT in json.dumps(event.payload)


def test_bidi_and_invisible_characters_stay_as_text():
    text = "abc\u202edef\u200b\u2066"
    assert from_sentry(make_event(exception=[{"type": "E", "value": text}]), make_intake()).message == text


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "desktop"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "desktop"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148", "mobile"),
        ("Mozilla/5.0 (Linux; Android 14)", "mobile"),
        ("curl/8.0", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        (5, "unknown"),
    ],
)
def test_devices(agent, device):
    assert device_of(agent) == device


KEYS = ["event_id", "timestamp", "level", "exception", "message", "logentry", "transaction", "release",
        "environment", "tags",
        "user", "request", "breadcrumbs", "contexts", "extra", "modules", "sdk", "fingerprint", "platform", "threads",
        "stacktrace", "server_name", "logger"]  # fmt: skip
INNER = ["values", "type", "value", "stacktrace", "frames", "mechanism", "url", "headers", "query_string",
         "env", "device",
         "formatted", "code", "component", "id", "message", "data"]  # fmt: skip
nested = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(INNER), inner, max_size=4),
    max_leaves=12,
)


@fewer
@given(st.dictionaries(st.sampled_from(KEYS), nested, max_size=6))
def test_any_object_becomes_an_event_or_is_refused_for_its_id(sent):
    try:
        event = from_sentry(sent, make_intake())
    except EventRefused as refused:
        assert refused.field == "event_id"
        return
    orjson.dumps(event.payload)
    assert len(event.fingerprint) == 64
    assert event.component_name
    assert event.occurred_at.tzinfo is not None
    assert all(isinstance(value, str) for value in event.tags.values())
    for name in (
        "message",
        "title",
        "culprit",
        "route",
        "release",
        "environment",
        "platform",
        "exception_type",
    ):
        assert isinstance(getattr(event, name), str)


def test_an_event_of_more_values_than_are_kept_loses_the_least_important_ones():
    frames = {"frames": [{"function": f"f{n}", "vars": {f"v{i}": i for i in range(100)}} for n in range(100)]}
    chain = [{"type": kind, "value": "v", "stacktrace": frames} for kind in ("First", "Second", "Surfaced")]
    event = from_sentry(
        {
            "tags": {"component": "Payments"},
            "exception": {"values": chain},
            "extra": {f"k{n}": n for n in range(900)},
            "request": {"url": "http://shop/?a=b&c=d", "headers": {"Host": "shop"}},
            "breadcrumbs": [{"message": "m"}] * 3,
        },
        make_intake(),
    )
    assert (event.component_name, event.exception_type, event.title) == (
        "Payments",
        "Surfaced",
        "Surfaced: v",
    )
    assert all(isinstance(value, str) for value in event.tags.values())
    assert event.payload["exceptions"][-1]["stacktrace"]["frames"][0]["function"] == "f0"


def test_values_that_nobody_needs_take_no_room_from_the_exception():
    extra = {str(k): [1] * 999 for k in range(20)}
    event = from_sentry({"extra": extra, "exception": [{"type": "KeyError", "value": "usd"}]}, make_intake())
    assert event.title == "KeyError: usd"
