"""The states of incidents and post-mortems, and which moves between them are legal. Pure: no database, no clock."""

from dataclasses import dataclass

from apps.core.severity import RANK, Severity

INCIDENT_OPEN = frozenset({"triage", "investigating", "identified", "monitoring"})
INCIDENT_ORDER = ("triage", "investigating", "identified", "monitoring", "resolved", "closed")


@dataclass(frozen=True)
class Move:
    """One legal transition: its verb, the states around it, whether the mover must say why, the permission it needs."""

    verb: str
    source: str
    target: str
    label: str
    permission: str
    needs_reason: bool = False


_WORK, _LEAD = "incidents.work_incident", "incidents.command_incident"

INCIDENT_MOVES = (
    Move("investigate", "triage", "investigating", "Investigate", _WORK),
    Move("decline", "triage", "declined", "Decline", _WORK, needs_reason=True),
    Move("identify", "investigating", "identified", "Cause identified", _WORK),
    Move("mitigate", "triage", "monitoring", "Mark mitigated", _WORK),
    Move("mitigate", "investigating", "monitoring", "Mark mitigated", _WORK),
    Move("mitigate", "identified", "monitoring", "Mark mitigated", _WORK),
    *(Move("resolve", s, "resolved", "Resolve", _WORK) for s in sorted(INCIDENT_OPEN)),
    *(Move("cancel", s, "cancelled", "False alarm", _LEAD, needs_reason=True) for s in sorted(INCIDENT_OPEN)),
    *(Move("merge", s, "merged", "Merge", _LEAD, needs_reason=True) for s in sorted(INCIDENT_OPEN)),
    Move("investigate", "identified", "investigating", "Back to investigating", _WORK, needs_reason=True),
    Move("investigate", "monitoring", "investigating", "Back to investigating", _WORK, needs_reason=True),
    Move("reopen", "resolved", "investigating", "Reopen", _WORK, needs_reason=True),
    Move("close", "resolved", "closed", "Close", _LEAD),
)

POSTMORTEM_MOVES = (
    Move("submit", "draft", "in_review", "Submit for review", "incidents.change_postmortem"),
    Move("submit", "changes_requested", "in_review", "Submit again", "incidents.change_postmortem"),
    Move(
        "request_changes",
        "in_review",
        "changes_requested",
        "Request changes",
        "incidents.approve_postmortem",
        True,
    ),
    Move("approve", "in_review", "approved", "Approve", "incidents.approve_postmortem"),
    Move("publish", "approved", "published", "Publish", "incidents.change_postmortem"),
)


ACTION_ITEM_MOVES = (
    Move("start", "open", "in_progress", "Start", "incidents.change_actionitem"),
    *(Move("finish", s, "done", "Done", "incidents.change_actionitem") for s in ("open", "in_progress")),
    *(
        Move("drop", s, "wont_do", "Won't do", "incidents.change_actionitem", True)
        for s in ("open", "in_progress")
    ),
)

# The two highest severities: ended, and made smaller, only by who answers for the whole.
LEADING_SEVERITIES = (Severity.CRITICAL, Severity.ERROR)
# What going back takes away: it was not mitigated, or not over, after all.
_CLEARED = {
    ("investigate", "monitoring"): ("mitigated_at",),
    ("reopen", "resolved"): ("mitigated_at", "resolved_at"),
}


def permission_of(step: Move, severity: str) -> str:
    """What a person needs for that move of an incident of that severity."""
    return _LEAD if step.verb == "resolve" and severity in LEADING_SEVERITIES else step.permission


def permission_to_rate(before: str, after: str) -> str:
    """What a person needs to change a severity: making a loud incident quieter would go round `permission_of`."""
    lower = RANK[Severity(after)] > RANK[Severity(before)]
    return _LEAD if lower and before in LEADING_SEVERITIES else _WORK


def cleared_by(step: Move) -> tuple[str, ...]:
    """Stamps that no longer hold after a move backwards."""
    return _CLEARED.get((step.verb, step.source), ())


def verbs(moves: tuple[Move, ...]) -> list[str]:
    """Every verb of a table, each once, in its order."""
    return list(dict.fromkeys(m.verb for m in moves))


def move(moves: tuple[Move, ...], verb: str, state: str) -> Move | None:
    """The legal move of that name out of that state, or None."""
    return next((m for m in moves if m.verb == verb and m.source == state), None)


def moves_from(moves: tuple[Move, ...], state: str) -> list[Move]:
    """Every legal move out of a state, in the table's order."""
    return [m for m in moves if m.source == state]
