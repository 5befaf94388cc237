"""From the inbox to facts: once each, the good beside the bad, and nothing blocks the rest."""

import gzip
import hashlib
from datetime import timedelta

import msgspec
import orjson
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from apps.errors import normalise, storing
from apps.errors.models import ErrorEvent, ErrorGroup, SeenEvent
from apps.ingest import batch, drain, taking
from apps.ingest.models import EntryKind, InboxEntry, ItemCount, SetAside
from apps.projects.models import RoutingRule
from tests.at_once import at_once
from tests.errors.make import make_event
from tests.ingest.wsgi import FOREIGN_KEY, make_envelope, make_project

pytestmark = pytest.mark.django_db
SECRET = "hunter2"


def make_entry(project, body: bytes, kind=EntryKind.ENVELOPE, coding="", event_id="", **facts) -> InboxEntry:
    return InboxEntry.objects.create(
        **{
            "received_at": timezone.now(), "project_id": getattr(project, "pk", project), "kind": kind,
            "coding": coding, "body": body, "context": {"event_id": event_id} if event_id else {}, **facts,
        }
    )  # fmt: skip


def sent(number: int = 1, **facts) -> dict:
    """An event as an SDK sends it."""
    now = timezone.now().timestamp()
    return {"event_id": f"{number:032x}", "timestamp": now, "exception": [{"type": "KeyError"}], **facts}


def run(slot: int = 1):
    return drain.drain(now=timezone.now(), slot=slot)


def drained_by(slot: int) -> int:
    """How many events one slot stored until there was nothing left."""
    stored, more = 0, True
    while more:
        report = run(slot)
        stored, more = stored + int(report.said.split()[0]), report.more
    return stored


def counts() -> dict:
    return {(c.item_type, c.outcome): c.n for c in ItemCount.objects.all()}


def wait_is_over() -> None:
    InboxEntry.objects.update(not_before=None)


# --- What becomes of an entry ---
@pytest.mark.parametrize("kind", sorted(set(EntryKind) - {EntryKind.TRACKED}))
def test_each_kind_of_entry_with_errors_becomes_events(kind):
    project = make_project()
    body = {
        EntryKind.ENVELOPE: lambda: make_envelope(sent()),
        EntryKind.STORE: lambda: orjson.dumps(sent()),
        EntryKind.RECORDS: lambda: msgspec.msgpack.encode([make_event(project, 1)]),
    }[kind]()
    make_entry(project, gzip.compress(body) if kind != EntryKind.RECORDS else body, kind,
               "gzip" if kind != EntryKind.RECORDS else "")  # fmt: skip
    report = run()
    assert (report.said, report.backlog, report.oldest_at, report.rejected) == ("1 events stored", 0, None, 0)
    assert ErrorEvent.objects.get().event_id == f"{1:032x}"
    assert not InboxEntry.objects.exists()
    assert counts() == {("event", "stored"): 1}


def test_an_empty_inbox_is_no_work():
    assert run().said == "0 events stored"
    assert counts() == {}


def test_an_event_without_an_id_is_known_by_the_one_that_the_door_gave():
    make_entry(make_project(), make_envelope({"message": "x"}), event_id="d" * 32)
    run()
    assert ErrorEvent.objects.get().event_id == "d" * 32


def test_routes_are_placed_by_the_rules_and_the_projects_default():
    project = make_project()
    RoutingRule.objects.create(project=project, pattern="/basket", component="Payments", order=1)
    make_entry(project, make_envelope(sent(1, transaction="/basket/add")))
    make_entry(project, make_envelope(sent(2, transaction="/elsewhere")))
    run()
    placed = dict(ErrorEvent.objects.values_list("endpoint", "component__name"))
    assert placed == {"/basket/add": "Payments", "/elsewhere": "API Services"}


def test_an_event_sent_twice_and_again_later_is_counted_once():
    project, other = make_project(), make_project("Other", FOREIGN_KEY)
    event = sent()
    for at in (project, project, other):
        make_entry(at, make_envelope(event))
    run()
    make_entry(project, make_envelope(event))
    run()
    assert ErrorEvent.objects.count() == 2
    assert dict(ErrorGroup.objects.values_list("project_id", "event_count")) == {project.pk: 1, other.pk: 1}
    told = {(c.project_id, c.outcome): c.n for c in ItemCount.objects.all()}
    assert told == {(project.pk, "stored"): 1, (project.pk, "duplicate"): 2, (other.pk, "stored"): 1}


