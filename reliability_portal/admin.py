"""The admin site: a menu by task instead of by application, and triage as its home."""

from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from apps.alerts.confidence import reachability
from apps.alerts.confidence.views import SEE as SEE_POLICIES
from apps.core.zones import zone_names
from apps.reports import pages, portal_health, storage_page, triage
from apps.reports.analytics import page as analytics


@dataclass(frozen=True)
class Entry:
    """A line of the menu: where it leads, the permission that shows it, the key of its count."""

    label: str
    route: str
    icon: str
    permission: str = ""
    count: str = ""


@dataclass
class Shown:
    """A line as the template draws it."""

    label: str
    url: str
    icon: str
    count: int = 0
    urgent: bool = False
    current: bool = False


@dataclass
class Task:
    """A heading of the menu with its lines."""

    label: str
    items: list[Shown] = field(default_factory=list)


MENU: dict[str, tuple[Entry, ...]] = {
    "Now": (
        Entry("Triage", "admin:index", "triage", count="unacknowledged"),
        Entry("Incidents", "admin:incidents_incident_changelist", "incident", "incidents.view_incident", "incidents"),
        Entry("Alerts", "admin:alerts_alert_changelist", "bell", "alerts.view_alert"),
        Entry("On call", "alerts:on_call", "turn", "alerts.view_schedule"),
    ),
    "Reliability": (
        Entry("Errors", "admin:errors_errorgroup_changelist", "bug", "errors.view_errorgroup"),
        Entry("Analytics", "admin:analytics", "chart", "errors.view_errorgroup"),
        Entry("Tracked events", "admin:telemetry_trackedevent_changelist", "pulse", "telemetry.view_trackedevent"),
        Entry("User reports", "admin:errors_userreport_changelist", "person", "errors.view_userreport"),
        Entry("Heartbeats", "admin:health_heartbeat_changelist", "clock", "health.view_heartbeat"),
    ),
    "Learn": (
        Entry("Post-mortems", "admin:incidents_postmortem_changelist", "document", "incidents.view_postmortem",
              "postmortems"),
        Entry("Action items", "admin:incidents_actionitem_changelist", "check", "incidents.view_actionitem"),
    ),
    "Set up": (
        Entry("Projects", "admin:projects_project_changelist", "folder", "projects.view_project"),
        Entry("Components", "admin:projects_component_changelist", "cube", "projects.view_component"),
        Entry("Routing", "admin:projects_routingrule_changelist", "route", "projects.view_routingrule"),
        Entry("Teams", "admin:projects_team_changelist", "people", "projects.view_team"),
        Entry("Alert rules", "admin:alerts_alertrule_changelist", "rule", "alerts.view_alertrule"),
        Entry("Policies", "admin:alerts_escalationpolicy_changelist", "steps", "alerts.view_escalationpolicy"),
        Entry("Integrations", "admin:alerts_integration_changelist", "inbox", "alerts.view_integration"),
        Entry("Channels", "admin:alerts_channel_changelist", "speaker", "alerts.view_channel"),
        Entry("People", "admin:auth_user_changelist", "person", "auth.view_user"),
        Entry("Storage", "admin:storage", "disk", storage_page.PERMISSION),
    ),
    "Prove": (
        Entry("Audit log", "admin:audit_auditevent_changelist", "shield", "audit.view_auditevent"),
        Entry("Pages sent", "admin:alerts_page_changelist", "send", "alerts.view_page"),
        Entry("Kept mail", "admin:kept_mail", "mail", "alerts.view_page"),
        Entry("Set aside", "admin:ingest_setaside_changelist", "inbox", "ingest.view_setaside"),
        Entry("Ticks", "admin:core_tickrun_changelist", "clock", "core.view_tickrun"),
    ),
}  # fmt: skip


class PortalAdminSite(admin.AdminSite):
    """Django's admin with the portal's shell."""

    site_header = site_title = "Reliability portal"
    index_title = "Triage"
    index_template = "admin/index.html"
    enable_nav_sidebar = False
    empty_value_display = "–"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every admin page shows: the menu with its counts, and the zones to choose from."""
        context = super().each_context(request)
        if request.user.is_authenticated and self.has_permission(request):
            context |= {"task_menu": _menu(request), "zones": zone_names()}
        return context

    def get_urls(self) -> list[Any]:
        """The pages that no model owns."""
        return [
            path("mail/", self.admin_view(pages.kept_mail), name="kept_mail"),
            path("mail/<str:name>/", self.admin_view(pages.kept_message), name="kept_message"),
            path("search/", self.admin_view(pages.search), name="search"),
            path("analytics/", self.admin_view(analytics.show), name="analytics"),
            path("analytics/feed/", self.admin_view(analytics.feed_part), name="analytics_feed"),
            path("storage/", self.admin_view(storage_page.show), name="storage"),
            *super().get_urls(),
        ]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Triage: what needs a human, what is in hand, and whether the portal itself is well."""
        now = timezone.now()
        strip = portal_health.parts(now)
        context = {
            **self.each_context(request),
            "title": "Triage",
            "triage": triage.triage(now=now, user=request.user),
            "well": strip,
            "portal_is_well": portal_health.is_well(strip),
            "reach": reachability.audit(now=now) if request.user.has_perm(SEE_POLICIES) else None,
            "now": now,
            **(extra_context or {}),
        }
        request.current_app = self.name
        return TemplateResponse(request, self.index_template, context)


def _menu(request: HttpRequest) -> list[Task]:
    """The lines that this person may open, with the figures beside them."""
    counts = triage.menu_counts()
    tasks = []
    for label, entries in MENU.items():
        items = [
            _shown(e, request, counts)
            for e in entries
            if not e.permission or request.user.has_perm(e.permission)
        ]
        if items:
            tasks.append(Task(label, items))
    return tasks


def _shown(entry: Entry, request: HttpRequest, counts: dict[str, int]) -> Shown:
    url = reverse(entry.route)
    here = request.path == url or (entry.route != "admin:index" and request.path.startswith(url))
    return Shown(
        entry.label, url, entry.icon, counts.get(entry.count, 0), entry.count == "unacknowledged", here
    )
