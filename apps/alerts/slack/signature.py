"""Whether a request really comes from Slack, and now. Pure.

Twelve lines of our own: the library's verifier raises on a time that is no number and on a signature that is not ASCII,
which would be a 500 where a 401 belongs.
"""

import hashlib
import hmac
from datetime import datetime

SKEW_S = 300


def is_signed(given: str, sent_at: str, body: bytes, secret: str, now: datetime) -> bool:
    """`v0=` and the hex HMAC-SHA256 of v0:time:body, over raw bytes; no older or newer than SKEW_S."""
    if (
        not secret
        or not given.isascii()
        or not (sent_at.isascii() and sent_at.isdecimal())
        or len(sent_at) > 12
    ):
        return False
    if abs(now.timestamp() - int(sent_at)) > SKEW_S:
        return False
    made = hmac.digest(secret.encode(), b"v0:" + sent_at.encode() + b":" + body, hashlib.sha256).hex()
    return hmac.compare_digest(given.encode(), f"v0={made}".encode())
