import pytest

from apps.errors.classification import (
    ERROR_TYPES,
    classify,
    has_user_impact,
    level_of,
    severity_of_level,
    verdict_of,
)


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
