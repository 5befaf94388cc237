"""Bad input that a door itself can see: bodies, and heads of requests. One table for all doors."""

import gzip
import json
import zlib
from dataclasses import dataclass, field

import brotli
import zstandard

from tests.hostile.wire import AUTH, KEY, head

MIB = 1024 * 1024
PACKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda raw: brotli.compress(raw, quality=1),
    "zstd": zstandard.ZstdCompressor().compress,
}
PATHS = {
    "envelope": "/api/1/envelope/",
    "store": "/api/1/store/",
    "errors": "/api/errors/",
    "client": "/api/errors/client",
    "batch": "/api/errors/batch",
    "track": "/api/analytics/track",
    "tunnel": "/api/tunnel/",
}
GOOD = {
    "envelope": b'{}\n{"type":"event"}\n{"message":"x"}',
    "store": b'{"message":"x"}',
    "errors": b'{"message":"x"}',
    "client": b'{"message":"x"}',
    "batch": b'[{"message":"x"}]',
    "track": b'{"event":"feature_used","data":{"feature":"x"}}',
    "tunnel": b'{"dsn":"http://%s@127.0.0.1/1"}\n{"type":"event"}\n{"message":"x"}' % KEY.encode(),
}


@dataclass
class Bad:
    """A body and the answer it deserves, as (status, code, field); `at` has doors that see it otherwise."""

    body: bytes
    expected: tuple[int, str, str]
    headers: tuple[bytes, ...] = ()
    doors: tuple[str, ...] = tuple(PATHS)
    at: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def answer_of(self, door: str) -> tuple[int, str, str]:
        """What this door has to say; a tunnel's body is an envelope."""
        return self.at.get("envelope" if door == "tunnel" else door, self.expected)


def coded(coding: str) -> tuple[bytes, ...]:
    """The header that names it."""
    return (b"Content-Encoding: " + coding.encode(),)


def _many(packer, raw: bytes, times: int) -> bytes:
    for _ in range(times):
        raw = packer(raw)
    return raw


BAD_ENCODING, TOO_LARGE = (400, "bad_encoding", "body"), (413, "too_large", "body")
UNSUPPORTED = (415, "unsupported_encoding", "Content-Encoding")
NOT_JSON = {"envelope": (400, "bad_json", "header")}
BAD_UTF8 = {"envelope": (400, "bad_encoding", "header")}
NO_OBJECT = {"envelope": (400, "not_an_object", "header"), "store": (400, "not_an_object", "event")}
MEMBER = gzip.compress(b'{"message":"x"}\n')

BODIES: dict[str, Bad] = {
    **{f"{c} bomb": Bad(p(bytes(100 * MIB)), TOO_LARGE, coded(c)) for c, p in PACKERS.items()},
    "gzip in gzip": Bad(_many(gzip.compress, b"{}", 2), (400, "bad_encoding", ""), coded("gzip"), at=BAD_UTF8),
    **{f"{c} cut short": Bad(p(GOOD["envelope"] * 50)[:-3], BAD_ENCODING, coded(c)) for c, p in PACKERS.items()},
    **{f"{c} of nothing": Bad(b"", BAD_ENCODING, coded(c)) for c in PACKERS},
    **{f"{c} that is none": Bad(b'{"message":"x"}', BAD_ENCODING, coded(c)) for c in PACKERS},
    **{f"{c} with a tail": Bad(p(GOOD["envelope"]) + b"tail", BAD_ENCODING, coded(c)) for c, p in PACKERS.items()},
    "gzip of 10,000 members": Bad(MEMBER * 10_000, BAD_ENCODING, coded("gzip")),
    "gzip members that are a bomb together": Bad(gzip.compress(bytes(9 * MIB)) * 10, TOO_LARGE, coded("gzip")),
    "an unknown coding": Bad(b"x", UNSUPPORTED, coded("rar")),
    "two codings": Bad(_many(gzip.compress, b"{}", 2), UNSUPPORTED, coded("gzip, gzip")),
    "a coding of 30 kB": Bad(b"x", UNSUPPORTED, coded("x" * 30_000)),
    "nothing": Bad(b"", (400, "bad_json", ""), at={**NOT_JSON, "batch": (400, "required", "body")}),
    "20 MB string": Bad(json.dumps({"message": "x" * 20 * MIB}).encode(), TOO_LARGE),
    "20 MB string, packed": Bad(gzip.compress(json.dumps({"message": "x" * 20 * MIB}).encode()), TOO_LARGE,
                                coded("gzip")),
    "one byte beyond the packed limit": Bad(b" " * (2 * MIB + 1), TOO_LARGE),
    "not UTF-8": Bad(b'{"message":"\xff"}', (400, "bad_encoding", ""), at=BAD_UTF8),
    "UTF-16": Bad('{"message":"x"}'.encode("utf-16"), (400, "bad_encoding", ""), at=BAD_UTF8),
    "no JSON": Bad(b"nope", (400, "bad_json", ""), at=NOT_JSON),
    "half a document": Bad(b'{"message":', (400, "bad_json", ""), at=NOT_JSON),
    "a text": Bad(b'"x"', (400, "not_an_object", ""), at=NO_OBJECT),
    "null": Bad(b"null", (400, "not_an_object", ""), at=NO_OBJECT),
    "10,000 deep": Bad(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, (400, "too_deep", ""),
                       at={"envelope": (400, "too_large", "header")}),
    "10,000 lists deep": Bad(b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", (400, "too_deep", ""),
                             at={"envelope": (400, "too_large", "header")}),
    "NaN": Bad(b'{"message":"x","a":NaN}', (400, "bad_number", "a"), at={"envelope": (400, "bad_number", "header.a")}),
    "Infinity": Bad(b'{"message":"x","a":[1,-Infinity]}', (400, "bad_number", "a[1]"),
                    at={"envelope": (400, "bad_number", "header.a[1]")}),
    "1e400": Bad(b'{"message":"x","a":{"b":1e400}}', (400, "bad_number", "a.b"),
                 at={"envelope": (400, "bad_number", "header.a.b")}),
    "a number of 5,000 digits": Bad(b'{"message":"x","a":' + b"9" * 5000 + b"}", (400, "bad_number", "a"),
                                    at={"envelope": (400, "bad_number", "header.a")}),
    "a path as an event's id": Bad(b'{"message":"x","event":"x","event_id":"../../etc/passwd","id":"../../etc/passwd"}',
                                   (400, "invalid_event_id", "event_id"),
                                   at={"envelope": (400, "invalid_event_id", "header.event_id")}),
}  # fmt: skip

