"""The page, its live feed, the API and the CSV: who may, how often the database is asked, what strangers' text does."""

import csv as plain_csv
import io
import json
import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape
from hypothesis import given
from hypothesis import strategies as st

from apps.errors.models import ErrorEvent
from apps.projects.services import create_token
from apps.reports.analytics import csv
from apps.reports.analytics.block import registry
from apps.reports.analytics.page import TABS
from tests import cached
from tests.people import make_person
from tests.reports.analytics.make import (
    HOUR,
    make_active,
    make_errors,
    make_project,
    make_requests,
    make_tracked,
    make_visitor,
)

pytestmark = pytest.mark.django_db
PAGE, FEED, API = "/admin/analytics/", "/admin/analytics/feed/", "/api/analytics/"
NASTY = '<script>alert(1)</script>=HYPERLINK("x")'


def make_token_client(*scopes: str, roles: tuple[str, ...] = ("Viewer",)) -> Client:
    _, secret = create_token(user=make_person("bob", *roles), scopes=list(scopes))
    return Client(headers={"Authorization": f"Bearer {secret}"}, raise_request_exception=False)


def make_house(times: int) -> None:
    """So many of everything."""
    for number in range(times):
        project = make_project(f"Shop {number}")
        for kind in range(3):
            make_errors(
                project, 4, first=100 * kind, kind=f"Kind{kind}", route=f"/pay/{kind}", who=f"user {kind}"
            )
            make_requests(
                project, 30, failed=2, first=100 * kind, endpoint=f"/pay/{kind}", duration_ms=1200.0
            )
        make_active(project, "alice", "bob")
        for name in ("feature_used", "client_error", "ai_failure", "cache_performance", "trial_conversion"):
            make_tracked(
                project, name, 3, subject=f"of {number}", reason="timeout", outcome="hit", who="alice"
            )
        make_tracked(project, "feature_used", 1, first=50, subject="old", age_s=20 * 24 * HOUR)


def queries_of(client: Client, address: str) -> int:
    cached.forget()
    with CaptureQueriesContext(connection) as caught:
        assert client.get(address).status_code == 200
    return len(caught)


# --- Page ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("span", ["1h", "24h", "30d"])
def test_the_page_asks_as_often_over_much_as_over_little(tab, span):
    client = make_visitor("Viewer")
    address = f"{PAGE}?tab={tab}&range={span}"
    make_house(1)
    queries_of(client, address)
    before = queries_of(client, address)
    make_house_again = [make_project(f"Desk {n}") for n in range(3)]
    for project in make_house_again:
        for kind in range(14):
            make_errors(
                project, 3, first=10 * kind, kind=f"Kind{kind}", route=f"/desk/{kind}", who=f"user {kind}"
            )
            make_requests(project, 12, failed=1, first=20 * kind, endpoint=f"/desk/{kind}")
            make_tracked(project, "client_error", 2, first=10 * kind, subject=f"s{kind}", who=f"user {kind}")
            make_tracked(project, "feature_used", 2, first=10 * kind, subject=f"s{kind}", who=f"user {kind}")
    assert queries_of(client, address) == before


@pytest.mark.parametrize("tab", TABS)
def test_an_empty_house_has_words_for_each_analysis_of_a_tab(tab):
    page = make_visitor("Viewer").get(f"{PAGE}?tab={tab}").content.decode()
    for block in registry.values():
        if block.tab == tab:
            assert escape(block.empty[0]) in page
    shown = page.split('id="content-main"')[1].split("<footer")[0]
    assert not re.findall(r">\s*(?:0|100) %", shown)


def test_each_figure_and_each_analysis_says_how_it_is_made():
    make_house(1)
    page = make_visitor("Viewer").get(PAGE).content.decode()
    assert page.count("How is this made?") == 4 + 5


def test_strangers_text_stays_text_on_every_tab():
    project = make_project("Shop <i>")
    make_errors(project, 1, kind=NASTY, title=NASTY, route=NASTY, release=NASTY, message=NASTY)
    make_requests(project, 30, failed=3, endpoint=NASTY, duration_ms=2000.0)
    for name in (
        "client_error",
        "feature_used",
        "formspree_failure",
        "trial_conversion",
        "cache_performance",
    ):
        make_tracked(project, name, 1, subject=NASTY, reason=NASTY, outcome="hit")
    client = make_visitor("Viewer")
    for tab in TABS:
        page = client.get(f"{PAGE}?tab={tab}").content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page or tab == "daily"
        assert "Shop <i>" not in page


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("range=2h", "range"),
        ("from=x", "from"),
        ("of=nowhere", "of"),
        ("tab=secret", "tab"),
    ],
)
def test_a_page_that_cannot_be_shown_says_which_parameter_and_why(asked, field):
    answer = make_visitor("Viewer").get(f"{PAGE}?{asked}", headers={"accept": "text/html"})
    assert answer.status_code == 400
    assert f"<b>{field}</b>:" in answer.content.decode()


def test_the_switches_keep_everything_else_as_it_is():
    make_project()
    page = make_visitor("Viewer").get(f"{PAGE}?range=7d&of=shop&tab=errors").content.decode()
    assert 'href="?range=24h&amp;of=shop"' in page
    assert 'href="?range=7d&amp;of=shop&amp;tab=daily"' in page
    assert '<option value="shop" selected>' in page


