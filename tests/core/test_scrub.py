import subprocess
import sys
import textwrap

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.core import scrub as scrubber
from apps.core.scrub import CUT, REMOVED, is_secret_key, register_secrets, scrub, scrub_own, scrub_text
from apps.core.secret_patterns import NUMBER_PATTERNS, PATTERNS, is_card_number
from tests.fuzz import CI, fewer, json_values, thorough


@pytest.fixture(autouse=True)
def _nothing_remembered():
    scrubber.forget_texts()
    yield
    scrubber.forget_secrets()
    scrubber.forget_texts()


SECRETS = [
    ("hunter2-x", "host=db user=bob password=hunter2-x port=5432"),
    ("hunter2-x", "invalid dsn: {'password': 'hunter2-x'}"),
    ("hunter2-x", '{"db_password": "hunter2-x", "a": 1}'),
    ("hunter2-x", '"{\\"password\\":\\"hunter2-x\\"}"'),
    ("hunter2-x", "ALTER ROLE bob PASSWORD 'hunter2-x'"),
    ("p@:/%w", "could not connect to postgresql://bob:p@:/%w@db.example.org:5432/shop"),
    ("bob:s3cret", "GET https://bob:s3cret@example.org/path failed"),
    ("hunter2", "redis://:hunter2@cache:6379/0, amqp://guest:hunter2@mq//"),
    ("hunter2", "https://example.org/a,postgres://bob:hunter2@db/x"),
    ("f00f00f00f", "https://f00f00f00f@errors.example.org/4"),
    ("abcDEF1234567", "Authorization: Bearer abcDEF1234567"),
    ("dXNlcjpwYXNz", "header was Basic dXNlcjpwYXNz"),
    ("k1=v1", "Cookie: k1=v1; sessionid=abc"),
    ("sessionid=abc", "Set-Cookie: k1=v1; sessionid=abc; Path=/"),
    ("c2Vzcw", "sessionid=c2Vzcw&x=1"),
    ("abc123", "https://example.org/reset?token=abc123&next=/"),
    ("eyJzdWIiOiIxIn0", "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl here"),
    ("eyJzdWIiOiIxIn0", "x=s%3AeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0"),
    ("sk_live_", "stripe said no to sk_live_4eC39HqLyjWDarjt"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("ghp_", "remote: ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
    ("xoxb-", "slack xoxb-123456789012-abcdefghijkl"),
    ("glpat-", "glpat-abcdefghij0123456789"),
    ("AIza", "key AIzaSyA1234567890abcdefghijklmnopqrstu"),
    ("SG.", "SG.abcdefghijklmnop.qrstuvwxyz0123456789"),
    ("MIIEow", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"),
    ("MIIEow", "-----BEGIN PRIVATE KEY-----\nMIIEow and then it was cut"),
    ("4111", "card 4111 1111 1111 1111 12 declined"),
    ("5500", "5500-0000-0000-0004"),
    ("378282246310005", "amex 378282246310005."),
    ("1234567", "call +49 30 1234567 now"),
    ("555-2671", "phone (415) 555-2671"),
    ("555-2671", "415-555-2671"),
    ("7911 123456", "0044 7911 123456"),
    ("carol", "carol.o'x+tag@mail.example.co.uk wrote"),
    ("bob", "mailto:bob%40example.org"),
    ("bob", "user bob@münchen.example was here"),
]


@pytest.mark.parametrize(("secret", "text"), SECRETS)
def test_a_secret_in_a_text_is_removed(secret, text):
    clean = scrub_text(text)
    assert secret not in clean
    assert REMOVED in clean


@pytest.mark.parametrize(
    "text",
    [
        "shop@4.12.3",
        "https://cdn.example.org/node_modules/@sentry/browser/index.js",
        "Unexpected token < in JSON at position 0",
        "Basic functionality is broken",
        "2026-11-22T18:17:48.708419Z",
        "1732299468770",
        "<function handler at 0x7f3645e8d950>",
        "fb897fdf3eed4bc68ae516637d17e474",
        "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "0.4111111111111111",
        "version 1.2.3+20240101",
        "10.1.2.3:8080",
        'SELECT "orders"."id" FROM "orders" WHERE "orders"."customer_id" = %s LIMIT 21',
        "csrf token missing",
        "KeyError: 'usd'",
        "    @wraps(get_response)",
        "1234567890123456",
        "+00:00",
    ],
)
def test_ordinary_text_of_an_error_stays(text):
    assert scrub_text(text) == text


@pytest.mark.parametrize(
    "key",
    ["password", "db_password", "X-Api-Key", "apiKey", "api key", "Authorization", "set-cookie", "SESSION_ID",
     "csrfmiddlewaretoken", "accessToken", "client.secret", "creditCard", "cvv", "email", "user_email", "phoneNumber",
     "mobile", "address", "streetAddress", "postal-code", "zip", "X-Forwarded-For", "REMOTE_ADDR", "SECRET_KEY"],
)  # fmt: skip
def test_the_value_under_a_denied_key_is_removed_whatever_it_is(key):
    assert is_secret_key(key)
    for value in ("plain words", 17, ["a"], {"b": "c"}):
        assert scrub({"outer": [{key: value}]}) == {"outer": [{key: REMOVED}]}


@pytest.mark.parametrize(
    "key", ["author", "max_tokens", "keyboard", "monkey", "passenger", "status", "asset", "addressing"]
)
def test_an_innocent_key_keeps_its_value(key):
    assert scrub({key: "plain words"}) == {key: "plain words"}


def test_nothing_under_a_denied_key_stays_nothing():
    kept = {"password": None, "token": "", "has_secret": True}
    assert scrub(kept) == kept


def test_pairs_are_read_like_keys_and_values():
    assert scrub([["Cookie", "a=b"], ["Accept", "*/*"]]) == [["Cookie", REMOVED], ["Accept", "*/*"]]


def test_a_card_number_is_found_as_a_number_too():
    assert scrub({"n": 4111111111111111, "m": 1732299468770}) == {"n": REMOVED, "m": 1732299468770}


def test_a_secret_in_a_key_is_removed_from_the_key():
    assert scrub({"bob@example.org": 1}) == {REMOVED: 1}


def test_known_secrets_are_removed_wherever_they_stand_and_at_once():
    value = {"a": "x correct-horse y", "correct-horse": ["correct-horse"], "n": "nothing"}
    assert scrub(value) == value
    register_secrets(["correct-horse", "abc", ""])
    assert scrub(value) == {"a": f"x {REMOVED} y", REMOVED: [REMOVED], "n": "nothing"}
    assert scrub_text("abc is too short to be a secret") == "abc is too short to be a secret"


def test_a_text_with_a_secret_is_never_remembered():
    scrub({"a": "bob@example.org", "b": "plain words", "carol@example.org": "x y z"})
    held = {*scrubber._clean_texts, *scrubber._key_verdicts}
    assert "plain words" in held
    assert not [text for text in held if "@" in text]


def test_memory_of_clean_texts_is_bounded(monkeypatch):
    monkeypatch.setattr(scrubber, "_REMEMBER_AT_MOST", 50)
    for n in range(500):
        scrub({f"key {n}": f"text {n}"})
    assert len(scrubber._clean_texts) <= 50
    assert len(scrubber._key_verdicts) <= 50


def test_structures_are_cut_to_depth_count_and_length():
    deep = value = {}
    for _ in range(50):
        value["a"] = value = {}
    cut = scrub(deep, max_depth=3)
    assert cut == {"a": {"a": {"a": CUT}}}
    assert scrub({str(n): n for n in range(5000)})[CUT] == 4000
    assert scrub(list(range(5000)))[-1] == CUT
    assert len(scrub([[1] * 1000] * 100, max_values=2500)) == 100
    assert sum(len(row) for row in scrub([[1] * 1000] * 100, max_values=2500)) < 2600
    assert len(scrub({"a": "x" * 100_000})["a"]) == scrubber.MAX_TEXT
    assert len(scrub_text("x" * 100_000, 500)) == 500
    assert max(map(len, scrub({"k" * 5000: 1}))) == scrubber.MAX_KEY


def test_no_half_of_a_secret_stays_at_the_cut():
    for start in range(470, 500):
        clean = scrub_text("x " * (start // 2) + "sk_live_4eC39HqLyjWDarjtT1zdp7dc " + "y" * 600, 500)
        assert "sk_live" not in clean


def test_what_is_not_json_is_kept_as_text():
    assert scrub({"at": object, 5: (1, 2)}) == {"at": "<class 'object'>", "5": [1, 2]}


@pytest.mark.parametrize(
    "number", ["4111111111111111", "5500000000000004", "378282246310005", "6011000990139424"]
)
def test_card_numbers_are_known_by_network_and_check_digit(number):
    assert is_card_number(number)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not is_card_number(wrong)
    assert not is_card_number("1" + number[1:])


fragments = st.sampled_from([secret for _, secret in SECRETS] + [
    "@", "://", "eyJ", "password", "=", ": ", "'", '"', "4111 1111", "+49", "Bearer ", "%40", "-----BEGIN ",
    "sk-", "\\", "\n", "key", "Cookie: ", "İ", "ſecret=", "K", "()", "-", " ", "token=", REMOVED,
])  # fmt: skip
hostile = st.lists(fragments | st.text(max_size=8), max_size=8).map("".join)


def by_plain_patterns(text):
    for pattern in (*PATTERNS, *NUMBER_PATTERNS):
        text = pattern.regex.sub(pattern.replacement, text)
    return text


@thorough
@given(hostile)
@example("p2://u:p@h")
@example("a@b.中国")
def test_the_cheap_tests_change_nothing_against_the_plain_patterns(text):
    scrubber.forget_texts()
    plain, before = text, ""
    while len(text) >= 5 and plain != before:  # until there is nothing left to take out
        plain, before = by_plain_patterns(plain), plain
    assert scrub_text(text) == plain


@thorough
@given(st.lists(hostile, max_size=6))
def test_texts_looked_at_together_come_out_as_when_looked_at_alone(found):
    scrubber.forget_texts()
    alone = [scrub_text(text) for text in found]
    scrubber.forget_texts()
    assert scrub({"v": [{"t": text} for text in found]}) == {"v": [{"t": text} for text in alone]}


@fewer
@given(hostile)
def test_scrubbing_twice_is_scrubbing_once(text):
    once = scrub_text(text)
    assert scrub_text(once) == once


@fewer
@given(json_values)
def test_any_json_comes_out_as_json_of_the_same_kind(value):
    clean = scrub(value)
    assert type(clean) is type(value) or clean in (REMOVED, CUT)


@thorough
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["password", "tokens", "a", "b", "e-mail"]) | st.text(max_size=5),
            json_values | hostile,
            max_size=4,
        ),
        max_size=3,
    )
)
@example([["password", "x"], {"password": [1]}, {"a": 4111111111111111}, {"a": {"b": None}}])
def test_a_document_of_ones_own_comes_out_as_its_copy_does(value):
    copied = scrub(value)
    assert scrub_own(orjson.loads(orjson.dumps(value))) == copied


def test_a_document_of_ones_own_is_cut_where_its_copy_is():
    deep: dict = {}
    for _ in range(30):
        deep = {"a": deep, "b": ["x"], "token": 1}
    for value in (deep, {"v": list(range(2000))}, {str(n): n for n in range(2000)}, [[1] * 900] * 20):
        assert scrub_own(orjson.loads(orjson.dumps(value))) == scrub(value)


def test_verdicts_on_keys_may_be_forgotten_in_the_middle_of_a_document(monkeypatch):
    monkeypatch.setattr(scrubber, "_REMEMBER_AT_MOST", 3)
    document = {
        "a": 1,
        "password": "p",
        "n": {f"k{n}": {"secret": "s", f"j{n}": 1} for n in range(20)},
        "token": "t",
    }
    for _ in range(3):
        assert scrub_own(orjson.loads(orjson.dumps(document))) == scrub(document)


@fewer
@given(st.text(alphabet="abcXYZ019._-", min_size=6, max_size=30), hostile, hostile)
def test_a_known_secret_never_survives(secret, before, after):
    scrubber.forget_secrets()
    register_secrets([secret])
    if secret in REMOVED:
        return
    assert secret not in scrub_text(f"{before} {secret} {after}").replace(REMOVED, "")


# One repeated piece for each way into a pattern: the texts that made backtracking patterns explode.
REPEATED = [
    "a", "a.", "a@", "@", "%40", "a%40", "eyJ", "eyJaaaaaa.", "a://", "a://b:", "x:@", "password",
    "password=", "password='", 'token="', "Bearer ", "Basic aA1", "cookie:", "ghp_", "sk-",
    "SG.aaaaaaaaaaaa.", "1", "1 ", "1-", "+1", "+1 ", "(415) ", "415-", "00 ", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN ", "-", "\\", "'", '"', 'secret\\"', "a.a@a.", "key: '", "https://a@", "/", "'x", "0",
    "4111-",
]  # fmt: skip


LONG = 2**19 if CI else 2**17


def test_no_text_takes_more_than_linear_time():
    """128 KiB of each piece through each pattern: seconds together; reading a text again and again needs hours."""
    program = textwrap.dedent(f"""
        from apps.core.secret_patterns import NUMBER_PATTERNS, PATTERNS
        for piece in {REPEATED!r}:
            text = (piece * {LONG})[:{LONG}] + "!"
            for pattern in (*PATTERNS, *NUMBER_PATTERNS):
                pattern.regex.sub(pattern.replacement, text)
    """)
    subprocess.run([sys.executable, "-c", program], timeout=120, check=True)


def test_an_address_glued_to_another_one_is_taken_out_too():
    assert "example" not in scrub_text("mailto:bob%40example.orgcarol.o'x+tag@mail.example.co.uk wrote")
