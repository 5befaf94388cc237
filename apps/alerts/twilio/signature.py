"""Whether a request really comes from Twilio. Pure."""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def signature(token: str, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Base64 of HMAC-SHA1 over the public address and the sorted parameters, each name followed by its value."""
    signed = url + "".join(name + value for name, value in sorted(set(parameters)))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()


def is_signed(given: str, token: str, url: str, parameters: Iterable[tuple[str, str]]) -> bool:
    """Constant time. Without a token nothing is."""
    if not token or not given.isascii():
        return False
    return hmac.compare_digest(given.encode(), signature(token, url, parameters).encode())