@pytest.mark.parametrize(
    "timestamp",
    [None, "nonsense", {}, -5, 1e300, "0001-01-01", timedelta(days=-30), timedelta(hours=1)],
    ids=str,
)
def test_an_event_without_a_time_of_use_is_placed_by_its_receipt_and_counted_once(timestamp):
    project = make_project()
    if isinstance(timestamp, timedelta):
        timestamp = (timezone.now() + timestamp).isoformat()
    for n in range(2):
        make_entry(
            project,
            make_envelope(sent(timestamp=timestamp)),
            received_at=timezone.now() + n * timedelta(seconds=9),
        )
        run()
    event = ErrorEvent.objects.get()
    assert event.occurred_at == event.received_at
    assert SeenEvent.objects.get().stored_as == event.id
    assert counts() == {("event", "stored"): 1, ("event", "duplicate"): 1}


# --- What is counted, and what is set aside ---
def test_other_items_are_counted_by_type_and_unknown_ones_together():
    items = [("profile", b"{}"), ("replay_video", b"{}"), ("replay_video", b"{}"), ("replay_event", b"nope"),
             ("mallorys", b"x"), ("\N{PILE OF POO}", b""), ("session", b"x" * 17 * 1024)]  # fmt: skip
    make_entry(make_project(), make_envelope(sent(), more=tuple(items)))
    run()
    assert counts() == {
        ("event", "stored"): 1, ("profile", "counted"): 1, ("replay_video", "counted"): 2,
        ("replay_event", "counted"): 1, ("unknown", "counted"): 2, ("session", "too_large"): 1,
    }  # fmt: skip
    assert not SetAside.objects.exists()


def test_an_event_over_its_limit_is_dropped_and_counted_and_its_neighbours_are_stored(settings):
    settings.EVENT_MAX_BYTES = 2000
    make_entry(make_project(), make_envelope(sent(1, extra={"x": "y" * 2000}), sent(2)))
    run()
    assert [e.event_id for e in ErrorEvent.objects.all()] == [f"{2:032x}"]
    assert counts() == {("event", "too_large"): 1, ("event", "stored"): 1}


