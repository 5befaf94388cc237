"""What users say and files, on their way from an envelope to the page of their event."""

import pytest
from django.utils import timezone

from apps.errors.models import Attachment, ErrorEvent, ErrorGroup, UserReport
from apps.ingest.models import SetAside
from tests.ingest.items import arrive, counts
from tests.ingest.wsgi import make_project

pytestmark = pytest.mark.django_db
ID = f"{1:032x}"
EVENT = {"type": "event"}, {"event_id": ID, "exception": [{"type": "KeyError"}]}
REPORT = {"type": "user_report"}, {"event_id": ID, "comments": "It broke.", "email": "alice@example.org"}


def event():
    kind, facts = EVENT
    return kind, {**facts, "timestamp": timezone.now().timestamp()}


def feedback(number=9, **said):
    words = {"message": "I cannot pay.", "associated_event_id": ID, **said}
    return {"type": "feedback", "event_id": f"{number:032x}", "contexts": {"feedback": words}}


def test_an_event_with_its_report_and_its_log_in_one_envelope():
    log = {"type": "attachment", "filename": "app.log"}, b"password=hunter2\nstarted"
    arrive(make_project(), event(), REPORT, log, event_id=ID)
    assert UserReport.objects.get().group == ErrorGroup.objects.get()
    assert Attachment.objects.get().event_id == ErrorEvent.objects.get().event_id == ID
    assert "hunter2" not in Attachment.objects.get().text and "started" in Attachment.objects.get().text
    assert counts() == {("event", "stored"): 1, ("user_report", "stored"): 1, ("attachment", "stored"): 1}


def test_what_comes_again_is_a_duplicate():
    project, log = make_project(), ({"type": "attachment", "filename": "a.txt"}, b"x")
    for _ in range(3):
        arrive(project, REPORT, log, ({"type": "feedback"}, feedback()), event_id=ID)
    assert counts() == {
        (kind, outcome): n for kind in ("user_report", "attachment", "feedback")
        for outcome, n in (("stored", 1), ("duplicate", 2))
    }  # fmt: skip


@pytest.mark.parametrize(("kind", "counted"), [
    ("feedback", "feedback"), ("user_report_v2", "user_report_v2"), ("event", "feedback")])  # fmt: skip
def test_feedback_is_read_in_each_of_the_forms_in_which_it_was_ever_sent(kind, counted):
    arrive(make_project(), ({"type": kind}, feedback()))
    assert UserReport.objects.get().message == "I cannot pay."
    assert counts() == {(counted, "stored"): 1} and not ErrorEvent.objects.exists()


def test_an_error_with_a_breadcrumb_of_that_word_is_an_error():
    kind, facts = event()
    crumbs = [{"type": "feedback", "category": "x"}]
    arrive(make_project(), (kind, {**facts, "breadcrumbs": crumbs}))
    assert ErrorEvent.objects.count() == 1


def test_files_that_are_not_kept_are_counted_with_their_reason():
    arrive(make_project(), ({"type": "attachment", "filename": "a.log"}, b"x" * 40_000),
           ({"type": "attachment", "filename": "a.png"}, b"\x89PNG"),
           ({"type": "attachment", "filename": "a.log"}, b"x" * 300_000), event_id=ID)  # fmt: skip
    assert counts() == {
        ("attachment", "dropped_large"): 1, ("attachment", "dropped_binary"): 1, ("attachment", "too_large"): 1,
    }  # fmt: skip
    assert not Attachment.objects.exists()


def test_a_report_without_words_is_set_aside():
    arrive(make_project(), ({"type": "feedback"}, feedback(message="")), ({"type": "user_report"}, b"[]"))
    assert sorted(SetAside.objects.values_list("kind", "field")) == [
        ("feedback", "contexts.feedback.message"), ("user_report", "user_report")]  # fmt: skip
