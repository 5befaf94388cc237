"""What people say about a failure: read with the person only as a hash, stored once, joined to the event's group."""

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.errors import accompanying, retention, storing
from apps.errors.models import ErrorGroup, UserReport
from apps.errors.user_reports import MAX_REPORT, from_feedback, from_user_report
from apps.projects.intake import Intake, user_hash
from tests.errors.make import make_event, make_project
from tests.fuzz import json_values as JSON

NOW = timezone.now()
ABOUT = f"{1:032x}"


def intake(project=1, at=NOW, event_id="e" * 32):
    return Intake(
        project_id=getattr(project, "pk", project), received_at=at, hash_key=b"k", event_id=event_id
    )


def feedback(project=1, number=9, *, event=None, at=NOW, **said):
    words = {"message": "I cannot pay.", "contact_email": "alice@example.org", "name": "Alice", **said}
    sent = {
        "type": "feedback",
        "event_id": f"{number:032x}",
        "contexts": {"feedback": words},
        **(event or {}),
    }
    return from_feedback(sent, intake(project, at))


def user_report(project=1, **facts):
    sent = {
        "event_id": ABOUT,
        "name": "Alice",
        "email": "alice@example.org",
        "comments": "It broke.",
        **facts,
    }
    return from_user_report(sent, intake(project))


# --- Reading ---
def test_a_feedback_keeps_words_page_and_event_but_no_name_and_no_address():
    one = feedback(associated_event_id=ABOUT, url="https://shop.example/pay?card=4111111111111111#x")
    assert (one.message, one.about, one.url) == ("I cannot pay.", ABOUT, "https://shop.example/pay")
    assert one.user_hash == user_hash(b"k", 1, "alice@example.org")
    assert "lice" not in repr(one)


def test_a_feedback_without_a_page_of_its_own_is_of_the_page_of_its_event():
    assert (
        feedback(event={"request": {"url": "https://shop.example/pay?x=1"}}).url == "https://shop.example/pay"
    )


def test_a_report_counts_as_of_the_same_person_as_the_events_of_that_user():
    assert feedback(event={"user": {"id": 7}}).user_hash == user_hash(b"k", 1, "7")


def test_what_people_type_is_scrubbed_and_cut():
    assert "4111" not in feedback(message="my card 4111 1111 1111 1111 failed").message
    assert "bob@example.org" not in user_report(comments="write to bob@example.org").message
    assert len(feedback(message="x" * 100_000).message) == MAX_REPORT


def test_a_user_report_is_known_by_its_event_and_words():
    assert user_report().report_id == user_report().report_id
    assert user_report().report_id != user_report(comments="It broke again.").report_id
    assert user_report(event_id=None).about == "e" * 32


@pytest.mark.parametrize(("event", "field"), [
    ({"contexts": None}, "contexts.feedback"), ({"contexts": {"feedback": []}}, "contexts.feedback"),
    ({"contexts": {"feedback": {"message": " "}}}, "contexts.feedback.message"),
    ({"contexts": {"feedback": {"message": ["x"]}}}, "contexts.feedback.message"),
    ({"contexts": {"feedback": {"message": "x", "associated_event_id": "../x"}}},
     "contexts.feedback.associated_event_id"),
    ({"event_id": "../../x"}, "event_id"),
])  # fmt: skip
def test_a_feedback_without_words_or_with_a_wrong_id_is_refused_by_field(event, field):
    with pytest.raises(Refused) as refused:
        feedback(event=event)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("facts", "field"), [({"comments": None}, "comments"), ({"event_id": 5}, "event_id")]
)
def test_a_user_report_without_words_or_with_a_wrong_id_is_refused_by_field(facts, field):
    with pytest.raises(Refused) as refused:
        user_report(**facts)
    assert refused.value.field == field


SAID = st.fixed_dictionaries(
    {"message": st.just("x") | JSON, "url": JSON, "associated_event_id": JSON, "name": JSON}
)
SENT = st.fixed_dictionaries({
    **dict.fromkeys(("event_id", "timestamp", "user", "release", "environment", "comments"), JSON),
    "contexts": st.fixed_dictionaries({"feedback": SAID}),
})  # fmt: skip


@given(JSON | SENT)
def test_any_json_is_read_or_refused(payload):
    for read in (from_feedback, from_user_report):
        try:
            one = read(payload, intake())
        except Refused:
            continue
        assert len(one.report_id) == 32 and one.message and len(one.url) <= 500


# --- Storing ---
def store(*reports, now=NOW):
    return accompanying.store_user_reports(reports=reports, now=now).total()


@pytest.mark.django_db
def test_a_report_that_comes_again_is_stored_once():
    project = make_project()
    assert store(feedback(project), feedback(project), user_report(project)) == 2
    assert store(feedback(project, message="other words, same id"), user_report(project)) == 0
    assert sorted(UserReport.objects.values_list("message", flat=True)) == ["I cannot pay.", "It broke."]


@pytest.mark.django_db
def test_a_report_finds_the_group_of_an_event_that_is_known():
    project, other = make_project(), make_project("Blog")
    storing.store_batch(events=[make_event(project, 1)])
    store(user_report(project), user_report(other))
    mine, theirs = (UserReport.objects.get(project=p) for p in (project, other))
    assert mine.group == ErrorGroup.objects.get() and theirs.group is None


@pytest.mark.django_db
def test_a_report_that_comes_first_finds_its_group_when_the_event_comes():
    project = make_project()
    store(feedback(project, associated_event_id=ABOUT), feedback(project, 10))
    assert accompanying.link_user_reports(now=NOW) == 0
    storing.store_batch(events=[make_event(project, 1)])
    assert accompanying.link_user_reports(now=NOW) == 1
    assert accompanying.link_user_reports(now=NOW) == 0
    assert UserReport.objects.get(about=ABOUT).group == ErrorGroup.objects.get()
    assert UserReport.objects.get(about="").group is None


@pytest.mark.django_db
def test_an_event_that_can_come_no_more_is_not_waited_for():
    project = make_project()
    store(feedback(project, associated_event_id=ABOUT, at=NOW - timedelta(hours=73)))
    storing.store_batch(events=[make_event(project, 1)])
    assert accompanying.link_user_reports(now=NOW) == 0


@pytest.mark.django_db
def test_a_report_of_a_group_that_goes_stays():
    project = make_project()
    storing.store_batch(events=[make_event(project, 1)])
    store(user_report(project))
    ErrorGroup.objects.all().delete()
    assert UserReport.objects.get().group is None


@pytest.mark.django_db
def test_reports_go_with_the_events_of_their_project(settings):
    settings.ERROR_RETENTION_DAYS = 90
    short, long = make_project(), make_project("Blog")
    short.error_retention_days = 10
    short.save()
    for project in (short, long):
        store(feedback(project, 1, at=NOW - timedelta(days=11)), feedback(project, 2, at=NOW - timedelta(days=91)),
              feedback(project, 3))  # fmt: skip
    assert retention.prune_beside(NOW) == 3
    assert UserReport.objects.filter(project=short).count() == 1
    assert UserReport.objects.filter(project=long).count() == 2
