"""What users said and files beside events on the pages: text, whatever it says, and as many queries as without."""

import pytest
from django.utils import timezone

from apps.errors import accompanying, queries
from apps.errors.attachments import from_item
from apps.errors.models import ErrorGroup
from apps.errors.user_reports import from_feedback
from apps.projects.intake import Intake
from tests.errors import test_admin as pages
from tests.errors.make import make_project
from tests.errors.test_admin import EVIL, assert_is_text, make_client, make_hostile, page_of

pytestmark = pytest.mark.django_db
ABOUT = "e" * 32  # the hostile event's id


def add_report(project, number=1, message=EVIL, about=ABOUT):
    intake = Intake(project_id=project.pk, received_at=timezone.now(), hash_key=b"k", event_id="d" * 32)
    said = {
        "message": message,
        "associated_event_id": about,
        "url": f"https://x/{EVIL}",
        "contact_email": EVIL,
    }
    sent = {
        "event_id": f"{number:032x}",
        "release": EVIL,
        "environment": EVIL,
        "contexts": {"feedback": said},
    }
    accompanying.store_user_reports(reports=[from_feedback(sent, intake)], now=timezone.now())


def add_file(project, payload: bytes, name=f"{EVIL}.log"):
    intake = Intake(project_id=project.pk, received_at=timezone.now(), hash_key=b"k", event_id=ABOUT)
    file = from_item({"filename": name, "content_type": "text/html"}, payload, intake)
    accompanying.store_attachments(files=[file])


def test_words_of_users_and_files_are_shown_as_text():
    project = make_project()
    group = make_hostile(project)
    add_report(project)
    add_file(project, EVIL.encode() + b"\nends here")
    html = make_client("Viewer").get(page_of(group)).content.decode()
    assert "What users said" in html and "ends here" in html
    assert_is_text(html)


def test_a_page_says_how_many_reports_there_are_and_shows_the_latest():
    project = make_project()
    group = make_hostile(project)
    client = make_client("Viewer")
    before = pages.queries(client, page_of(group))
    for number in range(queries.REPORTS_SHOWN + 3):
        add_report(project, number + 1, f"words {number}")
    for number in range(5):
        add_file(project, b"%d" % number)
    assert pages.queries(client, page_of(group)) == before
    page = client.get(page_of(group)).context["page"]
    assert page.report_count == 13 and page.reports[0].message == "words 12" and len(page.reports) == 10
    assert len(page.attachments) == 5
    assert "the latest 10 of" in client.get(page_of(group)).content.decode()


def test_a_page_without_words_or_files_has_no_room_for_them():
    group = make_hostile(make_project())
    assert "What users said" not in make_client("Viewer").get(page_of(group)).content.decode()


def test_the_list_of_reports_shows_those_without_an_event_too():
    project = make_project()
    make_hostile(project)
    add_report(project, 1)
    add_report(project, 2, message="no event", about=None)
    answer = make_client("Viewer").get("/admin/errors/userreport/")
    assert len(answer.context["cl"].result_list) == 2
    assert_is_text(answer.content.decode())
    assert f'<a href="{page_of(ErrorGroup.objects.get())}">' in answer.content.decode()
    assert make_client(name="mallory").get("/admin/errors/userreport/").status_code == 403
