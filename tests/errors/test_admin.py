"""The pages of error groups: as many queries for thirty groups as for three, and whatever was sent is text."""

import uuid
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core.ids import event_key, millis
from apps.errors.models import ErrorEvent, ErrorGroup
from apps.errors.normalise import from_sentry
from apps.errors.storing import store_batch
from apps.projects.intake import Intake
from tests.errors.make import NOW, make_event, make_project
from tests.people import make_person

pytestmark = pytest.mark.django_db
LIST = "/admin/errors/errorgroup/"
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7|add:7 }}{% now 'Y' %}"


def make_client(*roles: str, name: str = "alice") -> Client:
    client = Client()
    client.force_login(make_person(name, *roles))
    return client


def make_groups(count: int) -> None:
    project = make_project(f"Shop {count}")
    events = [
        make_event(
            project,
            10 * n + i,
            kind=f"Kind{n}",
            who="bob",
            age_s=60 * i,
            tags={"os": f"v{i}"},
            component_name=f"C{n}",
        )
        for n in range(count)
        for i in range(3)
    ]
    store_batch(events=events)


def page_of(group: ErrorGroup) -> str:
    return f"{LIST}{group.pk}/change/"


def queries(client: Client, address: str) -> int:
    client.get(address)  # what is asked once in the life of a process
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_the_list_costs_as_many_queries_for_thirty_groups_as_for_three():
    client = make_client("Viewer")
    make_groups(3)
    few = queries(client, LIST)
    make_groups(30)
    assert queries(client, LIST) == few
    assert len(client.get(LIST).context["cl"].result_list) == 33


def test_the_page_of_a_group_costs_as_many_queries_for_many_events_as_for_three():
    client = make_client("Viewer")
    make_groups(1)
    group = ErrorGroup.objects.get()
    few = queries(client, page_of(group))
    more = [{"age_s": n * 3600, "tags": {f"k{n % 9}": f"v{n}"}} for n in range(60)]
    store_batch(events=[make_event(group.project_id, 100 + n, kind="Kind0", **m) for n, m in enumerate(more)])
    assert queries(client, page_of(group)) == few


def test_the_list_shows_open_groups_first_seen_last_with_a_spark_line():
    client = make_client("Viewer")
    make_groups(3)
    ErrorGroup.objects.filter(exception_type="Kind1").update(status="resolved")
    ErrorGroup.objects.filter(exception_type="Kind2").update(regressed_at=NOW)

    def names(query):
        return {g.exception_type for g in client.get(LIST + query).context["cl"].result_list}

    assert names("") == {"Kind0", "Kind2"}
    assert names("?status=resolved") == {"Kind1"}
    assert names("?status=regressed") == {"Kind2"}
    assert names("?status=all") == {"Kind0", "Kind1", "Kind2"}
    assert names("?status=all&q=kind1") == {"Kind1"}
    shown = client.get(LIST).context["cl"].result_list[0]
    assert sum(shown.spark) == 3


def make_hostile(project) -> ErrorGroup:
    """An event in which everything that a sender may write is markup."""
    frames = [
        {"function": EVIL, "filename": EVIL, "lineno": 7, "context_line": EVIL, "pre_context": [EVIL, 5, None],
         "post_context": EVIL, "vars": {EVIL: {EVIL: [EVIL]}}},
        {"lineno": "x", "vars": EVIL, "context_line": 5, "in_app": EVIL}, EVIL, None,
    ]  # fmt: skip
    raised = {"type": EVIL, "value": EVIL, "module": EVIL, "mechanism": {"handled": EVIL}}
    sent = {
        "event_id": "e" * 32, "timestamp": NOW.timestamp(), "transaction": EVIL, "release": EVIL, "environment": EVIL,
        "exception": [{**raised, "stacktrace": {"frames": frames}}],
        "breadcrumbs": {"values": [
            {"message": EVIL, "category": EVIL, "level": EVIL, "timestamp": EVIL, "data": {EVIL: EVIL}},
            {"message": {"a": EVIL}, "timestamp": 1e308, "data": EVIL, "type": 5}, {"timestamp": [EVIL]}, {},
            {"timestamp": NOW.timestamp(), "message": "%s %d"}, {"timestamp": -1}, {"timestamp": NOW.isoformat()},
        ]},
        "tags": {EVIL: EVIL, "component": EVIL, "__proto__": "x"}, "user": {"id": EVIL},
        "request": {"url": f"https://x/{EVIL}?{EVIL}=1", "method": EVIL, "headers": {EVIL: EVIL, "Host": EVIL},
                    "query_string": [[EVIL, EVIL], EVIL, [EVIL]]},
        "contexts": {EVIL: {EVIL: EVIL}, "a": EVIL, "b": [EVIL], "": {"": None}}, "extra": {EVIL: EVIL},
    }  # fmt: skip
    intake = Intake(project_id=project.pk, received_at=NOW, hash_key=b"k", event_id="e" * 32)
    store_batch(events=[from_sentry(sent, intake)])
    return ErrorGroup.objects.get(project=project)


class Markup(HTMLParser):
    """Fails at a tag or attribute that is not ours."""

    def handle_starttag(self, tag, attributes):
        assert tag != "img" or dict(attributes).get("src") != "x"
        assert tag != "script" or dict(attributes).get("src")
        assert not [name for name, _ in attributes if name.startswith("on") or name == "style"]


