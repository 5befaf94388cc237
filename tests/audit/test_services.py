"""Writing an audit event: what is hashed is what is stored, whatever it holds."""

import hashlib
import json
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import rfc8785
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.audit import services
from apps.audit.models import AuditEvent, Category, Outcome
from apps.audit.services import REDACTED, changed, links, plain, record, snapshot
from apps.core import context
from apps.core.ids import timestamp_of
from apps.projects.models import ApiToken, Project, Team
from tests.people import make_person

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
COLUMNS = [
    f.attname for f in AuditEvent._meta.concrete_fields if f.attname not in ("canonical", "event_hash")
]


def reload(event):
    return AuditEvent.objects.get(pk=event.pk)


def check_sealed(event):
    """The hash fits the text, the text is RFC 8785 of itself, and the columns say the same as the text."""
    kept = reload(event)
    assert bytes(kept.event_hash) == hashlib.sha256(kept.canonical.encode()).digest()
    told = json.loads(kept.canonical)
    assert rfc8785.dumps(told).decode() == kept.canonical
    columns = plain({name: getattr(kept, name) for name in COLUMNS})
    assert {name: value for name, value in columns.items() if value not in ("", None, {})} == told
    return kept


def test_an_event_holds_who_what_when_where_and_its_id_begins_with_the_time():
    held = context.RequestContext(
        correlation_id="up",
        actor_type="anonymous",
        actor_label="anonymous",
        address="203.0.113.9",
        user_agent="curl/8",
    )
    project = Project.objects.create(name="Shop", slug="shop")
    with context.entered(held):
        event = record(
            "probe.did", resource=project, details={"n": 1}, changes={"a": [1, 2]}, reason="since", at=NOON
        )
    kept = check_sealed(event)
    assert (kept.action, kept.category, kept.outcome, kept.severity) == (
        "probe.did",
        "data",
        "success",
        "info",
    )
    assert (kept.resource_type, kept.resource_id) == ("projects.Project", str(project.pk))
    assert (kept.resource_label, kept.ip, kept.user_agent) == ("Shop", "203.0.113.9", "curl/8")
    assert (kept.request_id, kept.correlation_id) == (held.request_id, "up")
    assert (kept.details, kept.changes, kept.reason) == ({"n": 1}, {"a": [1, 2]}, "since")
    assert kept.occurred_at == NOON < kept.received_at
    assert kept.received_at - timestamp_of(kept.pk) < timedelta(milliseconds=1)
    assert event.pk == kept.pk
    assert event.received_at == kept.received_at


def test_what_is_absent_is_left_out_of_the_canonical_form():
    told = json.loads(check_sealed(record("probe.bare")).canonical)
    assert set(told) == {
        "id", "occurred_at", "received_at", "category", "action", "outcome", "severity", "actor_type", "actor_label",
        "request_id", "schema",
    }  # fmt: skip
    assert told["occurred_at"].endswith("Z")
    assert len(told["occurred_at"].split(".")[1]) == 7  # six decimals


ODD = {
    "huge": 2**53,
    "beyond": -(10**400),
    "largest": 2**53 - 1,
    "nan": float("nan"),
    "infinite": float("-inf"),
    "wide": 1e300,
    "twenty": 1e20,
    "tiny": 5e-324,
    "minus": -0.0,
    "naive": datetime(2026, 5, 1),
    "aware": datetime(2026, 5, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    "year one": datetime(1, 1, 1, tzinfo=UTC),
    "day": date(2026, 5, 1),
    "money": Decimal("1.50"),
    "id": uuid.UUID(int=7),
    "nul": "a\0b",
    "surrogate": "cut \ud83d",
    "k\0ey \udc00": "v",
    3: "number as key",
    "set": {3, 1, 2},
    "tuple": (1, [None, True]),
    "choice": Category.AUTH,
    "object": object,
    "emoji": "😀",
    "line": "\u2028",
}


def test_every_odd_value_is_kept_in_a_form_that_can_be_hashed_and_read_back():
    kept = check_sealed(record("probe.odd", details=ODD)).details
    assert kept["huge"] == str(2**53)
    assert kept["beyond"] == str(-(10**400))
    assert kept["largest"] == 2**53 - 1
    assert (kept["nan"], kept["infinite"], kept["wide"], kept["twenty"]) == ("nan", "-inf", "1e+300", "1e+20")
    assert kept["naive"] == "2026-05-01T00:00:00.000000Z"
    assert kept["aware"] == "2026-04-30T18:15:00.000000Z"
    assert kept["year one"] == "0001-01-01T00:00:00.000000Z"
    assert (kept["day"], kept["money"], kept["set"]) == ("2026-05-01", "1.50", [1, 2, 3])
    assert (kept["nul"], kept["surrogate"], kept["k\ufffdey \ufffd"]) == ("a\ufffdb", "cut \ufffd", "v")
    assert (kept["3"], kept["tuple"], kept["choice"]) == ("number as key", [1, [None, True]], "auth")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(st.text(st.characters(), max_size=8), VALUES, max_size=4),
    st.text(st.characters(), max_size=50),
)
def test_whatever_details_and_reason_hold_the_event_is_written_and_fits_its_hash(details, reason):
    with transaction.atomic():
        check_sealed(record("probe.any", details=details, changes={"x": [details, None]}, reason=reason))


