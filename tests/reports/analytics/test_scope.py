"""One range and one filter: what addresses may say, and what each comes to."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase as HypothesisCase

from apps.projects.services import ensure_component
from apps.reports.analytics.scope import MOST_DAYS, RANGES, read
from tests.errors.make import make_project

pytestmark = pytest.mark.django_db
NOW = datetime(2031, 5, 7, 14, 33, 20, tzinfo=UTC)


def span(**given):
    scope = read({key.rstrip("_"): value for key, value in given.items()}, NOW)
    return f"{scope.start:%d %H:%M}", f"{scope.end:%d %H:%M}"


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("1h", "07 13:33", "07 14:34"),
        ("24h", "06 14:00", "07 15:00"),
        ("7d", "30 14:00", "07 15:00"),
        ("30d", "07 14:00", "07 15:00"),
    ],
)
def test_a_range_covers_at_least_its_span_in_whole_minutes_or_hours_and_what_happens_now(name, start, end):
    assert span(range=name) == (start, end)
    scope = read({"range": name}, NOW)
    assert scope.end - scope.start >= RANGES[name]
    assert scope.running


def test_without_a_word_it_is_a_day():
    assert read({}, NOW) == read({"range": "24h"}, NOW)


def test_a_short_span_is_kept_to_the_minute_and_a_long_one_grows_to_whole_hours():
    assert span(from_="2031-05-07T10:10Z", to="2031-05-07T11:20Z") == ("07 10:10", "07 11:20")
    assert span(from_="2031-05-06T10:10Z", to="2031-05-07T11:20Z") == ("06 10:00", "07 12:00")
    assert span(from_="2031-05-07T10:10:40Z", to="2031-05-07T11:20:01Z") == ("07 10:10", "07 11:21")


def test_an_end_that_is_missing_or_lies_ahead_is_now():
    assert span(from_="2031-05-07T13:00Z")[1] == "07 14:34"
    assert span(from_="2031-05-06T13:00Z", to="2040-01-01")[1] == "07 15:00"
    assert not read({"from": "2031-05-06T13:00Z", "to": "2031-05-06T15:00Z"}, NOW).running


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"range": "2h"}, "range"),
        ({"range": "24h\x00"}, "range"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2031-05-07"}, "from"),
        ({"from": "2031-05-07T13:00Z", "to": "never"}, "to"),
        ({"from": "2031-05-07T13:00Z", "to": "2031-05-07T13:00Z"}, "from"),
        ({"from": "2031-05-07T13:00Z", "to": "2031-05-07T12:00Z"}, "from"),
        ({"from": "2040-01-01"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"from": "9999-12-31T23:59:59+14:00"}, "from"),
        ({"from": "2031-01-01"}, "from"),
        ({"of": "nowhere"}, "of"),
        ({"of": "shop/nowhere"}, "of"),
        ({"of": "shop/"}, "of"),
        ({"of": "shop\x00"}, "of"),
        ({"of": "shop/journal/more"}, "of"),
        ({"of": "'; DROP TABLE auth_user; --"}, "of"),
        ({"of": "x" * 5000}, "of"),
    ],
)
def test_what_cannot_be_used_is_refused_by_the_name_of_its_parameter(given, field):
    ensure_component(project=make_project(), name="Journal")
    with pytest.raises(ValidationError) as refused:
        read(given, NOW)
    assert list(refused.value.message_dict) == [field]


def test_the_longest_span_is_taken_and_one_day_more_is_not():
    start = NOW.replace(minute=0, second=0) - timedelta(days=MOST_DAYS)
    read({"from": start.isoformat(), "to": NOW.replace(minute=0, second=0).isoformat()}, NOW)
    with pytest.raises(ValidationError):
        read({"from": (start - timedelta(days=1)).isoformat()}, NOW)


def test_a_filter_is_a_project_or_one_of_its_components():
    shop, desk = make_project(), make_project("Desk")
    component = ensure_component(project=desk, name="Journal")
    ensure_component(project=shop, name="Journal")
    assert read({"of": "shop"}, NOW).keys == {"project_id": shop.pk}
    whole = read({"of": "desk/journal"}, NOW)
    assert whole.keys == {"component_id": component.pk}
    assert whole.project_keys == {"project_id": desk.pk}
    assert (whole.of, whole.of_words) == ("desk/journal", "Desk: Journal")
    assert read({}, NOW).keys == {}


def test_an_address_made_of_a_scope_gives_the_same_scope_again():
    make_project()
    for said in (
        {"range": "7d", "of": "shop"},
        {"from": "2031-05-01T10:00Z", "to": "2031-05-03T10:00Z"},
        {},
    ):
        scope = read(said, NOW)
        assert read(scope.query(), NOW) == scope


class AnyText(HypothesisCase):
    @given(st.dictionaries(st.sampled_from(["range", "from", "to", "of"]), st.text(max_size=40)))
    def test_any_text_is_either_a_range_or_refused_by_name(self, given):
        try:
            scope = read(given, NOW)
        except ValidationError as refused:
            assert set(refused.message_dict) <= {"range", "from", "to", "of"}
        else:
            assert scope.start < scope.end
