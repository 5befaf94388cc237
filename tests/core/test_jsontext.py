import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.core import jsontext
from apps.core.jsontext import JsonRefused, decode
from tests.fuzz import fewer, json_values, thorough


def refused(raw, **limits):
    with pytest.raises(JsonRefused) as caught:
        decode(raw, **limits)
    return caught.value


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"a":}', b"[1,]", b"nul", b'"open', b"{} {}", b"'a'", b'"a\nb"', b"01"]
)
def test_what_is_no_json_is_refused_as_such(raw):
    assert refused(raw).code == "bad_json"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"NaN", ""),
        (b'{"a": [1, Infinity]}', "a[1]"),
        (b'{"a": {"b": -Infinity}}', "a.b"),
        (b'{"a": 1e400}', "a"),
        (b'[{"deep": -1e999}]', "[0].deep"),
        (b'{"n": ' + b"9" * 400 + b"}", "n"),
        (b'{"n": ' + b"9" * 5000 + b"}", "n"),
        (b'{"n": -' + b"9" * 5000 + b"}", "n"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_with_its_path(raw, field):
    found = refused(raw)
    assert (found.status, found.code, found.field) == (400, "bad_number", field)


def test_a_nan_that_a_later_duplicate_key_hides_is_refused_all_the_same():
    assert refused(b'{"a": NaN, "a": 1}').code == "bad_number"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "\\ud800", "a": "\\ud83d\\ude00"}', {"a": "😀"}),
        (b'"\\u0000"', "\ufffd"),
        (b'{"k\\u0000": ["\\u0000x"]}', {"k\ufffd": ["\ufffdx"]}),
        (b'"cut \\ud83d"', "cut \ufffd"),
        (b'{"\\udc00": "swapped \\ude00\\ud83d"}', {"\ufffd": "swapped \ufffd\ufffd"}),
        (b'"raw \xed\xa0\x80"', "raw \ufffd"),
        (b'\xef\xbb\xbf{"bom": 1}', {"bom": 1}),
        (b'"\\\\u0000"', "\\u0000"),
    ],
)
def test_what_can_be_repaired_is_repaired_and_the_last_duplicate_wins(raw, value):
    assert decode(raw) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", float(2**64)),
        (b"-9223372036854775808", -(2**63)),
        (b"-9223372036854775809", float(-(2**63) - 1)),
    ],
)
def test_whole_numbers_are_exact_within_64_bits_in_both_paths(raw, value):
    by_both = decode(raw), decode(b'["\\ud800", ' + raw + b"]")[1]
    assert by_both == (value, value)
    assert [type(v) for v in by_both] == [type(value)] * 2


@pytest.mark.parametrize(
    "raw", [b'"\xff"', b'{"a": "\xc3\x28"}', b'"\xf5\x80\x80\x80"', '"ü"'.encode("latin-1")]
)
def test_bad_utf8_is_refused_and_the_place_named(raw):
    found = refused(raw)
    assert found.code == "bad_encoding"
    assert "byte" in found.message


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [33, 500, 1030, 10_000, 300_000])
def test_deep_nesting_is_refused_at_any_depth(opening, closing, depth):
    assert refused(opening * depth + b"1" + closing * depth).code in ("too_deep", "bad_json")


@pytest.mark.parametrize("depth", [257, 990, 1000, 1024, 5000])
@pytest.mark.parametrize("leaf", [b"1", b'"\\u0000"', b'"\\ud800"', b"1e400"])
def test_deep_nesting_around_what_needs_repair_is_refused_too(leaf, depth):
    found = refused(b"[" * depth + leaf + b"]" * depth, max_depth=jsontext.MAX_EVENT_DEPTH)
    assert found.code in ("too_deep", "bad_json", "bad_number")


def test_the_allowed_depth_is_allowed_and_one_more_is_not():
    assert decode(b"[" * 32 + b"]" * 32) is not None
    assert refused(b"[" * 33 + b"]" * 33).code == "too_deep"
    assert decode(b'{"a":' * 32 + b"1" + b"}" * 32)["a"]
    assert refused(b'{"a":' * 33 + b"1" + b"}" * 33).code == "too_deep"


def test_many_brackets_side_by_side_or_in_texts_are_not_depth():
    assert decode(b"[" + b"[]," * 5000 + b"[]]")
    assert decode(orjson.dumps("[{" * 5000)) == "[{" * 5000


def test_an_object_of_too_many_keys_is_named_and_many_small_ones_are_not():
    many = orjson.dumps({"a": [{}, {str(n): n for n in range(1001)}]})
    found = refused(many)
    assert (found.code, found.field) == ("too_many_keys", "a[1]")
    assert decode(many, max_keys=None)["a"][1]["1000"] == 1000
    assert len(decode(orjson.dumps([{"a": n, "b": n} for n in range(5000)]))) == 5000


def test_a_million_keys_and_a_text_of_20_megabytes_are_answered():
    assert refused(orjson.dumps({str(n): 0 for n in range(1_000_000)})).code == "too_many_keys"
    assert len(decode(b'"' + b"x" * 20_000_000 + b'"')) == 20_000_000
    assert decode(b'"' + b"\\ud800" * 3_000_000 + b'"') == "\ufffd" * 3_000_000


def test_text_is_taken_as_well_as_bytes():
    assert decode('{"a": "ü"}') == {"a": "ü"}


@fewer
@given(st.lists(json_values | st.integers(-(2**70), 2**70), max_size=3))
@example([{"a": -0.0, "b": 5e-324}])
def test_the_slow_path_reads_what_the_fast_path_reads(value):
    raw = json.dumps(value).encode()
    fast = decode(raw)
    slow = jsontext._decode_slowly(raw)
    assert slow == fast
    assert repr(slow) == repr(fast)  # equal, and of the same types: 1 is not 1.0


@fewer
@given(json_values)
def test_whatever_comes_out_can_be_stored_as_utf8_json_without_nul(value):
    raw = json.dumps(value, ensure_ascii=True).encode()
    out = orjson.dumps(decode(raw))
    assert b"\\u0000" not in out.replace(b"\\\\", b"")


@thorough
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0d8tfne+-.NaI ', max_size=60).map(str.encode))
def test_any_bytes_are_decoded_or_refused_and_nothing_else(raw):
    try:
        decode(raw)
    except JsonRefused as found:
        assert found.status == 400
        assert found.code in {"bad_json", "bad_encoding", "bad_number", "too_deep"}
