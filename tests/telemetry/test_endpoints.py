"""Names of endpoints: ids in addresses are folded, routes stay as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry import endpoints


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/api/journal/17/entries", "/api/journal/{id}/entries"),
        ("GET /users/42?tab=a#b", "GET /users/{id}"),
        ("https://app.example.org/users/42", "/users/{id}"),
        ("POST https://app.example.org:8443/a/b?c=d", "POST /a/b"),
        ("https://app.example.org", "/"),
        ("/files/0b7e5c1e-8a3d-4c55-9f7a-0d8f6a7b1c2d/raw", "/files/{id}/raw"),
        ("/commit/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commit/{id}"),
        ("/day/2026-05-17", "/day/{id}"),
        ("/reset/MTc6a8f3k2l9d0s7f6g5", "/reset/{id}"),
        ("/people/alice@example.org/mail", "/people/{id}/mail"),
        ("/api/v2/feed", "/api/v2/feed"),
        ("/static/decade/facade", "/static/decade/facade"),
        ("/{id}/:name/<int:pk>", "/{id}/:name/<int:pk>"),
        ("/users/17/", "/users/{id}/"),
        ("checkout", "checkout"),
    ],
)
def test_an_address_is_named_without_what_tells_one_visit_from_another(address, name):
    assert endpoints.named(address, is_address=True) == name


def test_a_route_stays_as_it_was_written():
    assert endpoints.named("/api/2026/report", is_address=False) == "/api/2026/report"


@pytest.mark.parametrize("nothing", [None, "", "  ", 17, [], {}, True])
def test_what_is_no_name_is_unnamed(nothing):
    assert endpoints.named(nothing, is_address=True) == "(unnamed)"


def test_a_name_is_cut_and_scrubbed():
    assert len(endpoints.named("/x" * 500, is_address=False)) == 200
    assert "bob@example.org" not in endpoints.named("mail to bob@example.org", is_address=False)


@given(st.text(max_size=300))
def test_naming_again_changes_nothing(text):
    once = endpoints.named(text, is_address=True)
    assert endpoints.named(once, is_address=True) == once
    assert 0 < len(once) <= 200
