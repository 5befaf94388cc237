"""Origins as people type them and as browsers send them."""

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from apps.projects.origins import allows, normal_form, validate_origin


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("https://app.example.org", "https://app.example.org"),
        (" HTTPS://App.Example.org/ ", "https://app.example.org"),
        ("https://app.example.org:443", "https://app.example.org"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://localhost:080", "http://localhost"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://*.example.org", "https://*.example.org"),
        ("https://*.example.org:8443", "https://*.example.org:8443"),
    ],
)
def test_what_people_type_becomes_what_browsers_send(typed, sent):
    assert normal_form(typed) == sent
    validate_origin(typed)


@pytest.mark.parametrize(
    "typed",
    ["", "*", "app.example.org", "https://", "https://*", "https://*.org", "https://a.*.example.org", "https://*a.example.org",
     "https://app.example.org/path", "https://app.example.org?x", "https://bob@app.example.org", "ftp://example.org",
     "https://app.example.org:0", "https://app.example.org:99999", "https://exa mple.org", "null", "https://-a.example.org",
     "https://münchen.example", "javascript://x", "https://a..b", "https://a.example.org, https://b.example.org"],
)  # fmt: skip
def test_what_is_no_origin_is_refused_with_an_example(typed):
    assert normal_form(typed) is None
    with pytest.raises(ValidationError) as caught:
        validate_origin(typed)
    assert "https://*.example.org" in caught.value.messages[0]


WILD = ("https://*.example.org", "http://localhost:3000")


@pytest.mark.parametrize(
    "origin",
    ["https://a.example.org", "https://a.b.c.example.org", "https://A.Example.ORG", "http://localhost:3000"],
)
def test_a_wildcard_takes_every_host_below_its_domain(origin):
    assert allows(WILD, origin)


@pytest.mark.parametrize(
    "origin",
    ["https://example.org", "https://evilexample.org", "https://a.example.org.evil.test", "http://a.example.org",
     "https://a.example.org:8443", "null", "https://localhost:3000", "http://localhost", "", "://", "https://.example.org.",
     "*.example.org"],
)  # fmt: skip
def test_and_nothing_else(origin):
    assert not allows(WILD, origin)


def test_a_key_that_names_no_origin_takes_any():
    assert allows((), "null")
    assert allows((), "https://anything.test")


@given(st.text(max_size=40), st.text(alphabet="ab.:/*", max_size=40))
def test_any_text_is_judged_and_none_slips_in_behind_another_domain(text, host):
    assert isinstance(allows(WILD, text), bool)
    if allows(("https://*.example.org",), f"https://{host}"):
        assert host.endswith(".example.org")