BAD_EVENTS = {
    "no JSON": (b"{nope", "bad_json", ""),
    "a list": (b"[]", "not_an_object", "event"),
    "bad UTF-8": (b'{"message":"\xff"}', "bad_encoding", ""),
    "not finite": (b'{"extra":{"a\\u0000\\ud800":1e400}}', "bad_number", "extra.a\ufffd\ufffd"),
    "too deep": (b'{"extra":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep", ""),
    "path as id": (b'{"event_id":"../../etc/passwd"}', "invalid_event_id", "event_id"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_EVENTS)
def test_a_bad_item_is_set_aside_with_its_reason_and_its_neighbours_are_stored(what):
    raw, code, field = BAD_EVENTS[what]
    project = make_project()
    make_entry(project, make_envelope(sent(1), raw, sent(2)))
    report = run()
    assert (ErrorEvent.objects.count(), report.rejected) == (2, 1)
    aside = SetAside.objects.get()
    assert (aside.kind, aside.code, aside.field, aside.project_id) == ("event", code, field, project.pk)
    assert (aside.size, aside.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert aside.reason
    assert len(aside.preview) <= 200
    assert counts() == {("event", "stored"): 2, ("event", "set_aside"): 1}


def test_nul_and_lone_surrogates_are_repaired_wherever_they_stand():
    raw = b'{"message":"a\\u0000b\\ud800","tags":{"k\\u0000":"v\\udfff"},"extra":{"\\ud800":"\\u0000"}}'
    make_entry(make_project(), make_envelope(raw), event_id="c" * 32)
    run()
    event = ErrorEvent.objects.get()
    assert event.message == "a\ufffdb\ufffd"
    assert event.tags == {"k\ufffd": "v\ufffd"}
    assert event.payload["extra"] == {"\ufffd": "\ufffd"}


@pytest.mark.parametrize(
    "start",
    [
        f'{{"password":"{SECRET}"', f'{{"a":1,"user":{{"email":"x","id":"{SECRET}"', f'{{"phone": "{SECRET}',
        f'{{"address":["{SECRET}","', f'{{"pin":{SECRET},', f'{{"request":{{"data":{{"a":"{SECRET}"',
        f'{{"request":{{"cookies":"{SECRET}=1', f'{{"extra":{{"street" : "{SECRET}"', f'{{"pass\\u0077ord":"{SECRET}"',
        f'{{"username":"{SECRET}"', f"password={SECRET}", f'{{"x":"{"y" * 177}","password":"{SECRET}',
        f'{{"x":"{"y" * 170} https://bob:{SECRET}@shop.example/',
    ],
)  # fmt: skip
def test_what_is_set_aside_holds_no_secret(start):
    raw = start.encode() + b"\xff"
    make_entry(make_project(), make_envelope(raw))
    run()
    aside = SetAside.objects.get()
    for length in range(3, len(SECRET) + 1):
        assert SECRET[:length] not in aside.preview + aside.reason + aside.field


def test_a_preview_shows_what_is_harmless():
    assert (
        batch.preview(b'{"level":"error","n":17,"list":[{"a":1}') == '{"level":"error","n":17,"list":[{"a":1}'
    )


def test_the_events_of_a_deleted_project_are_set_aside_and_block_nobody():
    project, gone = make_project(), make_project("Gone", FOREIGN_KEY)
    make_entry(gone, make_envelope(sent(1)))
    make_entry(project, make_envelope(sent(2)))
    gone.delete()
    assert run().rejected == 1
    assert ErrorEvent.objects.get().event_id == f"{2:032x}"
    assert (SetAside.objects.get().code, SetAside.objects.get().field) == ("project_gone", "project")
    assert not InboxEntry.objects.exists()


def test_records_larger_than_an_envelope_are_stored_too(settings):
    """Their limit was the door's; in the inbox they are written out."""
    settings.ENVELOPE_MAX_UNPACKED = 1000
    project = make_project()
    make_entry(
        project, msgspec.msgpack.encode([make_event(project, n) for n in range(20)]), EntryKind.RECORDS
    )
    run()
    assert ErrorEvent.objects.count() == 20


# --- Poison ---
@pytest.fixture
def poisoned(monkeypatch):
    """The store refuses events whose title says so, in the way that the title says."""
    store = storing.store_batch

    def picky(*, events):
        for event in events:
            if event.title.startswith("poison"):
                with connection.cursor() as cursor:
                    cursor.execute(event.title.partition(":")[2])
                raise RuntimeError(f"stumbled, password={SECRET}")
        return store(events=events)

    monkeypatch.setattr(storing, "store_batch", picky)


def poison(sql: str) -> dict:
    return sent(99, exception=None, message=f"poison:{sql}")


def drain_for_a_day():
    reports = []
    while InboxEntry.objects.exists() and len(reports) < 50:
        reports.append(run())
        wait_is_over()
    return reports


@pytest.mark.parametrize(
    ("sql", "attempts", "reason"),
    [
        ("SELECT 'x'::int", drain.ATTEMPTS_AT_DATA, "DataError: invalid input syntax"),
        ("SELECT 1/0", drain.ATTEMPTS_AT_DATA, "DataError: division by zero"),
        ("SELECT 1", drain.ATTEMPTS_AT_BUGS, "RuntimeError"),
        ("SET statement_timeout = 1; SELECT pg_sleep(1)", drain.ATTEMPTS_AT_BUGS, "OperationalError"),
    ],
)
def test_an_entry_that_cannot_be_stored_is_tried_again_then_set_aside_and_blocks_nobody(
    poisoned, sql, attempts, reason
):
    project = make_project()
    for n in range(3):
        make_entry(project, make_envelope(sent(n)))
        if n == 1:
            make_entry(project, make_envelope(poison(sql)))
    assert run().backlog == 1
    assert ErrorEvent.objects.count() == 3
    waiting = InboxEntry.objects.get()
    assert waiting.attempts == 1
    assert waiting.not_before > timezone.now()
    assert run().said == "0 events stored"  # it waits
    wait_is_over()
    reports = drain_for_a_day()
    assert (len(reports), sum(r.rejected for r in reports)) == (attempts - 1, 1)
    aside = SetAside.objects.get()
    assert (aside.code, aside.kind) == ("not_stored", "envelope")
    assert aside.reason.startswith(reason)
    assert SECRET not in aside.reason
    assert counts() == {("event", "stored"): 3, ("envelope", "set_aside"): 1}


def test_the_waits_between_attempts_grow_to_an_hour(poisoned):
    make_entry(make_project(), make_envelope(poison("SELECT 1")))
    waits = []
    while InboxEntry.objects.exists():
        run()
        entry = InboxEntry.objects.first()
        if entry:
            waits.append(round((entry.not_before - timezone.now()).total_seconds(), -1))
        wait_is_over()
    assert waits[:3] == [10, 20, 40]
    assert waits[-1] == 3600
    assert sum(waits) > 12 * 3600  # a bug of ours has half a day to be mended


def test_an_entry_over_which_decoding_stumbles_is_kept_and_the_rest_of_the_batch_is_stored(monkeypatch):
    decode = normalise.from_sentry

    def stumble(event, intake):
        if event.get("message") == "stumble":
            raise KeyError("ours")
        return decode(event, intake)

    monkeypatch.setattr(normalise, "from_sentry", stumble)
    project = make_project()
    make_entry(project, make_envelope(sent(1), {"message": "stumble"}, more=(("replay_video", b"{}"),)))
    make_entry(project, make_envelope(sent(2)))
    assert run().backlog == 1
    assert counts() == {("event", "stored"): 1}
    monkeypatch.undo()  # the bug is mended
    wait_is_over()
    run()
    assert ErrorEvent.objects.count() == 3
    assert counts() == {("event", "stored"): 3, ("replay_video", "counted"): 1}
    assert not SetAside.objects.exists()


@pytest.mark.parametrize(
    "sql", ["SELECT missing FROM errors_errorgroup", "SELECT pg_terminate_backend(pg_backend_pid())"]
)
@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_or_of_another_version_is_no_entrys_fault(poisoned, sql):
    make_entry(make_project(), make_envelope(poison(sql)))
    with pytest.raises(Exception, match=r"missing|terminat"):
        run()
    connection.close()
    assert InboxEntry.objects.get().attempts == 0


@pytest.mark.django_db(transaction=True)
def test_a_drain_that_dies_between_storing_and_committing_leaves_everything_to_the_next(monkeypatch):
    project = make_project()
    make_entry(project, make_envelope(sent(1), more=(("replay_video", b"{}"),)))

    def die(_):
        assert ErrorEvent.objects.count() == 1
        raise OperationalError("gone")

    write = drain._write
    monkeypatch.setattr(drain, "_write", die)
    with pytest.raises(OperationalError):
        run()
    assert (InboxEntry.objects.count(), ErrorEvent.objects.count(), ErrorGroup.objects.count()) == (1, 0, 0)
    monkeypatch.setattr(drain, "_write", write)
    run()
    assert ErrorEvent.objects.count() == 1
    assert counts() == {("event", "stored"): 1, ("replay_video", "counted"): 1}


# --- How much at once ---
def test_a_batch_is_bounded_in_bytes_packed_and_unpacked(monkeypatch):
    project = make_project()
    body = make_envelope(sent(1, extra={"x": "y" * 5000}))
    for n in range(6):
        make_entry(project, gzip.compress(make_envelope(sent(n, extra={"x": "y" * 5000}))), coding="gzip")
    packed = len(bytes(InboxEntry.objects.first().body))
    monkeypatch.setattr(taking, "MOST_PACKED", 3 * packed + 20)
    assert len(taking.take().entries) == 3
    monkeypatch.setattr(drain, "MOST_UNPACKED", len(body) + 100)
    assert [e.taken for e in iter_drain()] == [2, 2, 2, 0]
    make_entry(project, b"{}\n" + b" " * 100_000)
    assert len(taking.take().entries) == 1  # one is always taken
    assert ErrorEvent.objects.count() == 6


def iter_drain():
    from apps.projects.queries import RoutingTable

    while True:
        done = drain._drain_some(RoutingTable())
        yield done
        if not done.taken:
            return


@pytest.mark.django_db(transaction=True)
def test_drains_side_by_side_share_the_inbox_and_count_each_event_once(monkeypatch):
    monkeypatch.setattr(taking, "MOST", 7)
    project, now = make_project(), timezone.now().timestamp()
    for n in range(150):
        body = make_envelope(
            sent(
                n % 100, timestamp=now, exception=[{"type": f"Kind{n % 5}"}], tags={"component": f"C{n % 3}"}
            )
        )
        make_entry(project, body)
    stored = at_once(3, lambda slot: drained_by(slot + 1))
    assert not InboxEntry.objects.exists()
    assert sum(stored) == 100 == ErrorEvent.objects.count()
    assert sum(ErrorGroup.objects.values_list("event_count", flat=True)) == 100
    assert counts() == {("event", "stored"): 100, ("event", "duplicate"): 50}
