import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.projects.routing import component_of
from tests.fuzz import fewer

RULES = [
    ("auth", "Authentication"),
    ("journal", "Journal"),
    ("profile", "User Profile"),
    ("/shop/pay", "Payments"),
]


@pytest.mark.parametrize(
    ("route", "component"),
    [
        ("/api/auth/login", "Authentication"),
        ("/API/AUTH", "Authentication"),
        ("POST /api/auth/login", "Authentication"),
        ("shop.auth.views.login", "Authentication"),
        ("user-auth/check", "Authentication"),
        ("/api/authors/5", None),
        ("/oauth2/token", None),
        ("/api/journal?x=auth", "Authentication"),
        ("/api/v1/profile/{id}", "User Profile"),
        ("/shop/pay", "Payments"),
        ("/shop/pay/card", "Payments"),
        ("GET /shop/pay?x=1", "Payments"),
        ("https://shop.example.org/shop/pay/card", "Payments"),
        ("/shop/payments", None),
        ("/x/shop/pay", None),
        ("", None),
        ("\0" * 500, None),
    ],
)
def test_the_first_rule_that_fits_the_route_names_the_component(route, component):
    assert component_of(route, RULES) == component


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("/api/*/auth", ["/api/v1/auth", "/api/v2/x/auth/login"], ["/api/auth", "/api/v1/author"]),
        ("/api/v1/jour*", ["/api/v1/journal", "/api/v1/jour/2"], ["/api/v1/adjourn"]),
        ("*auth", ["/api/oauth", "auth"], ["/api/authors"]),
        ("*", ["/anything", "at.all"], []),
        ("/", ["/", "/anything"], ["at.all"]),
        ("/api/", ["/api", "/api/x"], ["/apix"]),
        ("a.b(c", ["x a.b(c y"], ["aXb(c"]),
        ("", [], ["", "/", "auth"]),
        ("   ", [], ["/"]),
    ],
)
def test_patterns_of_rules(pattern, fits, does_not):
    assert all(component_of(route, [(pattern, "it")]) == "it" for route in fits)
    assert all(component_of(route, [(pattern, "it")]) is None for route in does_not)


def test_the_order_of_rules_decides():
    assert component_of("/auth/journal", [("journal", "Journal"), ("auth", "Authentication")]) == "Journal"


def test_many_stars_are_answered_at_once():
    assert component_of("a" * 300, [("*a" * 60 + "b", "never")]) is None


@fewer
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_pattern_and_route_give_an_answer(pattern, route):
    assert component_of(route, [(pattern, "it")]) in (None, "it")
