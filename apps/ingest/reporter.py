"""The small script that pages include to report their own errors: one stable address, for pages of any origin."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

# A day without asking, a week more while it is asked again: its address never changes, its content seldom.
CACHE = "public, max-age=86400, stale-while-revalidate=604800"


@dataclass(frozen=True)
class Script:
    """What is served: as it is, packed by gzip, and its tag, which is the same for both."""

    plain: bytes
    packed: bytes
    etag: str


@lru_cache(maxsize=1)
def script() -> Script:
    """The file, read once."""
    found = finders.find("portal/reporter.js")
    assert isinstance(found, str)
    plain = Path(found).read_bytes()
    digest = hashlib.sha256(plain).hexdigest()[:32]
    return Script(plain, gzip.compress(plain, 9, mtime=0), f'W/"{digest}"')


@require_safe
def serve(request: HttpRequest) -> HttpResponse:
    """The script; 304 to who has it already."""
    held = script()
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if held.etag in known or held.etag.removeprefix("W/") in known or "*" in known:
        answer: HttpResponse = HttpResponseNotModified()
    else:
        packs = "gzip" in request.headers.get("Accept-Encoding", "")
        answer = HttpResponse(
            held.packed if packs else held.plain, content_type="text/javascript; charset=utf-8"
        )
        if packs:
            answer["Content-Encoding"] = "gzip"
    answer["ETag"], answer["Cache-Control"] = held.etag, CACHE
    # Pages that ask for isolation, or for the file's own checksum, may load it too.
    answer["Access-Control-Allow-Origin"], answer["Cross-Origin-Resource-Policy"] = "*", "cross-origin"
    patch_vary_headers(answer, ["Accept-Encoding"])
    return answer
