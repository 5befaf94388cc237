"""What a secret or a person's data looks like inside text: one table of patterns, each with the cheap test before it.

A pattern runs only on text that holds one of its needles (lower case), since searching a literal costs a hundredth of
a regular expression; a property test holds that shortcut against the plain patterns. No pattern has nested quantifiers
or may start again inside what it has already read, so each is linear in the text; a test counts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

REMOVED = "[removed]"
_FLAGS = re.IGNORECASE | re.ASCII


@dataclass(frozen=True, slots=True)
class Pattern:
    """`needles`: one of them stands in the lower-cased text wherever `regex` matches; and `also` wherever it changes
    something."""

    name: str
    needles: tuple[str, ...]
    regex: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str] = REMOVED
    also: str = ""


# A name that says secret, wherever it stands in a longer name: db_password, X-Api-Key, sessionid.
SECRET_WORDS = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "api[_-]?key", "access[_-]?key", "private[_-]?key",
    "auth[_-]?key", "encryption[_-]?key", "credentials?", "authorization", "cookie", "session[_-]?id", "sessionid",
    "csrf", "xsrf",
)  # fmt: skip
_ASSIGNED = (
    rf"((?:{'|'.join(SECRET_WORDS)})[\w-]{{0,30}}[\"'\\]{{0,4}}\s{{0,3}}(?:=>|[:=])\s{{0,3}})"
    r"(?:\[removed\]"
    r"|\\?\"[^\"\n]{0,4096}\"?"
    r"|\\?'[^'\n]{0,4096}'?"
    r"|[^\s,;&\"')}\]<>]{1,4096})"
)
_ASSIGNED_NEEDLES = (
    "passw", "passph", "pwd", "secret", "token", "key", "credential", "authorization", "cookie", "session", "csrf",
    "xsrf",
)  # fmt: skip
_IN_SQL = r"(password\s{1,3})'[^'\n]{1,1024}'"
# Only what looks like a token follows: "basic functionality" is prose.
_SCHEMES = (
    r"\b((?i:bearer|basic|digest|negotiate))\s{1,3}(?=[a-z._~+/=-]{0,64}[A-Z0-9])[A-Za-z0-9._~+/=-]{8,4096}"
)
# Of web addresses the authority; of all others everything up to the last @, since their passwords are often unquoted.
# Either alternative reads its run whole, so nothing is read twice.
_ADDRESS = (
    r"\b(?P<web>https?|wss?)://(?P<authority>[^\s/?#\"'<>]{1,4096})"
    r"|\b(?P<scheme>(?!https?:|wss?:)[a-z][a-z0-9+.-]{1,30})://(?P<run>[^\s\"'<>]{1,4096})"
)
_COOKIES = r"(\bcookie2?[\"']?\s{0,3}:\s{0,3})[^\s\"'][^\n\r\"']{0,4096}"
_JWT = r"(?:(?<![\w-])|(?<=%[0-9A-Fa-f]{2}))eyJ[\w-]{6,4096}\.[\w-]{4,8192}(?:\.[\w-]{0,4096})?"
_PROVIDERS = (
    r"(?<!\w)(?:"
    r"[srp]k_(?:live|test)_\w{8,255}|whsec_[\w+/=]{16,255}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)"
    r"|gh[pousr]_\w{20,255}|github_pat_\w{20,255}|glpat-[\w-]{16,255}"
    r"|xox[abeoprs]-[\w-]{8,255}|xapp-[\w-]{16,255}"
    r"|AIza[\w-]{30,64}|ya29\.[\w-]{16,1024}|SG\.[\w-]{12,64}\.[\w-]{12,128}"
    r"|sk-[\w-]{20,255}|npm_\w{30,64}|pypi-[\w-]{40,1024}|hf_\w{20,64}|dop_v1_\w{32,128}|shpat_\w{16,64}"
    r")"
)
_PROVIDER_NEEDLES = (
    "k_live_", "k_test_", "whsec_", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-",
    "xox", "xapp-", "aiza", "ya29.", "sg.", "sk-", "npm_", "pypi-", "hf_", "dop_v1_", "shpat_",
)  # fmt: skip
_PRIVATE_KEY = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[^-]{0,20}-----(?:[^-]|-(?!----END))*+(?:-----END[^-]{0,60}-----)?"
)
_EMAIL = r"(?<![\w.%+-])(?<!\w')[\w.%+-][\w.%+'-]{0,255}?(?:@|%40)(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?!\w)"
_INTERNATIONAL = r"(?<![\w+.])(?:\+|00(?=[1-9][0-9]{0,2}[ /(-]))[1-9](?:[ ./()-]{0,2}[0-9]){8,14}(?!\w)"
_NORTH_AMERICAN = r"(?<![\w.-])(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-. ])[0-9]{3}[-. ][0-9]{4}(?![\w-])"
# Written out only: "3 st" and "Drive" stand in too many texts that are no address. Each part is bounded.
_STREET = (
    r"(?<![\w.])[0-9]{1,5}[A-Za-z]?,? (?:[NSEW]\.? )?(?:[A-Z][a-z]{1,20}\.? ){1,3}"
    r"(?:Street|Avenue|Boulevard|Blvd|Road|Lane)\b"
    r"|(?<!\w)(?:[A-ZÄÖÜ][a-zäöüß]{1,20}[ -]){0,3}(?:[A-ZÄÖÜ][a-zäöüß]{1,30})?"
    r"(?:[Ss]traße|[Ss]trasse|[Gg]asse|[Aa]llee|[Pp]latz) [0-9]{1,4}[a-z]?(?!\w)"
)
_STREET_NEEDLES = (
    " street", " avenue", " boulevard", " blvd", " road", " lane", "straße ", "strasse ", "gasse ", "allee ", "platz ",
)  # fmt: skip
_DIGIT_RUN = r"(?<![\w.])[0-9](?:[ -]?[0-9]){12,40}(?!\w)"


def is_card_number(digits: str) -> bool:
    """13 to 19 digits, a card network's first digits, and the Luhn check digit."""
    if not 13 <= len(digits) <= 19 or not _is_network(digits):
        return False
    doubled = (2 * int(d) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(n - 9 if n > 9 else n for n in doubled)) % 10 == 0


