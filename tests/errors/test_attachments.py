"""Files beside events: small text is kept, scrubbed, once; everything else has a reason."""

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.errors import accompanying, retention
from apps.errors.attachments import BINARY, LARGE, MAX_BYTES, NewAttachment, from_item
from apps.errors.models import Attachment
from apps.projects.intake import Intake
from tests.errors.make import make_project
from tests.fuzz import json_values as JSON

NOW = timezone.now()


def file(payload=b"line one", *, project=1, name="app.log", at=NOW, event_id="e" * 32, **headers):
    intake = Intake(
        project_id=getattr(project, "pk", project), received_at=at, hash_key=b"k", event_id=event_id
    )
    return from_item({"type": "attachment", "filename": name, **headers}, payload, intake)


# --- What is kept ---
@pytest.mark.parametrize("headers", [
    {"name": "app.log"}, {"name": "APP.TXT"}, {"name": "a.json"}, {"name": "x", "content_type": "text/plain"},
    {"name": None, "content_type": "Text/CSV; charset=utf-8"},
    {"name": "app.log", "attachment_type": "event.attachment"},
])  # fmt: skip
def test_small_text_is_kept(headers):
    kept = file("grüß dich".encode(), **headers)
    assert (kept.text, kept.size) == ("grüß dich", 11) and kept.name


@pytest.mark.parametrize(("payload", "headers", "reason"), [
    (b"x" * (MAX_BYTES + 1), {}, LARGE),
    (b"\xff\xfe", {}, BINARY), (b"a\0b", {}, BINARY),
    (b"x", {"name": "core.dmp"}, BINARY), (b"x", {"name": "a.png", "content_type": "image/png"}, BINARY),
    (b"MDMP", {"name": "a.txt", "attachment_type": "event.minidump"}, BINARY),
    (b"{}", {"name": "view-hierarchy.json", "attachment_type": "event.view_hierarchy"}, BINARY),
    (b"x", {"name": ["app.log"]}, BINARY), (b"x", {"attachment_type": ["event.attachment"]}, BINARY),
])  # fmt: skip
def test_everything_else_has_its_reason(payload, headers, reason):
    assert file(payload, **headers) == reason


def test_what_is_kept_is_as_long_as_it_may_be():
    assert len(file(b"x" * MAX_BYTES).text) == MAX_BYTES


# --- Secrets ---
@pytest.mark.parametrize("payload", [
    b"password=hunter2", b'{"password": "hunter2"}', b'{"a": [{"api_key": "hunter2", "b": 1}]}',
    b'{"a": "broken", "password": "hunter2"', b"Authorization: Bearer hunter2hunter2hunter2",
])  # fmt: skip
def test_no_secret_is_kept(payload):
    assert "hunter2" not in file(payload, name="a.json").text


def test_json_stays_readable():
    assert file(b'{"a":[1,2],"b":"\\ud800"}', name="a.json").text == (
        '{\n  "a": [\n    1,\n    2\n  ],\n  "b": "\N{REPLACEMENT CHARACTER}"\n}'
    )


def test_a_name_holds_no_secret_and_nothing_that_can_not_be_stored():
    assert file(name="password=hunter2\0.log").name.count("hunter2") == 0
    assert "\0" not in file(name="a\0\ud800.log").name
    assert len(file(name="x" * 5000 + ".log").name) <= 200


@given(st.binary(max_size=60) | JSON.map(lambda j: str(j).encode("utf-8", "replace")), JSON, JSON, JSON)
def test_any_item_is_kept_or_has_its_reason(payload, name, kind, role):
    kept = file(payload, name=name, content_type=kind, attachment_type=role)
    assert kept in (LARGE, BINARY) or len(kept.text) <= MAX_BYTES


# --- Storing ---
def store(*files: NewAttachment):
    done = accompanying.store_attachments(files=files)
    return done.fresh.total(), done.over_limit.total()


@pytest.mark.django_db
def test_a_file_that_comes_again_is_stored_once():
    project = make_project()
    assert store(file(project=project), file(project=project)) == (1, 0)
    assert store(file(project=project), file(b"line two", project=project)) == (1, 0)
    assert [(a.name, a.text, a.size) for a in Attachment.objects.all()] == [
        ("app.log", "line one", 8), ("app.log", "line two", 8)]  # fmt: skip


@pytest.mark.django_db
def test_an_event_has_so_many_files_and_no_more():
    project = make_project()
    files = [file(b"%d" % n, project=project) for n in range(12)]
    assert store(*files[:7]) == (7, 0)
    assert store(*files) == (3, 2)
    assert store(*[file(b"%d" % n, project=project, event_id="d" * 32) for n in range(2)]) == (2, 0)
    assert Attachment.objects.count() == 12


@pytest.mark.django_db
def test_files_go_with_the_events_of_their_project(settings):
    settings.ERROR_RETENTION_DAYS = 90
    project = make_project()
    store(file(project=project, at=NOW - timedelta(days=91)), file(b"new", project=project))
    assert retention.prune_beside(NOW) == 1
    assert Attachment.objects.get().text == "new"
