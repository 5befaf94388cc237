"""Times on the pages that Django writes by itself: lists, histories, read-only fields."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.contrib.admin.utils import display_for_value
from django.utils import timezone

AT = datetime(2025, 11, 22, 12, 5, tzinfo=UTC)


def test_a_time_in_a_list_names_its_zone():
    assert display_for_value(AT, "–") == "22 Nov 2025, 12:05 UTC"


def test_a_time_in_a_list_stands_in_the_readers_zone():
    with timezone.override(ZoneInfo("Europe/Berlin")):
        assert display_for_value(AT, "–") == "22 Nov 2025, 13:05 CET"


def test_a_day_in_a_list_is_written_as_everywhere_else():
    assert display_for_value(AT.date(), "–") == "22 Nov 2025"
