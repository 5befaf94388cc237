"""Tracked events in the admin: to be read, and whatever was sent is text."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.telemetry.models import TrackedEvent
from apps.telemetry.storing import store_batch
from tests.people import make_person
from tests.telemetry.make import make_project, make_tracked, user

pytestmark = pytest.mark.django_db
LIST = "/admin/telemetry/trackedevent/"
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def make_client(*roles):
    client = Client()
    client.force_login(make_person("alice", *roles))
    return client


def store(n, name="feature_used", project=None, **facts):
    project = project or make_project(f"Shop {name} {n}")
    events = [
        make_tracked(project.pk, name, component_name=f"C{i}", user_hash=user("a"), **facts) for i in range(n)
    ]
    store_batch(tracked=events)


def test_the_list_shows_the_latest_and_narrows_by_name_known_or_not():
    store(3)
    store(2, "basket emptied")
    client = make_client("Viewer")
    basket = {
        str(pk) for pk in TrackedEvent.objects.filter(name="basket emptied").values_list("pk", flat=True)
    }
    assert len(shown(client)) == 5
    assert shown(client, name="basket emptied") == basket
    assert shown(client, name="nothing of that name") == set()


def shown(client, **query):
    """Ids of the events that the list leads to."""
    return set(re.findall(r"trackedevent/([0-9a-f-]{36})/change/", client.get(LIST, query).content.decode()))


def test_the_list_takes_as_many_queries_for_thirty_as_for_three():
    def queries(client):
        with CaptureQueriesContext(connection) as context:
            assert client.get(LIST).status_code == 200
        return len(context)

    client = make_client("Viewer")
    store(3)
    few = queries(client)
    store(30, "client_error", severity="Minor")
    assert queries(client) == few


def test_the_page_of_an_event_shows_its_data_as_text():
    store(1, EVIL[:80], data={EVIL: [EVIL]}, subject=EVIL)
    event = TrackedEvent.objects.get()
    client = make_client("Viewer")
    for address in (LIST, f"{LIST}{event.pk}/change/"):
        page = client.get(address).content.decode()
        assert "<script>alert(1)" not in page
        assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert user("a").hex()[:12] in page
    assert user("a").hex() not in page


@pytest.mark.parametrize("pk", ["1", "x", "00000000-0000-0000-0000-000000000000"])
def test_what_is_no_event_is_not_found(pk):
    assert make_client("Viewer").get(f"{LIST}{pk}/change/").status_code in (302, 404)


def test_nobody_adds_changes_or_deletes_one():
    store(1)
    event = TrackedEvent.objects.get()
    client = Client()
    client.force_login(make_person("bob", is_superuser=True))
    for address in (f"{LIST}add/", f"{LIST}{event.pk}/delete/"):
        assert client.post(address, {"post": "yes"}).status_code == 403
    assert client.post(f"{LIST}{event.pk}/change/", {"name": "x"}).status_code == 403
    assert TrackedEvent.objects.get().name == "feature_used"


def test_who_is_in_no_role_sees_nothing():
    assert make_client().get(LIST).status_code == 403
