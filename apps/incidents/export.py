"""A post-mortem as a document that leaves the portal."""

from apps.incidents.models import PostMortem

_HEADINGS = {
    "summary": "Summary", "root_cause": "Root cause", "impact": "Impact", "mitigation": "Mitigation",
    "timeline": "Timeline (UTC)", "tests_added": "Tests added", "lessons": "Lessons",
}  # fmt: skip


def markdown(document: PostMortem) -> str:
    """CommonMark; text that people wrote stays as they wrote it."""
    incident = document.incident
    lines = [f"# {incident.number}: {_one_line(incident.title)}", "", *_head(document)]
    for name, heading in _HEADINGS.items():
        lines += ["", f"## {heading}", "", getattr(document, name).strip() or "–"]
    items = list(document.action_items.select_related("owner"))
    lines += ["", "## Action items", ""]
    lines += [
        f"- [{'x' if i.state == 'done' else ' '}] {_one_line(i.title)} ({i.get_kind_display()}, {i.owner}, "
        f"due {i.due_on}, {i.get_state_display().lower()})"
        for i in items
    ] or ["None."]
    return "\n".join(lines) + "\n"


def _head(document: PostMortem) -> list[str]:
    head = [f"- State: {document.get_state_display()}", f"- Author: {document.author}"]
    if document.approved_at:
        head.append(f"- Approved by {document.approved_by} on {document.approved_at:%Y-%m-%d %H:%M} UTC")
        head.append(f"- SHA-256 of the content: {document.content_hash}")
    return head


def _one_line(text: str) -> str:
    return " ".join(text.split())
