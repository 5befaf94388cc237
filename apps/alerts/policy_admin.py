"""Policies in the admin: their steps, and beside them whom they would page."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.alerts import escalation, paging
from apps.alerts.confidence import preview as previews
from apps.alerts.models import EscalationPolicy, EscalationStep
from apps.alerts.policy_forms import PolicyForm, StepForm
from apps.audit.admin import AuditedAdmin
from apps.core.templatetags.portal import badge


class StepInline(admin.StackedInline):
    """The steps of a policy. A script hides the fields that the kind of a step does not ask for."""

    class Media:
        js = ("portal/steps.js",)

    model = EscalationStep
    form = StepForm
    extra = 0
    autocomplete_fields = ("users", "team", "schedule", "channel")
    fieldsets = (
        (None, {"fields": (("order", "kind", "wait_before_s"), "users", ("team", "schedule", "channel"))}),
        ("How", {"fields": (("urgency", "skip_if_empty", "require_ack"),), "classes": ("collapse",)}),
        (
            "Gate: what follows runs only",
            {
                "fields": (
                    "gate_weekdays", ("gate_from", "gate_until", "gate_zone"),
                    ("gate_holidays", "gate_severity", "gate_skips"),
                ),
                "classes": ("collapse",),
            },
        ),
    )  # fmt: skip


class PolicyList(ChangeList):
    """The plans of all listed policies at once, instead of one by one."""

    def get_results(self, request: HttpRequest) -> None:
        """Each policy gets its plan as of now."""
        super().get_results(request)
        plans = paging.plans_for(list(self.result_list), timezone.now())
        for policy in self.result_list:
            policy.made = plans[policy.pk]


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(AuditedAdmin):
    """Who is paged when; with a preview by the engine's own walk."""

    list_display = ("name", "steps_count", "repeat_count", "fallback_user", "is_default", "wrong")
    list_select_related = ("fallback_user",)
    search_fields = ("name",)
    autocomplete_fields = ("fallback_user",)
    form = PolicyForm
    fields = PolicyForm.Meta.fields
    inlines = (StepInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[EscalationPolicy]:
        """With the number of steps."""
        return super().get_queryset(request).annotate(step_count=Count("steps"))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """With plans."""
        return PolicyList

    @admin.display(description="steps")
    def steps_count(self, policy: Any) -> int:
        """How many."""
        return int(policy.step_count)

    @admin.display(description="check")
    def wrong(self, policy: Any) -> SafeString:
        """Whether somebody in it cannot be reached."""
        problems = [line for line in escalation.preview(policy.made) if line.problem]
        return badge("critical", f"{len(problems)} wrong") if problems else badge("ok", "Reachable")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """With whom it would page if it fired now, and in red what would not work."""
        policy = self.get_object(request, unquote(object_id))
        shown = preview_context(policy) if policy else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})


def preview_context(policy: EscalationPolicy) -> dict[str, Any]:
    """`now` and `saturday`: whom the policy would page then, by the engine's own walk; for the policy's page."""
    now = timezone.now()
    night = previews.saturday_night(now, timezone.get_current_timezone())
    moments = (("If it fired now", now), (f"If it fired {previews.clock(night)}", night))
    return {"previews": [(title, previews.preview(policy, at, now)) for title, at in moments]}
