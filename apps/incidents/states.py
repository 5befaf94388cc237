"""The states of incidents and post-mortems, and which moves between them are legal. Pure: no database, no clock."""

from dataclasses import dataclass

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


def move(moves: tuple[Move, ...], verb: str, state: str) -> Move | None:
    """The legal move of that name out of that state, or None."""
    return next((m for m in moves if m.verb == verb and m.source == state), None)


def moves_from(moves: tuple[Move, ...], state: str) -> list[Move]:
    """Every legal move out of a state, in the table's order."""
    return [m for m in moves if m.source == state]
