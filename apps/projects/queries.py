"""Reads of the projects room that others build on."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.db.models import QuerySet

from apps.projects.models import Project, RoutingRule


class RoutingTable:
    """Routing rules and default components of all projects, read once; `read` fetches rows in a way of its own."""

    def __init__(self, read: Callable[[QuerySet[Any, Any]], Iterable[tuple[Any, ...]]] = list) -> None:
        self._rules: dict[int | None, list[tuple[int, str, str]]] = defaultdict(list)
        rules = RoutingRule.objects.order_by("order", "pk")
        for project_id, order, pattern, component in read(
            rules.values_list("project_id", "order", "pattern", "component")
        ):
            self._rules[project_id].append((order, pattern, component))
        named = Project.objects.exclude(default_component=None)
        self._defaults: dict[int, str] = dict(read(named.values_list("pk", "default_component__name")))
        self._joined: dict[int, tuple[tuple[str, str], ...]] = {}
        self._projects: set[int] = set()

    def refresh_projects(self, asked: Collection[int]) -> None:
        """Look which of these projects still exist."""
        self._projects = set(Project.objects.filter(pk__in=asked).values_list("pk", flat=True))

    def has(self, project_id: int) -> bool:
        """Whether the project existed when they were last looked at."""
        return project_id in self._projects

    def of(self, project_id: int) -> tuple[tuple[tuple[str, str], ...], str]:
        """((pattern, component), …) in the order in which they decide, and the default component's name or ""."""
        if project_id not in self._joined:
            own, common = self._rules[project_id], self._rules[None]
            merged = sorted([(o, 0, p, c) for o, p, c in own] + [(o, 1, p, c) for o, p, c in common])
            self._joined[project_id] = tuple((p, c) for _, _, p, c in merged)
        return self._joined[project_id], self._defaults.get(project_id, "")