def test_who_may_not_see_errors_or_what_is_tracked_sees_no_analyses():
    for client in (make_visitor(), make_visitor(name="mallory")):
        assert [client.get(address).status_code for address in (PAGE, FEED, API, f"{API}feed")] == [403] * 4
    assert Client().get(PAGE).status_code == 302


@pytest.mark.parametrize("address", [PAGE, FEED, f"{API}feed"])
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_is_changed_here(address, method):
    assert getattr(make_visitor("Admin"), method)(address).status_code == 405


# --- Feed ---------------------------------------------------------------------------------------------------------
def test_the_feed_answers_nothing_new_without_a_body_and_the_rows_otherwise():
    client = make_visitor("Viewer")
    project = make_project()
    make_errors(project, 1, age_s=60)
    latest = ErrorEvent.objects.latest("id").pk
    assert client.get(f"{FEED}?after={latest}").status_code == 204
    make_errors(project, 1, first=9)
    answer = client.get(f"{FEED}?after={latest}")
    assert answer.status_code == 200
    assert answer.content.decode().count("<li") == 2
    assert "<html" not in answer.content.decode()


def test_the_feed_keeps_to_range_and_filter():
    make_errors(make_project(), 1, age_s=3 * HOUR)
    make_errors(make_project("Desk"), 1, first=9)
    client = make_visitor("Viewer")
    assert client.get(f"{FEED}?range=1h").content.decode().count("<li") == 1
    assert client.get(f"{FEED}?range=24h").content.decode().count("<li") == 2
    assert client.get(f"{FEED}?range=24h&of=shop").content.decode().count("<li") == 1


@pytest.mark.parametrize(
    ("asked", "field"),
    [("after=x", "after"), ("range=9d", "range"), ("of=a/b", "of"), (f"after={'f' * 33}", "after")],
)
def test_a_feed_that_cannot_be_given_is_refused_in_the_one_form(asked, field):
    answer = make_visitor("Viewer").get(f"{FEED}?{asked}")
    assert answer.status_code == 400
    assert [d["field"] for d in answer.json()["details"]] == [field]


@pytest.mark.parametrize("address", [PAGE, FEED, f"{API}feed"])
def test_an_address_with_nul_is_refused(address):
    assert make_visitor("Viewer").get(f"{address}?of=%00").status_code == 400


def test_the_last_id_that_there_can_be_is_no_error():
    assert make_visitor("Viewer").get(f"{FEED}?after={'f' * 32}").status_code == 204


# --- API ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(registry))
def test_every_analysis_is_there_as_json_and_as_csv_with_the_same_values(name):
    make_house(1)
    client = make_token_client("api:read")
    told = client.get(f"{API}{name}").json()
    assert told["block"] == name
    assert told["rows"] or registry[name].tab == "daily"
    answer = client.get(f"{API}{name}?format=csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="{name}-' in answer["Content-Disposition"]
    table = list(plain_csv.DictReader(io.StringIO(answer.content.decode())))
    assert [c["name"] for c in told["columns"]] == list(
        table[0] if table else [c["name"] for c in told["columns"]]
    )
    for row, line in zip(told["rows"], table, strict=True):
        for key, value in row.items():
            if isinstance(value, int | float) and key in line:
                assert float(line[key]) == pytest.approx(value)


def test_the_list_names_every_analysis_with_what_it_covers():
    found = {row["name"]: row for row in make_token_client("api:read").get(API).json()}
    assert found.keys() == registry.keys()
    assert found["feature-adoption"]["range"] == "7d"
    assert found["feed"]["range"] == "24h"


def test_a_token_needs_the_scope_and_its_person_the_rights():
    assert make_token_client("errors:write").get(f"{API}feed").status_code == 403
    assert Client().get(f"{API}feed").status_code == 401


def test_no_data_is_null_and_a_time_is_utc():
    make_errors(make_project(), 1, route="/pay")
    client = make_token_client("api:read")
    (row,) = client.get(f"{API}failure-rate").json()["rows"]
    assert row["failure_rate"] is None
    (event,) = client.get(f"{API}feed").json()["rows"]
    assert event["at"].endswith("Z")


@pytest.mark.parametrize(
    ("address", "status", "field"),
    [
        ("feed?range=9d", 400, "range"),
        ("feed?from=x&format=csv", 400, "from"),
        ("feed?of=nowhere", 400, "of"),
        ("nothing", 404, None),
        ("feed?format=xml", 404, None),
    ],
)
def test_what_cannot_be_answered_is_refused_in_the_one_form(address, status, field):
    answer = make_token_client("api:read").get(f"{API}{address}")
    assert answer.status_code == status
    told = json.loads(answer.content)
    assert {"code", "message", "details", "requestId"} <= told.keys()
    assert [d["field"] for d in told["details"]] == ([field] if field else [])


# --- CSV ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "\n=1", "=cmd|'/c calc'!A0"]
)
def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(text):
    assert str(csv.safe(text)).startswith("'")


@given(st.text())
def test_no_text_whatever_leaves_a_cell_that_begins_a_formula(text):
    cell = str(csv.safe(text))
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert "\x00" not in cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-5, -5), (1.5, 1.5), (None, ""), ([1, 2], "1 2"), ("plain", "plain"), (True, "True"),
        (datetime(2031, 5, 1, 13, tzinfo=UTC), "2031-05-01T13:00:00Z"),
    ],
)  # fmt: skip
def test_numbers_stay_numbers_and_times_are_utc(value, cell):
    assert csv.safe(value) == cell
