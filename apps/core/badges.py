"""What a state looks like: a tone, a shape and a word. The shape carries the meaning without the colour."""

from dataclasses import dataclass
from enum import Enum

SHAPES = (
    "octagon",
    "triangle",
    "diamond",
    "ring-i",
    "ring",
    "disc",
    "half",
    "tick",
    "turn",
    "struck",
    "dashed",
)
TONES = ("critical", "error", "warning", "info", "ok", "nodata", "neutral")


@dataclass(frozen=True)
class Badge:
    """A tone (one of TONES), a shape (one of SHAPES) and the word."""

    tone: str
    shape: str
    word: str


# One line a look, then the states that wear it. `key=Word` gives the word where it is not the key itself.
_LOOKS: tuple[tuple[str, str, str], ...] = (
    ("critical", "octagon", "critical fatal major_outage exhausted_unreached=Reached_nobody"),
    ("critical", "disc", "firing triggered=Firing unacknowledged=Not_acknowledged active=Paging"),
    ("critical", "disc", "nobody=Nobody_has_it"),
    (
        "error",
        "triangle",
        "error major high partial_outage late overdue failed failure denied fail=Failed unwell=Not_well",
    ),
    ("error", "disc", "triage"),
    ("error", "turn", "regressed"),
    (
        "warning",
        "diamond",
        "warning minor medium degraded changes_requested exhausted=All_steps_done retry retrying",
    ),
    ("info", "ring-i", "info low debug maintenance"),
    (
        "info",
        "half",
        "acknowledged investigating identified monitoring in_review in_progress claimed=Sending",
    ),
    ("ok", "tick", "ok=OK resolved approved published done delivered success operational well pass=OK"),
    ("neutral", "tick", "sent closed stopped enabled"),
    ("neutral", "ring", "unresolved pending=Waiting draft open"),
    (
        "neutral",
        "struck",
        "ignored cancelled declined merged silenced paused disabled revoked expired wont_do=Won't_do",
    ),
    ("nodata", "dashed", "nodata=No_data no_data unknown=No_data never"),
)


def _table() -> dict[str, Badge]:
    table = {}
    for tone, shape, states in _LOOKS:
        for entry in states.split():
            state, _, word = entry.partition("=")
            table[state] = Badge(tone, shape, _as_word(word or state))
    return table


def _as_word(state: str) -> str:
    words = state.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


BADGES = _table()


def badge_of(state: object) -> Badge:
    """The badge of a state's stored word, whatever its case. An unknown state keeps its own word, in neutral;
    nothing at all is "No data"."""
    raw = state.value if isinstance(state, Enum) else state
    text = "" if raw is None else str(raw).strip()
    if not text:
        return BADGES["nodata"]
    return BADGES.get(text.lower().replace(" ", "_")) or Badge("neutral", "ring", _as_word(text))