def _is_network(digits: str) -> bool:
    first4 = int(digits[:4])
    if digits[0] == "4":
        return len(digits) in (13, 16, 19)
    if digits[:2] in ("34", "37"):
        return len(digits) == 15
    if 2221 <= first4 <= 2720 or 5100 <= first4 <= 5599:
        return len(digits) == 16
    return digits[:2] in ("36", "38") or 3000 <= first4 <= 3059 or 3500 <= first4 <= 3599 or digits[0] == "6"


def _without_cards(match: re.Match[str]) -> str:
    """Cards among the groups of one run of digits: what stands before and after them stays."""
    groups = re.split("([ -])", match[0])
    if max(map(len, groups)) < 4:  # cards are written in fours, or four, six and five, or whole
        return match[0]
    kept: list[str] = []
    at = 0
    while at < len(groups):
        length = _card_length(groups[at::2])
        kept.append(REMOVED if length else groups[at])
        at += max(2 * length - 1, 1)
        kept.extend(groups[at : at + 1])
        at += 1
    return "".join(kept)


def _card_length(groups: list[str]) -> int:
    """How many of the first groups make a card number; 0 for none."""
    digits = ""
    for count, group in enumerate(groups, start=1):
        digits += group
        if len(digits) > 19:
            return 0
        if is_card_number(digits):
            return count
    return 0


def _without_userinfo(match: re.Match[str]) -> str:
    """An address without what stands before the @ that ends its user and password."""
    scheme = match["web"] or match["scheme"]
    run = match["authority"] or match["run"]
    userinfo, at, rest = run.rpartition("@")
    if not at or not (match["web"] or ":" in userinfo):
        return match[0]
    return f"{scheme}://{REMOVED}@{rest}"


PATTERNS = (
    Pattern("private key", ("private key",), re.compile(_PRIVATE_KEY, _FLAGS)),
    Pattern("credentials in an address", ("://",), re.compile(_ADDRESS, _FLAGS), _without_userinfo, "@"),
    Pattern(
        "authorization",
        ("bearer", "basic", "digest", "negotiate"),
        re.compile(_SCHEMES, re.ASCII),
        rf"\1 {REMOVED}",
    ),
    Pattern("cookies", ("cookie",), re.compile(_COOKIES, _FLAGS), rf"\1{REMOVED}"),
    Pattern("JWT", ("eyj",), re.compile(_JWT, re.ASCII)),
    Pattern("provider key", _PROVIDER_NEEDLES, re.compile(_PROVIDERS, re.ASCII)),
    Pattern("assigned secret", _ASSIGNED_NEEDLES, re.compile(_ASSIGNED, _FLAGS), rf"\1{REMOVED}"),
    Pattern("password in SQL", ("password",), re.compile(_IN_SQL, _FLAGS), rf"\1'{REMOVED}'"),
    Pattern("e-mail address", ("@", "%40"), re.compile(_EMAIL)),
    Pattern("postal address", _STREET_NEEDLES, re.compile(_STREET)),
)

# Numbers have no needle but themselves: ten characters of digits and what stands between digits.
NUMBER_SHAPE = re.compile(r"[0-9(][0-9 ()./-]{8}")
NUMBER_PATTERNS = (
    Pattern("card number", (), re.compile(_DIGIT_RUN, re.ASCII), _without_cards),
    Pattern("phone number", (), re.compile(_INTERNATIONAL, re.ASCII)),
    Pattern("phone number, North America", (), re.compile(_NORTH_AMERICAN, re.ASCII)),
)
