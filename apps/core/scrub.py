"""The scrubber: passwords, keys, tokens, cards, phone numbers and addresses leave before anything is kept.

Three steps, in this order: known secret values anywhere; whatever stands under a key of the deny list; patterns inside
text. Structures are cut to a depth, a count of values and a length of text, so the cost is bounded whatever comes in.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from apps.core.secret_patterns import (
    NUMBER_PATTERNS,
    NUMBER_SHAPE,
    PATTERNS,
    REMOVED,
    Pattern,
    is_card_number,
)

__all__ = ["CUT", "REMOVED", "is_secret_key", "register_secrets", "scrub", "scrub_text"]

CUT = "[cut]"
MAX_DEPTH = 16
MAX_VALUES = 10_000
MAX_ENTRIES = 1000
MAX_TEXT = 16 * 1024
MAX_KEY = 200
_MOST_PASSES = 4
# Text is scrubbed this far beyond its limit and then cut, so that no half of a secret stays at the cut.
_OVERLAP = 512
_SHORTEST_SECRET = 5
_SMALLEST_CARD = 10**12

# Keys whose values go, written without case, hyphens, underscores, dots and spaces.
_DENIED = frozenset((
    "pass", "pwd", "auth", "sid", "pin", "pincode", "cvv", "cvc", "cvv2", "otp", "totp", "mfacode", "ssn",
    "iban", "jwt", "bearer", "dsn", "cookie", "cookies", "setcookie", "session", "sessionid", "sessionkey",
    "phpsessid", "jsessionid", "csrf", "xsrf", "csrfmiddlewaretoken", "signature", "xforwardedfor", "xrealip",
    "forwarded", "remoteaddr", "cfconnectingip", "trueclientip", "xclientip", "httpxforwardedfor",
    "httpxrealip", "creditcard", "cardnumber", "ccnumber", "pan", "accountnumber", "email", "emails",
    "emailaddress", "useremail", "mail", "phone", "phones", "phonenumber", "mobile", "mobilenumber", "tel",
    "telephone", "fax", "msisdn", "address", "addresses", "street", "streetaddress", "streetname", "address1",
    "address2", "addressline1", "addressline2", "postaladdress", "homeaddress", "billingaddress",
    "shippingaddress", "postcode", "postalcode", "zip", "zipcode",
))  # fmt: skip
_DENIED_PARTS = re.compile(
    "passw|passphrase|pwd|secret|apikey|accesskey|privatekey|encryptionkey|authkey|credential|authorization|csrf|xsrf"
    "|cookie|token$|(?:access|refresh|auth|api|id)tokens$|email$|emailaddress|phonenumber|creditcard|cardnumber"
)
_SEPARATORS = str.maketrans("", "", "-_. ")

# Senders repeat themselves: the same code lines, names and labels in every event. What was found clean is remembered,
# and only that: a text with a secret in it is never held. Forgetting all when full keeps a lookup down to one.
_REMEMBERED_TEXT = 160
_REMEMBER_AT_MOST = 16_384
_clean_texts: dict[str, bool] = {}
_key_verdicts: dict[str, bool] = {}
_known_secrets: tuple[str, ...] = ()


def register_secrets(values: Iterable[str]) -> None:
    """Take the installation's own secrets (settings) out of every text from now on. Short values are ignored."""
    global _known_secrets  # set once when the process starts
    merged = {*_known_secrets, *(value for value in values if len(value) >= _SHORTEST_SECRET)}
    _known_secrets = tuple(sorted(merged, key=len, reverse=True))
    forget_texts()


def forget_secrets() -> None:
    """Back to no known secrets: for a process that reads other settings, such as a test."""
    global _known_secrets
    _known_secrets = ()


def forget_texts() -> None:
    """Back to having seen no text."""
    _clean_texts.clear()
    _key_verdicts.clear()


def _remember(memory: dict[str, bool], text: str, verdict: bool) -> None:
    if len(memory) >= _REMEMBER_AT_MOST:
        memory.clear()
    memory[text] = verdict


