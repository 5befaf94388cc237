import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.errors.classification import (
    ERROR_TYPES,
    classify,
    component_of,
    has_user_impact,
    level_of,
    severity_of_level,
    verdict_of,
)
from tests.fuzz import fewer

RULES = [
    ("auth", "Authentication"),
    ("journal", "Journal"),
    ("profile", "User Profile"),
    ("/shop/pay", "Payments"),
]


@pytest.mark.parametrize(
    ("types", "code", "error_type", "severity"),
    [
        (["ValidationError"], None, "Validation Error", "Minor"),
        (["rest_framework.exceptions.ValidationError"], None, "Validation Error", "Minor"),
        (["psycopg.errors.NotNullViolation"], None, "Validation Error", "Minor"),
        (["JsonWebTokenError"], None, "Authentication Error", "Major"),
        (["AuthenticationFailed"], None, "Authentication Error", "Major"),
        (["MongoServerError"], 11000, "Database Duplicate Key", "Minor"),
        (["Error"], "11000", "Database Duplicate Key", "Minor"),
        (
            ["django.db.utils.IntegrityError", "psycopg.errors.UniqueViolation"],
            None,
            "Database Duplicate Key",
            "Minor",
        ),
        (["IntegrityError"], "23505", "Database Duplicate Key", "Minor"),
        (["MulterError"], "LIMIT_FILE_SIZE", "File Size Error", "Minor"),
        (["PayloadTooLargeError"], None, "File Size Error", "Minor"),
        (["Error"], "ECONNREFUSED", "Database Connection Error", "Critical"),
        (["ConnectionRefusedError"], None, "Database Connection Error", "Critical"),
        (["requests.exceptions.ConnectionError"], None, "Database Connection Error", "Critical"),
        (["OperationalError"], None, "Database Connection Error", "Critical"),
        (["OperationalError"], "08006", "Database Connection Error", "Critical"),
        (["OperationalError"], "57P01", "Database Connection Error", "Critical"),
        (["OperationalError"], "57014", "Server Error", "Major"),
        (["OperationalError"], "40001", "Server Error", "Major"),
        (
            ["django.db.utils.OperationalError", "sqlite3.OperationalError"],
            None,
            "Database Connection Error",
            "Critical",
        ),
        (["sqlite3.OperationalError"], None, "Server Error", "Major"),
        (["DataError"], "22P02", "Validation Error", "Minor"),
        (["OperationalError"], "28P01", "Authentication Error", "Major"),
        (["KeyError"], None, "Server Error", "Major"),
        (["TypeError"], "E_UNHEARD_OF", "Server Error", "Major"),
        ([], None, "Server Error", "Major"),
    ],
)
def test_type_and_code_decide(types, code, error_type, severity):
    assert classify(types, code) == (error_type, severity)


@pytest.mark.parametrize(
    "message", ["ECONNREFUSED", "ValidationError: no", "duplicate key 23505", "payload too large"]
)
def test_words_that_a_sender_writes_into_a_type_do_not_decide(message):
    assert classify([f"Error: {message} happened"]).error_type == "Server Error"


@pytest.mark.parametrize("code", [True, 1.5, None, [], {}, "", "x" * 10_000, -(2**80)])
def test_a_code_of_a_wrong_kind_does_not_count(code):
    assert classify(["ValidationError"], code).error_type == "Validation Error"


def test_the_words_of_the_brief_stand_for_their_severity():
    severities = [verdict_of(word).severity for word in ERROR_TYPES]
    assert severities == ["Minor", "Major", "Minor", "Minor", "Critical", "Major"]
    assert verdict_of("TypeError") is None


@pytest.mark.parametrize(
    ("sent", "level", "severity", "impact"),
    [
        ("fatal", "fatal", "Critical", True),
        ("error", "error", "Major", True),
        ("warning", "warning", "Minor", True),
        ("info", "info", "Minor", False),
        ("debug", "debug", "Minor", False),
        ("critical", "fatal", "Critical", True),
        ("warn", "warning", "Minor", True),
        ("log", "info", "Minor", False),
        ("loud", "error", "Major", True),
        (None, "error", "Major", True),
        (40, "error", "Major", True),
        ({}, "error", "Major", True),
    ],
)
def test_a_level_gives_severity_and_impact(sent, level, severity, impact):
    assert level_of(sent) == level
    assert severity_of_level(level) == severity
    assert has_user_impact(level) is impact


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
