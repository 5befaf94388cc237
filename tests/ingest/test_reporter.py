"""The reporter's address: small, cached, for pages of any origin. What it does is in tests/browser/test_reporter.py."""

import gzip
import re
from pathlib import Path

import pytest
from django.test import Client

SOURCE = Path(__file__).parents[2] / "static/portal/reporter.js"


def get(**headers):
    return Client(headers=headers).get("/reporter.js")


def test_it_is_the_file_for_any_page_and_may_be_kept():
    answer = get()
    assert answer.content == SOURCE.read_bytes()
    assert answer["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "max-age=86400" in answer["Cache-Control"] and "public" in answer["Cache-Control"]
    assert "Set-Cookie" not in answer and "Accept-Encoding" in answer["Vary"]


def test_it_is_packed_for_who_can_unpack_it_and_at_most_three_kilobytes_then():
    answer = get(accept_encoding="gzip, br")
    assert answer["Content-Encoding"] == "gzip"
    assert gzip.decompress(answer.content) == SOURCE.read_bytes()
    assert len(answer.content) <= 3000


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_who_has_it_is_told_so(form):
    etag = get()["ETag"].removeprefix("W/")
    answer = get(if_none_match=form.format(etag))
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer["ETag"] and answer["Cache-Control"] and answer["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("tag", ['"other"', "", "nonsense", 'W/"' + "x" * 5000 + '"'])
def test_who_has_another_one_gets_it(tag):
    assert get(if_none_match=tag).status_code == 200


def test_it_can_only_be_read():
    answer = Client().post("/reporter.js")
    assert answer.status_code == 405


def test_it_holds_no_code_that_a_strict_policy_of_the_page_would_stop():
    source = re.sub(r"//.*", "", SOURCE.read_text())
    assert not re.search(r"\beval\b|new Function|innerHTML|document\.write|\.style\b|createElement", source)
