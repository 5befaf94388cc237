"""Bodies unpacked within limits: by the bytes that come out and by progress, so that a bomb costs its limit at most."""

import binascii
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import brotli
import zstandard

from apps.core.refusal import Refused
from apps.ingest.limits import Throttled

# RFC 9659: what a decoder of the zstd content coding must take, and all that it needs to.
ZSTD_MAX_WINDOW = 8 * 1024 * 1024
# A zstd block is at most 128 KiB, made of at least 4 bytes: so one bite overshoots by 8 MiB at most.
_ZSTD_BITE = 256
# The first byte of every zlib stream, in base64; JSON never begins so.
OLD_PACKING = b"e"
_GZIP_MAX_MEMBERS = 16
SMALL_BYTES = 128 * 1024
_MOST_WAITING = 8
_BUSY_RETRY_S = 2
_GZIP = 31
_ZLIB = 15
_RAW_DEFLATE = -15


class UnpackRefused(Refused):
    """A body that cannot be unpacked. Always about the body or its Content-Encoding."""


class BodyTooLarge(UnpackRefused):
    """413: more bytes come out than are taken."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__("too_large", f"the unpacked body is larger than {limit} bytes", "body")


class BrokenBody(UnpackRefused):
    """400: the stream is damaged, cut short, or followed by something else."""

    def __init__(self, coding: str) -> None:
        super().__init__("bad_encoding", f"the body is not a whole {coding} stream", "body")


class UnknownCoding(UnpackRefused):
    """415: a Content-Encoding that is not read here, or several of them."""

    status = 415

    def __init__(self) -> None:
        super().__init__("unsupported_encoding", f"use one of {', '.join(CODINGS)}", "Content-Encoding")


class Busy(Throttled):
    """429: others wait with large bodies already, and those who have small ones shall not wait behind them all."""

    def __init__(self) -> None:
        super().__init__("busy", "too many large bodies at once", _BUSY_RETRY_S)
        self.field = "body"


class Room:
    """For one large body at a time, and what it is decoded to; `most_waiting` may wait. May be entered again."""

    def __init__(self, most_waiting: int) -> None:
        self._places = threading.BoundedSemaphore(most_waiting + 1)
        self._inside = threading.RLock()

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy
        self._inside.acquire()

    def __exit__(self, *_: object) -> None:
        self._inside.release()
        self._places.release()


room = Room(_MOST_WAITING)


def unpack(body: bytes, coding: str, *, max_bytes: int) -> bytes:
    """The body behind a Content-Encoding header ("" and "identity": as it came), at most `max_bytes` long.

    Raises BodyTooLarge (413), BrokenBody (400), UnknownCoding (415).
    """
    named = coding.strip().lower()
    if named in ("", "identity"):
        if len(body) > max_bytes:
            raise BodyTooLarge(max_bytes)
        return body
    decoder = _DECODERS.get(named)
    if decoder is None:
        raise UnknownCoding
    return decoder(body, max_bytes)


@contextmanager
def opened(body: bytes, coding: str, *, max_bytes: int) -> Iterator[bytes]:
    """The unpacked body as long as somebody looks at it, at most SMALL_BYTES of it or in the one room for large ones.

    What is decoded takes up to 25 times as much memory as its text: so of many bombs that come at once, one in each
    process is open. Raises as `unpack`, and Busy (429).
    """
    try:
        small = (
            None if _needs_room(body, coding) else unpack(body, coding, max_bytes=min(SMALL_BYTES, max_bytes))
        )
    except BodyTooLarge:
        if max_bytes <= SMALL_BYTES:
            raise
        small = None
    if small is not None:
        yield small
        return
    with room:
        yield unpack(body, coding, max_bytes=max_bytes)


def _needs_room(body: bytes, coding: str) -> bool:
    """A zstd frame may ask for a window that is larger than all it unpacks to."""
    if coding.strip().lower() != "zstd":
        return False
    try:
        return zstandard.get_frame_parameters(body).window_size > SMALL_BYTES
    except zstandard.ZstdError:
        return False  # no frame at all


def unpack_old(body: bytes, *, max_bytes: int) -> bytes:
    """What clients of before 2014 sent to the store endpoint: zlib in base64, and no header that said so.

    Raises BodyTooLarge (413), BrokenBody (400).
    """
    try:
        packed = binascii.a2b_base64(body)
    except binascii.Error as error:
        raise BrokenBody("base64") from error
    return _deflate(packed, max_bytes)


def _gunzip(body: bytes, limit: int) -> bytes:
    unpacked, rest = _inflate(body, _GZIP, limit, "gzip")
    for _ in range(_GZIP_MAX_MEMBERS):
        if not rest:
            return unpacked
        more, rest = _inflate(rest, _GZIP, limit - len(unpacked), "gzip")
        unpacked += more
    raise BrokenBody("gzip")


def _deflate(body: bytes, limit: int) -> bytes:
    """RFC 9110 means the zlib format; some clients send raw deflate, so that is tried second."""
    try:
        unpacked, rest = _inflate(body, _ZLIB, limit, "deflate")
    except BrokenBody:
        unpacked, rest = _inflate(body, _RAW_DEFLATE, limit, "deflate")
    if rest:
        raise BrokenBody("deflate")
    return unpacked


def _inflate(body: bytes, wbits: int, limit: int, coding: str) -> tuple[bytes, bytes]:
    """One stream and what follows it. zlib stops by itself one byte past the limit."""
    stream = zlib.decompressobj(wbits)
    try:
        unpacked = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise BrokenBody(coding) from error
    if len(unpacked) > limit:
        raise BodyTooLarge(limit)
    if not stream.eof:
        raise BrokenBody(coding)
    return unpacked, stream.unused_data


def _unbrotli(body: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    chunks: list[bytes] = []
    left = limit + 1
    data = body
    try:
        while not stream.is_finished():
            chunk = stream.process(data, output_buffer_limit=left)
            data = b""
            left -= len(chunk)
            if left <= 0:
                raise BodyTooLarge(limit)
            # Neither finished nor anything new: the stream was cut short (and older brotli would spin here).
            if not chunk and not stream.is_finished():
                raise BrokenBody("br")
            chunks.append(chunk)
    except brotli.error as error:
        raise BrokenBody("br") from error
    return b"".join(chunks)


def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        size = zstandard.frame_content_size(body)
        if size > limit:
            raise BodyTooLarge(limit)
        decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW)
        if size > 0:  # the frame says its size, which is then both checked and allocated at once
            return decoder.decompress(body, max_output_size=size, allow_extra_data=False)
        return _unzstd_in_bites(decoder, body, limit)
    except zstandard.ZstdError as error:
        raise BrokenBody("zstd") from error


def _unzstd_in_bites(decoder: zstandard.ZstdDecompressor, body: bytes, limit: int) -> bytes:
    stream = decoder.decompressobj()
    chunks: list[bytes] = []
    left = limit
    for start in range(0, len(body), _ZSTD_BITE):
        if stream.eof:  # and yet there is more
            raise BrokenBody("zstd")
        chunk = stream.decompress(body[start : start + _ZSTD_BITE])
        left -= len(chunk)
        if left < 0:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
    if not stream.eof or stream.unused_data:
        raise BrokenBody("zstd")
    return b"".join(chunks)


_DECODERS = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _deflate, "br": _unbrotli, "zstd": _unzstd}
CODINGS = ("gzip", "deflate", "br", "zstd", "identity")