def assert_is_text(html: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html
    assert "14" + str(NOW.year) not in html
    Markup().feed(html)


def test_whatever_a_sender_writes_is_text_on_every_page():
    client = make_client("Responder")
    group = make_hostile(make_project())
    for address in (LIST, page_of(group), f"{LIST}?q={EVIL[:40]}&status=all"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert_is_text(answer.content.decode())
        assert "script-src 'self'" in answer["Content-Security-Policy"]
    asked = client.post(f"{LIST}{group.pk}/press/resolve/")
    assert_is_text(asked.content.decode())
    done = client.post(f"{LIST}{group.pk}/press/resolve/", {"confirmed": "1", "reason": EVIL}, follow=True)
    assert_is_text(done.content.decode())
    group.refresh_from_db()
    assert group.resolution_notes == EVIL


@pytest.mark.parametrize(
    "payload",
    [
        {"exceptions": [{"[cut]": 3}, {"stacktrace": {"[cut]": 1}}]},
        {"exceptions": [{"stacktrace": {"frames": ["[cut]", {"[cut]": 9}]}}]},
        {"exceptions": ["[cut]"], "breadcrumbs": ["[cut]"]},
        {"request": {"query": [["a", "b"], "[cut]"], "headers": {"[cut]": 2}}},
        {"request": {"[cut]": 3}, "contexts": {"[cut]": 2, "os": {"[cut]": 1}}, "stack_trace": "x"},
        {"exceptions": [{"stacktrace": {"frames": [{"vars": "[cut]", "pre_context": ["[cut]"]}]}}]},
        {},
    ],
)  # fmt: skip
def test_an_event_of_which_much_was_cut_still_has_a_page(payload):
    client = make_client("Viewer")
    store_batch(events=[make_event(make_project(), 1, payload=payload)])
    assert client.get(page_of(ErrorGroup.objects.get())).status_code == 200


def test_one_walks_from_event_to_event_and_a_strange_event_shows_the_latest():
    client = make_client("Viewer")
    make_groups(2)
    group, other = ErrorGroup.objects.order_by("exception_type")
    newest, middle, oldest = ErrorEvent.objects.filter(group=group).order_by("-id")

    def page(query):
        return client.get(page_of(group) + query).context["page"]

    assert (page("").event, page("").previous_id, page("").next_id) == (newest, middle.pk, None)
    shown = page(f"?event={middle.pk}")
    assert (shown.event, shown.previous_id, shown.next_id) == (middle, oldest.pk, newest.pk)
    for strange in (other.last_event_id, uuid.uuid4(), "x", EVIL):
        assert page(f"?event={strange}").event == newest


def test_a_group_whose_events_retention_dropped_keeps_its_page():
    client = make_client("Viewer")
    make_groups(1)
    ErrorEvent.objects.all().delete()
    answer = client.get(page_of(ErrorGroup.objects.get()))
    assert answer.status_code == 200
    assert "No event is kept" in answer.content.decode()


@pytest.mark.parametrize("which", ["999999999", "x", "1_00", "-1", "9" * 30])
def test_a_group_that_is_not_there_is_said_not_to_be(which):
    answer = make_client("Viewer").get(f"{LIST}{which}/change/")
    assert answer.status_code in (302, 404)


VERBS = {"resolve", "take", "ignore"}


@pytest.mark.parametrize(
    ("role", "offered"),
    [("Viewer", set()), ("Auditor", set()), ("Responder", VERBS), ("Commander", VERBS), ("Admin", VERBS)],
)
def test_buttons_are_offered_and_pressed_by_role(role, offered):
    client = make_client(role)
    make_groups(1)
    group = ErrorGroup.objects.get()
    assert {b.name for b in client.get(page_of(group)).context["buttons"]} == offered
    answer = client.post(f"{LIST}{group.pk}/press/take/")
    assert answer.status_code == (302 if offered else 403)
    group.refresh_from_db()
    assert bool(group.assignee) == bool(offered)


def test_buttons_follow_the_state_and_a_late_one_says_what_happened():
    client = make_client("Responder")
    make_groups(1)
    group = ErrorGroup.objects.get()

    def names():
        return {b.name for b in client.get(page_of(group)).context["buttons"]}

    client.post(f"{LIST}{group.pk}/press/take/")
    assert names() == {"resolve", "ignore"}
    client.post(f"{LIST}{group.pk}/press/resolve/", {"confirmed": "1", "reason": ""})
    assert names() == {"reopen"}
    late = client.post(f"{LIST}{group.pk}/press/ignore/", {"confirmed": "1", "reason": ""}, follow=True)
    assert "This group is resolved by now" in late.content.decode()
    client.post(f"{LIST}{group.pk}/press/reopen/")
    assert names() == {"resolve", "ignore"}  # still taken


def test_nothing_changes_by_get_and_nobody_edits_adds_or_deletes_a_group():
    client = make_client("Admin")
    make_groups(1)
    group = ErrorGroup.objects.get()
    assert client.get(f"{LIST}{group.pk}/press/take/").status_code == 405
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{group.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(page_of(group), {"title": "mine"})
    group.refresh_from_db()
    assert group.title != "mine"


def test_who_is_in_no_group_sees_nothing():
    client = make_client()
    make_groups(1)
    assert client.get(LIST).status_code == 403
    assert client.get(page_of(ErrorGroup.objects.get())).status_code == 403


def test_figures_of_the_page_are_those_of_the_counters():
    client = make_client("Viewer")
    project = make_project()
    at = NOW.replace(minute=30) - timedelta(hours=30)
    store_batch(events=[make_event(project, n, occurred_at=at, tags={"os": "Linux"}) for n in range(3)])
    store_batch(events=[make_event(project, 9, tags={"os": "BSD"})])
    page = client.get(page_of(ErrorGroup.objects.get())).context["page"]
    assert (sum(page.last_day), sum(page.last_month), len(page.last_month)) == (1, 4, 30)
    assert page.tags == [("os", [("Linux", 3, 0.75), ("BSD", 1, 0.25)])]
    assert page.event.pk == event_key(project.pk, f"{9:032x}", millis(NOW))
