"""The page of limits says what the code holds."""

import re

from django.conf import settings

from apps.core import jsontext, scrub
from apps.errors import new_event
from apps.ingest import api, auth, envelope, inbox, keys, limits, track
from apps.ingest.admission import LONGEST_WAIT_S
from apps.projects import intake
from tests.core.processes import PROJECT

PAGE = (PROJECT / "docs/reference/limits.md").read_text()
ROWS = {cells[0]: cells[1:] for line in PAGE.splitlines()
        if line.startswith("| ") and (cells := [c.strip() for c in line.strip("| ").split(" | ")])}  # fmt: skip


def says(row: str, *numbers: int, column: int = 0) -> None:
    written = [int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", ROWS[row][column])]
    assert written[: len(numbers)] == list(numbers), row


def test_each_setting_on_the_page_has_the_default_of_the_code():
    named = re.findall(r"`([A-Z_]{5,})` = ([\d,]+)", PAGE)
    assert len(named) >= 14
    for name, shown in named:
        assert getattr(settings, name) == int(shown.replace(",", "")), name


def test_each_fixed_limit_on_the_page_is_the_one_in_the_code():
    says("a header or query that may hold a key", auth.MAX_HEADER_CHARS)
    says(
        "questions about keys that nobody knows, for each web process",
        keys.STRANGERS.rate,
        keys.STRANGERS.burst,
    )
    says("single record, unpacked", api.MAX_RECORD_BYTES)
    says("tracked event, unpacked", track.MAX_BYTES)
    says("header line of an envelope or an item", envelope.MAX_HEADER_BYTES)
    says("items of an envelope", envelope.MAX_ITEMS)
    says("type of an item", envelope.MAX_TYPE_CHARS)
    says("records of a batch", api.MOST_RECORDS)
    says("item of another type", envelope.DEFAULT_ITEM_BYTES)
    says("depth of an event", jsontext.MAX_EVENT_DEPTH, scrub.MAX_DEPTH)
    says("depth and keys of a record", jsontext.MAX_DEPTH, jsontext.MAX_KEYS)
    says("tags of an event", new_event.MAX_TAGS, new_event.MAX_TAG)
    says("message; stack trace", new_event.MAX_MESSAGE, new_event.MAX_STACK)
    says(
        "age and future of a time",
        intake.MAX_AGE.total_seconds() / 3600,
        intake.MAX_SKEW.total_seconds() / 60,
    )
    says("what waits in the inbox", 429, inbox.FULL_RETRY_S, column=1)
    assert f"{limits.LONGEST_WAIT_S} s at most" in ROWS["events of a key"][1]
    assert LONGEST_WAIT_S == 3600


def test_each_type_of_item_has_the_limit_that_the_page_says():
    shown = {}
    for row, cells in ROWS.items():
        if re.fullmatch(r"`.*` item", row):
            size = int(re.findall(r"([\d,]+) bytes", cells[0])[0].replace(",", ""))
            shown |= dict.fromkeys(re.findall(r"`(\w+)`", row), size)
    assert shown == {kind: size for kind, size in envelope.ITEM_BYTES.items() if kind != "transaction"}
    assert envelope.ITEM_BYTES["transaction"] == envelope.DEFAULT_ITEM_BYTES
