import gzip
import subprocess
import sys
import textwrap
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from apps.core.refusal import Refused
from apps.ingest.unpack import BodyTooLarge, BrokenBody, UnknownCoding, unpack
from tests.fuzz import fewer, thorough

LIMIT = 10 * 2**20
SAMPLE = b'{"message": "division by zero"}\n' * 300


def zstd_without_size(body):
    return zstandard.ZstdCompressor(write_content_size=False).compress(body)


PACKERS = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", lambda body: zlib.compress(body, wbits=-15)),
    ("br", brotli.compress),
    ("zstd", zstandard.compress),
    ("zstd", zstd_without_size),
]
every_coding = pytest.mark.parametrize(("coding", "pack"), PACKERS)


@every_coding
@pytest.mark.parametrize("body", [b"", b"x", SAMPLE], ids=["empty", "one byte", "sample"])
def test_a_packed_body_comes_out_as_it_went_in(coding, pack, body):
    assert unpack(pack(body), coding, max_bytes=LIMIT) == body
    assert unpack(pack(body), f" {coding.upper()} ", max_bytes=len(body)) == body


@every_coding
def test_one_byte_over_the_limit_is_413(coding, pack):
    with pytest.raises(BodyTooLarge) as caught:
        unpack(pack(SAMPLE), coding, max_bytes=len(SAMPLE) - 1)
    assert (caught.value.status, caught.value.code, caught.value.field) == (413, "too_large", "body")


@every_coding
def test_a_stream_cut_short_is_400(coding, pack):
    packed = pack(SAMPLE)
    for length in (1, 2, len(packed) // 2, len(packed) - 1):
        with pytest.raises(BrokenBody) as caught:
            unpack(packed[:length], coding, max_bytes=LIMIT)
        assert caught.value.status == 400


@every_coding
@pytest.mark.parametrize("tail", [b"x", b"\0" * 100, b"\n"])
def test_what_follows_the_stream_is_400(coding, pack, tail):
    with pytest.raises(BrokenBody):
        unpack(pack(SAMPLE) + tail, coding, max_bytes=LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_is_no_stream(coding):
    with pytest.raises(BrokenBody):
        unpack(b"", coding, max_bytes=LIMIT)


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_an_unpacked_body_is_bounded_too(coding):
    assert unpack(b"abc", coding, max_bytes=3) == b"abc"
    with pytest.raises(BodyTooLarge):
        unpack(b"abcd", coding, max_bytes=3)


@pytest.mark.parametrize("coding", ["lzma", "compress", "gzip, br", "gzip,gzip", "x", "g\0zip", "chunked"])
def test_other_codings_and_several_at_once_are_415_and_the_known_are_named(coding):
    with pytest.raises(UnknownCoding, match="gzip, deflate, br, zstd") as caught:
        unpack(gzip.compress(b"x"), coding, max_bytes=LIMIT)
    assert (caught.value.status, caught.value.field) == (415, "Content-Encoding")


def test_gzip_members_in_a_row_are_one_body_but_not_without_end():
    member = gzip.compress(b"ab")
    assert unpack(member * 3, "gzip", max_bytes=6) == b"ababab"
    with pytest.raises(BodyTooLarge):
        unpack(member * 4, "gzip", max_bytes=6)
    with pytest.raises(BrokenBody):
        unpack(gzip.compress(b"") * 1000, "gzip", max_bytes=6)


def test_a_zstd_frame_that_lies_about_its_size_is_400():
    packed = bytearray(zstandard.compress(SAMPLE))
    packed[5] ^= 1  # the frame's content size
    with pytest.raises(BrokenBody):
        unpack(bytes(packed), "zstd", max_bytes=LIMIT)


def test_a_zstd_window_beyond_what_http_allows_is_400():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True, write_content_size=False)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = stream.compress(b"x" * 1000) + stream.flush()
    with pytest.raises(BrokenBody):
        unpack(packed, "zstd", max_bytes=LIMIT)


@every_coding
def test_a_bomb_costs_no_more_memory_than_its_limit(coding, pack):
    """64 MiB of nothing in some kB; twice the limit of 10 MiB may be held for a moment, never all of it."""
    bomb = pack(b"\0" * 2**20 * 64)
    program = textwrap.dedent("""
        import resource, sys
        from apps.ingest.unpack import BodyTooLarge, unpack
        body = sys.stdin.buffer.read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            unpack(body, sys.argv[1], max_bytes=10 * 2**20)
        except BodyTooLarge:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, coding], input=bomb, capture_output=True, timeout=60, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 48 * 2**20


@fewer
@given(st.binary(max_size=3000), st.sampled_from(PACKERS))
def test_any_body_survives_any_coding(body, packer):
    coding, pack = packer
    assert unpack(pack(body), coding, max_bytes=len(body)) == body


@thorough
@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "zstd", "identity"]))
def test_any_bytes_are_unpacked_within_the_limit_or_refused(body, coding):
    try:
        assert len(unpack(body, coding, max_bytes=100)) <= 100
    except Refused as refused:
        assert refused.status in (400, 413)


@thorough
@given(st.sampled_from(PACKERS), st.integers(0, 60), st.integers(1, 255))
def test_a_flipped_byte_is_unpacked_within_the_limit_or_refused(packer, place, change):
    coding, pack = packer
    packed = bytearray(pack(SAMPLE[:900]))
    packed[place % len(packed)] ^= change
    try:
        assert len(unpack(bytes(packed), coding, max_bytes=2000)) <= 2000
    except Refused as refused:
        assert refused.status in (400, 413)