def is_secret_key(key: str) -> bool:
    """Whether values under this key are never kept, whatever they hold."""
    plain = key[:MAX_KEY].lower().translate(_SEPARATORS)
    return plain in _DENIED or _DENIED_PARTS.search(plain) is not None


def _judged(key: Any) -> tuple[str, bool]:
    """A key that is not remembered: scrubbed and cut, and whether it is a secret's."""
    clean = scrub_text(str(key), MAX_KEY)
    secret = is_secret_key(clean)
    if clean == key and len(clean) <= _REMEMBERED_TEXT:
        _remember(_key_verdicts, clean, secret)
    return clean, secret


def scrub_text(text: str, limit: int = 4 * MAX_TEXT) -> str:
    """The text without secrets, at most `limit` characters long (callers leave it at 160 or more)."""
    if len(text) <= limit:
        if text in _clean_texts:
            return text
        read = text
    else:
        read = text[: limit + _OVERLAP]
    return _cleaned(text, _applied(_suspects(read), read), limit)


def _cleaned(text: str, clean: str, limit: int) -> str:
    """The cut outcome; remembered if there was nothing to clean."""
    if len(clean) > limit:
        return clean[:limit]
    if len(text) <= _REMEMBERED_TEXT and clean == text:
        _remember(_clean_texts, text, True)
    return clean


class _Suspects(NamedTuple):
    """What may be found in one text, or in any of several that were joined; patterns with the needles that were."""

    secrets: list[str]
    patterns: list[tuple[Pattern, list[str]]]
    numbers: bool


def _suspects(text: str) -> _Suspects:
    lower = text.lower()
    patterns = []
    for pattern in PATTERNS:
        needles = [needle for needle in pattern.needles if needle in lower]
        if needles and pattern.also in lower:
            patterns.append((pattern, needles))
    secrets = [secret for secret in _known_secrets if secret in text]
    return _Suspects(secrets, patterns, NUMBER_SHAPE.search(text) is not None)


def _applied(suspects: _Suspects, text: str) -> str:
    """The text after all that may be in it is taken out. What was taken out of the middle of glued texts can leave
    another secret standing, so a changed text is read again; most are not changed at all."""
    if len(text) < _SHORTEST_SECRET:
        return text
    for _ in range(_MOST_PASSES):
        clean = _applied_once(suspects, text)
        if clean == text:
            break
        text = clean
    return text


def _applied_once(suspects: _Suspects, text: str) -> str:
    """One pass; each pattern still asks the text itself first."""
    for secret in suspects.secrets:
        text = text.replace(secret, REMOVED)
    if suspects.patterns:
        lower = text.lower()
        for pattern, needles in suspects.patterns:
            if pattern.also not in lower:
                continue
            for needle in needles:  # a loop, since any() with a generator takes twice as long
                if needle in lower:
                    text = pattern.regex.sub(pattern.replacement, text)
                    break
    if suspects.numbers and NUMBER_SHAPE.search(text):
        for pattern in NUMBER_PATTERNS:
            text = pattern.regex.sub(pattern.replacement, text)
    return text


def scrub(
    value: Any, *, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES, max_text: int = MAX_TEXT
) -> Any:
    """A scrubbed copy of decoded JSON: at most `max_depth` levels, `max_values` values, texts of `max_text`.

    What lies deeper, and what comes after the budget is spent, is cut; a cut container says so.
    """
    return _Document(max_values, max_text).scrubbed(value, max_depth)


def scrub_own(value: Any) -> Any:
    """As `scrub`, for decoded JSON that is the caller's own: what is clean stays where it is, the rest is replaced."""
    return _OwnDocument(MAX_VALUES, MAX_TEXT).scrubbed(value, MAX_DEPTH)