@pytest.mark.parametrize(
    "held",
    [
        {"user_agent": "a\0b\ud83d", "endpoint": "x"},
        {"actor_label": "n" * 500, "actor_id": "i" * 500},
        {"address": "fe80::1"},
        {"address": None},
    ],
)
def test_whatever_the_context_holds_the_event_is_written_and_fits_its_hash(held):
    with context.entered(context.RequestContext(**held)):
        check_sealed(record("probe.any"))


def test_long_names_of_resources_are_cut():
    kept = check_sealed(record("probe.long", resource=("thing", "x" * 900)))
    assert (len(kept.resource_id), len(kept.resource_label)) == (64, 200)


def test_details_beyond_sixteen_kib_are_cut_and_say_so():
    fits = {"text": "x" * 16_000}
    assert check_sealed(record("probe.fits", details=fits)).details == fits
    kept = check_sealed(record("probe.long", details={f"k{n}": "😀" * 900 for n in range(20)})).details
    assert set(kept) == {"_cut_bytes", "begins"}
    assert kept["_cut_bytes"] > 70_000
    assert kept["begins"].startswith('{"k0":"😀')


SECRETS = {
    "password": "hunter2-canary",
    "nested": [{"api_key": "hunter2-canary"}],
    "note": "postgresql://app:hunter2-canary@db.example.org/portal",
    "header": "Authorization: Bearer hunter2-canary",
}


def test_details_changes_and_reason_are_scrubbed():
    event = record(
        "probe.secret",
        details=SECRETS,
        changes={"password": ["hunter2-canary", "hunter2-canary"], "note": [SECRETS["note"], ""]},
        reason=SECRETS["note"],
    )
    kept = check_sealed(event)
    assert "hunter2-canary" not in kept.canonical
    assert {field: len(sides) for field, sides in kept.changes.items()} == {"password": 2, "note": 2}
    assert kept.changes["note"][1] == ""


def test_the_actor_is_the_given_user_else_that_of_the_request_else_the_system():
    alice, bob = make_person("alice"), make_person("bob")

    def actor(**given):
        event = record("probe.did", **given)
        return event.actor_type, event.actor_id, event.actor_label

    assert actor() == ("system", "", "system")
    assert actor(actor=alice) == ("user", str(alice.pk), "alice")
    with context.entered(context.RequestContext(actor_type="user", actor_id=str(bob.pk), actor_label="bob")):
        assert actor() == ("user", str(bob.pk), "bob")
        assert actor(actor=alice) == ("user", str(alice.pk), "alice")


def test_what_a_token_did_stays_the_tokens_though_services_are_handed_its_user():
    alice, bob = make_person("alice"), make_person("bob")
    with context.entered(
        context.RequestContext(actor_type="api_key", actor_id="rp_abc", actor_label="alice")
    ):
        by_token = record("probe.did", actor=alice)
        for_another = record("probe.did", actor=bob)
    assert (by_token.actor_type, by_token.actor_id, by_token.actor_label) == ("api_key", "rp_abc", "alice")
    assert (for_another.actor_type, for_another.actor_label) == ("user", "bob")


def test_an_event_is_undone_with_the_change_that_it_reports():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record("probe.undone")
        raise ZeroDivisionError
    assert not AuditEvent.objects.exists()


def test_the_three_calls_of_the_brief():
    alice = make_person("alice")
    one = services.log_auth_event(
        user="alice", action="session.login", outcome=Outcome.FAILURE, details={"n": 1}
    )
    two = services.log_data_event(user=alice, operation="probe.read", resource=alice, outcome=Outcome.SUCCESS)
    three = services.log_security_event(action="probe.denied", resource=("page", 7), outcome=Outcome.DENIED)
    assert [(e.category, e.outcome, e.severity) for e in (one, two, three)] == [
        ("auth", "failure", "medium"),
        ("data", "success", "info"),
        ("security", "denied", "high"),
    ]
    for event in (one, two, three):
        check_sealed(event)


def test_a_snapshot_hides_what_is_secret_and_whatever_is_bytes():
    token = ApiToken(user=make_person(), name="ci", prefix="rp_x", digest=b"\1\2", scopes=["api:read"])
    taken = snapshot(token, frozenset({"name"}))
    assert (taken["digest"], taken["name"], taken["prefix"]) == (REDACTED, REDACTED, "rp_x")
    assert taken["scopes"] == ["api:read"]
    assert taken["expires_at"] is None
    token.digest = b""
    assert snapshot(token)["digest"] == ""
    json.dumps(taken)


def test_a_changed_secret_shows_only_whether_it_was_set():
    before = snapshot(Project(name="a", slug="x"), frozenset({"name"}))
    after = snapshot(Project(name="b", slug="y"), frozenset({"name"}))
    assert changed(before, after) == {"slug": ["x", "y"]}
    assert changed({}, {"name": REDACTED}) == {"name": [None, REDACTED]}


def test_links_name_what_a_row_is_linked_with():
    team = Team.objects.create(name="Core", slug="core")
    team.members.set([make_person("bob"), make_person("alice")])
    assert links(team) == {"members": ["alice", "bob"]}
