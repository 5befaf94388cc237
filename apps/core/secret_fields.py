"""Secrets at rest: encrypted with keys that are not in the database, write-only in every form and answer.

The place of the value (model, field, key of the row) is inside the encrypted text, so a value cannot be moved to
another row by somebody who can write to the table.
"""

import base64
import hashlib

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadable(Exception):
    """The keys at hand do not open this value, or it was moved here from another row."""


def _box() -> MultiFernet:
    keys = settings.PORTAL_ENCRYPTION_KEYS
    if not keys:  # outside production only: settings refuse to start without a key there
        digest = hashlib.sha256(b"portal-channel-secrets:" + settings.SECRET_KEY.encode()).digest()
        keys = [base64.urlsafe_b64encode(digest).decode()]
    return MultiFernet([Fernet(key) for key in keys])


def seal(plain: str, *, place: str) -> bytes:
    """Encrypt `plain` for one place such as "alerts.Channel.secret:7f3c…"; empty stays empty."""
    return _box().encrypt(orjson.dumps([place, plain])) if plain else b""


def unseal(sealed: bytes | memoryview, *, place: str) -> str:
    """The plain text; SecretUnreadable when keys or place do not fit."""
    if not sealed:
        return ""
    try:
        at, plain = orjson.loads(_box().decrypt(bytes(sealed)))
    except (InvalidToken, ValueError) as error:
        raise SecretUnreadable("the encryption keys do not open this secret; set it again") from error
    if at != place:
        raise SecretUnreadable("this secret belongs to another row; set it again")
    return str(plain)


def hint(plain: str) -> str:
    """What people may see of a secret: that it is set, and its last four characters when it is long."""
    return f"…{plain[-4:]}" if len(plain) > 12 else "set"