# What only the frame of an envelope can have wrong.
ENVELOPES: dict[str, tuple[bytes, str, str]] = {
    "header of 64 kB": (b'{"a":"' + b"x" * 65536 + b'"}\n', "too_large", "header"),
    "item header of 64 kB": (b'{}\n{"type":"event","a":"' + b"x" * 65536 + b'"}\n{}', "too_large", "items[0]"),
    "a million keys in the header": (b'{"a":1' + b',"b":2' * 300_000 + b"}\n", "too_large", "header"),
    "1,001 keys in the header": (
        b"{" + b",".join(b'"%x":1' % n for n in range(1001)) + b"}\n", "too_many_keys", "header",
    ),
    "item header is no JSON": (b"{}\nnope\n", "bad_json", "items[0]"),
    "item header is not UTF-8": (b'{}\n{"type":"\xff"}\n', "bad_encoding", "items[0]"),
    "item header is a list": (b"{}\n[]\n", "not_an_object", "items[0]"),
    "no type": (b'{}\n{"length":0}\n\n', "required", "items[0].type"),
    "a type of 1 MB": (b'{}\n{"type":"' + b"x" * 5000 + b'"}\n{}', "required", "items[0].type"),
    "a type that is a number": (b'{}\n{"type":7}\n{}', "required", "items[0].type"),
    "length beyond the end": (b'{}\n{"type":"event","length":99}\n{}', "invalid_length", "items[0].length"),
    "length too short": (b'{}\n{"type":"event","length":1}\n{}', "invalid_length", "items[0].length"),
    "negative length": (b'{}\n{"type":"event","length":-1}\n{}', "invalid_length", "items[0].length"),
    "length of 2**63": (b'{}\n{"type":"event","length":%d}\n{}' % 2**63, "invalid_length", "items[0].length"),
    "length of 10**40": (b'{}\n{"type":"event","length":1%s}\n{}' % (b"0" * 40), "invalid_length", "items[0].length"),
    "length of 10**400": (b'{}\n{"type":"event","length":1%s}\n{}' % (b"0" * 400), "bad_number", "items[0].length"),
    "length as a text": (b'{}\n{"type":"event","length":"2"}\n{}', "invalid_length", "items[0].length"),
    "length as a float": (b'{}\n{"type":"event","length":2.0}\n{}', "invalid_length", "items[0].length"),
    "length true": (b'{}\n{"type":"event","length":true}\n{}', "invalid_length", "items[0].length"),
    "length twice, the last one wrong": (
        b'{}\n{"type":"event","length":2,"length":9}\n{}', "invalid_length", "items[0].length",
    ),
    "the second of two items": (
        b'{}\n{"type":"event","length":2}\n{}\n{"type":"event","length":9}\n{}', "invalid_length", "items[1].length",
    ),
    "101 items": (b"{}\n" + b'{"type":"x","length":0}\n\n' * 101, "too_many_items", "items"),
    "100,000 items": (b"{}\n" + b'{"type":"x"}\n\n' * 100_000, "too_many_items", "items"),
    "an id that is a number": (b'{"event_id":17}\n', "invalid_event_id", "header.event_id"),
    "an id with NUL": (b'{"event_id":"' + b"a" * 31 + b'\\u0000"}\n', "invalid_event_id", "header.event_id"),
    "an id in other digits": (
        b'{"event_id":"%s"}\n' % ("\N{ARABIC-INDIC DIGIT ONE}" * 32).encode(), "invalid_event_id", "header.event_id",
    ),
}  # fmt: skip

