"""Slots in the pages of lower rooms that upper rooms fill.

An incident's page shows alerts, pages sent and budget spent, though incidents may not import those rooms: an upper
room registers in `AppConfig.ready()` a callable for (page, slot), and the page asks for what was registered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of a panel: words at the left, a figure at the right, a state for the badge, a link."""

    label: str
    value: str = ""
    state: str = ""
    url: str = ""
    note: str = ""
    at: Any = None


@dataclass(frozen=True)
class Panel:
    """A titled list of rows at the side of a page, or in a post-mortem's draft."""

    title: str
    rows: list[Row] = field(default_factory=list)
    empty: str = ""
    order: int = 50


Source = Callable[[Any], Panel | None]
_registry: dict[tuple[str, str], dict[str, Source]] = {}


def register(page: str, slot: str, name: str, source: Source) -> None:
    """Fill a slot such as ("incidents.Incident", "side"); the same name again replaces the earlier one."""
    _registry.setdefault((page, slot), {})[name] = source


def names(page: str, slot: str) -> list[str]:
    """Who fills that slot: a test lists the expected ones."""
    return sorted(_registry.get((page, slot), {}))


def of(page: str, slot: str, subject: Any) -> list[Panel]:
    """The panels of one object, in their order."""
    sources: Mapping[str, Source] = _registry.get((page, slot), {})
    made = [panel for source in sources.values() if (panel := source(subject))]
    return sorted(made, key=lambda panel: panel.order)