class _Document:
    """One document while it is copied: the budget left, and the texts that nobody has looked at before.

    Those are looked at together at the end: one search over all of them settles for nearly every pattern that none of
    them can match, which is what makes an event of 400 texts cheap.
    """

    __slots__ = ("left", "max_text", "unseen")

    def __init__(self, max_values: int, max_text: int) -> None:
        self.left = max_values
        self.max_text = max_text
        self.unseen: list[tuple[Any, Any, str]] = []

    def scrubbed(self, value: Any, depth: int) -> Any:
        """The copy, with every text settled."""
        holder = [self._copied(value, depth)]
        if type(value) is str:
            self.unseen.append((holder, 0, value))
        if self.unseen:
            self._settle()
        return holder[0]

    def _settle(self) -> None:
        limit = self.max_text
        readable = limit + _OVERLAP
        suspects = _suspects("\n".join([text[:readable] for _, _, text in self.unseen]))
        for holder, place, text in self.unseen:
            if text in _clean_texts:  # the same text stood here before, as times in breadcrumbs do
                continue
            holder[place] = _cleaned(text, _applied(suspects, text[:readable]), limit)

    def _granted(self, wanted: int) -> int:
        granted = min(wanted, self.left, MAX_ENTRIES)
        self.left -= granted
        return granted

    def _copied(self, value: Any, depth: int) -> Any:
        """Anything but a text inside a container, which its container handles."""
        kind = type(value)
        if kind is dict:
            return self._object(value, depth) if depth else CUT
        if kind is list or kind is tuple:
            return self._array(value, depth) if depth else CUT
        if kind is int:
            return REMOVED if value >= _SMALLEST_CARD and is_card_number(str(value)[:20]) else value
        if kind is str or kind is float or kind is bool or value is None:
            return value
        return scrub_text(str(value), self.max_text)

    def _object(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        granted = self._granted(len(value))
        items = value.items() if granted == len(value) else islice(value.items(), granted)
        clean: dict[str, Any] = {}
        for key, item in items:
            secret = _key_verdicts.get(key)
            if secret is None:
                key, secret = _judged(key)
            if secret:
                clean[key] = _hidden(item)
            elif type(item) is str:
                clean[key] = item
                if item not in _clean_texts:
                    self.unseen.append((clean, key, item))
            else:
                clean[key] = self._copied(item, depth - 1)
        if granted < len(value):
            clean[CUT] = len(value) - granted
        return clean

    def _array(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        granted = self._granted(len(value))
        if granted == 2 and type(value[0]) is str and is_secret_key(value[0]):  # a header or field as a pair
            return [scrub_text(value[0], MAX_KEY), _hidden(value[1])]
        clean: list[Any] = []
        for item in value[:granted]:
            if type(item) is str:
                if item not in _clean_texts:
                    self.unseen.append((clean, len(clean), item))
                clean.append(item)
            else:
                clean.append(self._copied(item, depth - 1))
        if granted < len(value):
            clean.append(CUT)
        return clean


class _OwnDocument(_Document):
    """One document that may be changed: half of the cost of a copy is making its containers."""

    __slots__ = ()

    def _object(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        count = len(value)
        if count > self.left or count > MAX_ENTRIES or not _key_verdicts.keys() >= value.keys():
            return super()._object(value, depth)  # something is cut, or a key is read for the first time
        self.left -= count
        for key, item in value.items():  # values change under their keys, which a running loop allows
            kind = type(item)
            secret = _key_verdicts.get(key)
            if secret or (secret is None and is_secret_key(key)):  # all verdicts may be forgotten meanwhile
                value[key] = _hidden(item)
            elif kind is str:
                if item not in _clean_texts:
                    self.unseen.append((value, key, item))
            elif kind is dict or kind is list or kind is int:
                value[key] = self._copied(item, depth - 1)
        return value

    def _array(self, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
        count = len(value)
        pair = count == 2 and type(value[0]) is str
        if pair or count > self.left or count > MAX_ENTRIES or not isinstance(value, list):
            return super()._array(value, depth)
        self.left -= count
        for place, item in enumerate(value):
            kind = type(item)
            if kind is str:
                if item not in _clean_texts:
                    self.unseen.append((value, place, item))
            elif kind is dict or kind is list or kind is int:
                value[place] = self._copied(item, depth - 1)
        return value


def _hidden(item: Any) -> Any:
    """Nothing, truth values and empty texts give nobody away, and tell a reader that the key was there."""
    return item if item is None or isinstance(item, bool) or item == "" else REMOVED