# Heads of requests around a good body, each as a function of the door's path and the body: what the server itself
# refuses has no body (see docs/reference/bad-input.md), which is what an empty code stands for.
LENGTH = b"Content-Length: "


def _head(*headers: bytes, method: bytes = b"POST", tail: bytes = b"", version: bytes = b"HTTP/1.1"):
    def request(path: bytes, body: bytes) -> bytes:
        lines = (
            headers
            if any(h.startswith((LENGTH, b"Transfer")) for h in headers)
            else (*headers, LENGTH + b"%d" % len(body))
        )
        return head(path + tail, AUTH, *lines, method=method, version=version) + body

    return request


HEADS = {
    "two lengths that differ": (_head(LENGTH + b"1", LENGTH + b"2"), 400, ""),
    "a negative length": (_head(LENGTH + b"-1"), 400, ""),
    "a length with a sign": (_head(LENGTH + b"+5"), 400, ""),
    "a list of lengths": (_head(LENGTH + b"5, 5"), 400, ""),
    "a length in hex": (_head(LENGTH + b"0x5"), 400, ""),
    "a length of 30 digits": (_head(LENGTH + b"9" * 30), 400, ""),
    "a length of 17 digits": (_head(LENGTH + b"9" * 17), 413, "too_large"),
    "a length that is never reached": (_head(LENGTH + b"9999"), 400, "truncated"),
    "a transfer coding that is none": (_head(b"Transfer-Encoding: gzip"), 400, ""),
    "header lines of 256 kB": (_head(b"X: " + b"x" * 256 * 1024), 431, ""),
    "200 header lines": (_head(*(b"X%d: y" % n for n in range(200))), 431, ""),
    "a header with NUL": (_head(b"X: a\0b"), 400, ""),
    "a folded header": (_head(b"X: a\r\n b"), 400, ""),
    "a space before the colon": (_head(b"X : b"), 400, ""),
    "an address of 70 kB": (_head(tail=b"?" + b"a" * 70_000), 414, ""),
    "an address that is not ASCII": (_head(tail=b"?\xff"), 400, ""),
    "another version of HTTP": (_head(version=b"HTTP/2.0"), 400, ""),
    "a method with NUL": (_head(method=b"POST\0"), 400, ""),
    "a method of 100 letters": (_head(method=b"X" * 100), 405, "method_not_allowed"),
    "TRACE": (_head(method=b"TRACE"), 405, "method_not_allowed"),
    "CONNECT": (_head(method=b"CONNECT"), 405, "method_not_allowed"),
    "GET": (_head(method=b"GET"), 405, "method_not_allowed"),
    "PUT that says it is POST": (_head(b"X-HTTP-Method-Override: POST", method=b"PUT"), 405, "method_not_allowed"),
    "a slash more": (_head(tail=b"//"), 404, "not_found"),
    "a slash in disguise": (_head(tail=b"%2fx"), 404, "not_found"),
    "dots in disguise": (_head(tail=b"/%2e%2e/2/envelope/"), 404, "not_found"),
    "NUL in disguise": (_head(tail=b"%00"), 400, "validation_error"),
    "letters beyond ASCII": (_head(tail="/é".encode()), 404, "not_found"),
    "half an escape": (_head(tail=b"%"), 404, "not_found"),
    "an escape that is not UTF-8": (_head(tail=b"%ff"), 404, "not_found"),
}  # fmt: skip
# Odd, but a body and a key are to be had: taken.
ODD_HEADS = {
    "a length twice": lambda path, body: head(path, AUTH, *[LENGTH + b"%d" % len(body)] * 2) + body,
    "a length beside chunks": lambda path, body: (
        head(path, AUTH, LENGTH + b"3", b"Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    ),
    "chunks of one byte with extensions": lambda path, body: (
        head(path, AUTH, b"Transfer-Encoding: chunked")
        + b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in body) + b"0\r\nX-Trailer: y\r\n\r\n"
    ),
    "40 kB of header lines": _head(b"X: " + b"x" * 40_000),
    "an offer to switch protocols": _head(b"Connection: Upgrade", b"Upgrade: h2c, websocket"),
    "a whole address": lambda path, body: _head()(b"http://mallory.example" + path, body),
    "a coding that is not ASCII": _head(b"Content-Encoding: \xff"),
    "a query that is no text": _head(tail=b"?sentry_key=%ff%fe&a[]=%0a&=&&"),
    "10,000 fields in the query": _head(tail=b"?" + b"a=1&" * 10_000),
    "HTTP/1.0": _head(version=b"HTTP/1.0"),
}  # fmt: skip
