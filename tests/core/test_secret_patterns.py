"""What is never kept, kind by kind, with what looks like it and stays; and that no text makes a pattern slow."""

import json
import subprocess
import sys
import textwrap

import pytest

from apps.core.scrub import REMOVED, scrub, scrub_text
from apps.core.secret_patterns import NUMBER_PATTERNS, PATTERNS
from tests.fuzz import CI

ALL = (*PATTERNS, *NUMBER_PATTERNS)

# Kind: (secret, text that holds it), then ordinary text that comes near it.
KINDS = {
    "password": (
        [("hunter2-x", "login failed, password=hunter2-x"), ("hunter2-x", '{"passwd": "hunter2-x"}'),
         ("hunter2-x", "pwd: hunter2-x;")],
        ["the password was wrong", "password reset requested", "passwords must have 12 characters"],
    ),
    "password in SQL": (
        [("hunter2-x", "ALTER ROLE shop PASSWORD 'hunter2-x' VALID UNTIL 'infinity'")],
        ["SELECT password FROM users WHERE id = %s", "UPDATE users SET name = 'x'"],
    ),
    "credentials in an address": (
        [("shop:hunter2", "postgresql://shop:hunter2@db:5432/shop"), ("hunter2", "redis://:hunter2@cache:6379/0"),
         ("f00f00", "https://f00f00@errors.example.org/4")],
        ["https://cdn.example.org/node_modules/@sentry/browser", "postgresql://db.example.org:5432/shop"],
    ),
    "API key": (
        [("4eC39HqLyjWDarjt", "sk_live_4eC39HqLyjWDarjt"), ("IOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
         ("16C7e42F292c6912E7710c838347Ae178B4a", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
         ("SyA1234567890abcdefghijklmnopqrstu", "AIzaSyA1234567890abcdefghijklmnopqrstu"),
         ("k-123456", "x-api-key: k-123456")],
        ["task-1234", "risk-adjusted", "KeyError: 'usd'", "monkey = 7"],
    ),
    "token": (
        [("abcDEF1234567", "Authorization: Bearer abcDEF1234567"), ("abc123", "GET /reset?token=abc123&next=/"),
         ("dXNlcjpwYXNz", "Basic dXNlcjpwYXNz")],
        ["Unexpected token < in JSON at position 0", "Basic functionality is broken", "bearer of bad news"],
    ),
    "JWT": (
        [("eyJzdWIiOiIxIn0", "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl")],
        ["eyJ is how they begin", "hey.Jude.now"],
    ),
    "cookie and session": (
        [("k1=v1", "Cookie: k1=v1; theme=dark"), ("c2Vzcw", "sessionid=c2Vzcw")],
        ["cookie consent was given", "session expired"],
    ),
    "CSRF token": ([("Zz91", "csrftoken=Zz91xx"), ("Zz91", "X-CSRFToken: Zz91xx")], ["csrf token missing"]),
    "private key": (
        [("MIIEow", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"),
         ("MIIEow", "-----BEGIN PRIVATE KEY-----\nMIIEow and cut")],
        ["-----BEGIN CERTIFICATE-----", "a private key is needed"],
    ),
    "card number": (
        [("4111", "card 4111 1111 1111 1111 declined"), ("5500", "5500-0000-0000-0004"), ("3782", "378282246310005")],
        ["order 1234567890123456", "1732299468770", "4111 1111 1111 1112", "0.4111111111111111"],
    ),
    "phone number": (
        [("1234567", "call +49 30 1234567"), ("123456", "0044 7911 123456")],
        ["version 1.2.3+20240101", "+00:00", "00:00:01", "10.1.2.3:8080"],
    ),
    "phone number, North America": (
        [("555-2671", "(415) 555-2671"), ("555", "415-555-2671")],
        ["415-555-26", "2026-11-22", "f47ac10b-58cc-4372-a567-0e02b2c3d479"],
    ),
    "e-mail address": (
        [("carol", "carol.o'x+tag@mail.example.co.uk"), ("bob", "mailto:bob%40example.org")],
        ["shop@4.12.3", "    @wraps(get_response)", "a @ b"],
    ),
    "postal address": (
        [("Baker", "deliver to 221B Baker Street, London"), ("Oak", "12 N. Oak Avenue"),
         ("Markt", "Am Alten Markt Platz 3"), ("Haupt", "Hauptstraße 5b, 10115 Berlin")],
        ["line 30 of Street.py", "500 Internal Server Error", "3 Google Drive", "street = 5", "the road ahead"],
    ),
    "digest and other scheme": (
        [("9f86D081884c7d65", "Authorization: Digest 9f86D081884c7d65"), ("YIIB6wYGKw", "Negotiate YIIB6wYGKw")],
        ["sha256 digest of the body", "they negotiate terms"],
    ),
}  # fmt: skip


def test_there_are_fifteen_kinds():
    assert len(KINDS) == 15


@pytest.mark.parametrize(("secret", "text"), [pair for found, _ in KINDS.values() for pair in found])
def test_each_kind_is_taken_out_wherever_it_stands(secret, text):
    for around in (text, f"before {text} after", f"line one\n{text}\nline two", f"({text})"):
        clean = scrub_text(around)
        assert secret not in clean
        assert REMOVED in clean
    inside = scrub({"a": [{"b": text}], "c": text})
    assert secret not in json.dumps(inside)


@pytest.mark.parametrize("text", [text for _, ordinary in KINDS.values() for text in ordinary])
def test_ordinary_text_that_comes_near_a_kind_stays(text):
    assert scrub_text(text) == text


@pytest.mark.parametrize("pattern", ALL, ids=lambda p: p.name)
def test_each_pattern_finds_one_of_the_kinds(pattern):
    texts = [text for found, _ in KINDS.values() for _, text in found]
    assert any(pattern.regex.sub(pattern.replacement, text) != text for text in texts)


# One repeated piece for each way into a pattern: the texts that made backtracking patterns explode.
REPEATED = [
    "a", "a.", "a@", "@", "%40", "a%40", "eyJ", "eyJaaaaaa.", "a://", "a://b:", "x:@", "password",
    "password=", "password='", 'token="', "Bearer ", "Basic aA1", "cookie:", "ghp_", "sk-",
    "SG.aaaaaaaaaaaa.", "1", "1 ", "1-", "+1", "+1 ", "(415) ", "415-", "00 ", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN ", "-", "\\", "'", '"', 'secret\\"', "a.a@a.", "key: '", "https://a@", "/", "'x", "0",
    "4111-", "1 Aa ", "1 Aa Aa Aa Aa ", "Aa ", "Aa-", "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "Aastraße ", "1 N. ", "Platz ",
]  # fmt: skip
SMALLEST = 2**18 if CI else 2**14
# Four times the text is four times the work; where a text is read again and again it is sixteen times or more.
MOST_GROWTH = 8


def test_no_text_takes_more_than_linear_time():
    """Processor time at n and 4n characters of each piece through each pattern, in a process that can be ended."""
    program = textwrap.dedent(f"""
        from time import process_time
        from apps.core.secret_patterns import NUMBER_PATTERNS, PATTERNS

        def cost(pattern, piece, size):
            text = (piece * size)[:size] + "!"
            begun = process_time()
            pattern.regex.sub(pattern.replacement, text)
            return process_time() - begun

        def grows(pattern, piece, n):
            # A few milliseconds at 4n are no growth worth a name; a slow moment of the machine is looked at again.
            for _ in range(5):
                small, large = cost(pattern, piece, n), cost(pattern, piece, 4 * n)
                if large < 0.01 or large < {MOST_GROWTH} * small:
                    return False
            return True

        found = [
            (pattern.name, piece)
            for piece in {REPEATED!r}
            for pattern in (*PATTERNS, *NUMBER_PATTERNS)
            if grows(pattern, piece, {SMALLEST})
        ]
        assert not found, found
    """)
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=600, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
