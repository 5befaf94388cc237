"""The latest errors, as they come in."""

from uuid import UUID

from apps.errors import analytics
from apps.errors.models import ErrorEvent
from apps.reports.analytics.block import Answer, Block, Column, Row, register
from apps.reports.analytics.scope import Scope

SHOWN = 20


def ask(scope: Scope, after: UUID | None = None) -> Answer:
    """Newest first; beyond `after` only, where that is given."""
    events = analytics.latest(scope.start, scope.end, scope.keys, SHOWN, after)
    return Answer([_row(event) for event in events], "The latest 20 at most, newest first." if events else "")


def _row(event: ErrorEvent) -> Row:
    return {
        "id": str(event.pk),
        "at": event.occurred_at,
        "severity": event.severity,
        "group": event.group_id,
        "title": event.group.title,
        "message": event.message[:300],
        "component": event.component.name,
        "endpoint": event.endpoint,
        "release": event.release,
        "user": event.user_hash[:12],
    }


register(
    Block(
        name="feed",
        title="Live feed",
        tab="errors",
        columns=(
            Column("id", "Event id", "code", shown=False),
            Column("at", "At", "time"),
            Column("severity", "Severity", "badge"),
            Column("group", "Group id", "count", shown=False),
            Column("title", "Error", "group"),
            Column("message", "Message"),
            Column("component", "Component"),
            Column("endpoint", "Endpoint", "code"),
            Column("release", "Release"),
            Column("user", "User, hashed", "code"),
        ),
        ask=ask,
        how="The newest stored events of the range by their own time, read by key. Asked for again every five seconds "
        "while the page is in front and not paused.",
        empty=("No errors in this range", "Errors appear here within seconds of being sent."),
    )
)
