"""Post-mortems and action items in the admin: write, review, approve, publish, promise."""

from datetime import date
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from apps.audit.admin import AuditedAdmin
from apps.core import panels
from apps.core.admin import Button, ButtonsMixin, FastListMixin, ReasonForm
from apps.core.templatetags.portal import badge
from apps.incidents import action_items, export, postmortems
from apps.incidents.models import ActionItem, PostMortem


class DocumentForm(forms.ModelForm):
    """The sections; `seen_version` tells whether somebody saved meanwhile."""

    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = PostMortem
        fields = PostMortem.SECTIONS


class ActionItemForm(forms.ModelForm):
    """A promise."""

    tracker_url = forms.URLField(required=False, max_length=200, assume_scheme="https")

    class Meta:
        model = ActionItem
        fields = ("title", "kind", "owner", "due_on", "tracker_url")
        widgets = {"due_on": forms.DateInput(attrs={"type": "date"})}


class DoneForm(ReasonForm):
    """What came of it; may stay empty."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False
        self.fields["reason"].label = "Note"


def _verb(service: Any) -> Any:
    """A button's call on a document."""

    def call(document: PostMortem, actor: Any, **given: Any) -> None:
        service(document=document, actor=actor, now=timezone.now(), **given)

    return call


def _due(day: date, *, waits: bool) -> SafeString:
    """The day, marked when it has passed in vain."""
    late = waits and day < timezone.localdate()
    return format_html("{} {}", date_format(day, "j M Y"), badge("error", "Late") if late else "")


@admin.register(PostMortem)
class PostMortemAdmin(ButtonsMixin, FastListMixin, AuditedAdmin):
    """The library, and the document that is written and reviewed."""

    list_display = ("title", "state_badge", "author", "due", "published_at")
    list_select_related = ("incident", "author")
    list_filter = ("state",)
    search_fields = ("summary", "root_cause", "incident__title")
    ordering = ("-created_at",)
    sortable_by = ("due", "published_at")
    form = DocumentForm
    change_form_template = "admin/incidents/postmortem/change_form.html"
    buttons = (
        Button("approve", "Approve", "incidents.approve_postmortem", _verb(postmortems.approve),
               lambda d: d.state == "in_review", tone="primary", versioned=True),
        Button("request_changes", "Request changes", "incidents.approve_postmortem",
               _verb(postmortems.request_changes), lambda d: d.state == "in_review", form=ReasonForm, versioned=True),
        Button("submit", "Submit for review", "incidents.change_postmortem", _verb(postmortems.submit),
               lambda d: d.state in postmortems.EDITABLE, tone="primary", versioned=True),
        Button("publish", "Publish", "incidents.change_postmortem", _verb(postmortems.publish),
               lambda d: d.state == "approved", tone="primary", versioned=True),
    )  # fmt: skip

    @admin.display(description="post-mortem")
    def title(self, document: PostMortem) -> str:
        """Of which incident."""
        return str(document.incident)

    @admin.display(description="state")
    def state_badge(self, document: PostMortem) -> SafeString:
        """Shape and word."""
        return badge(document.state, document.get_state_display())

    @admin.display(description="due", ordering="due_on")
    def due(self, document: PostMortem) -> SafeString:
        """The day, and whether it has passed while there was still something to write or to review."""
        return _due(document.due_on, waits=document.state not in ("approved", "published"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Drafted from its incident."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only while the text is not settled."""
        return super().has_change_permission(request, obj) and (
            obj is None or obj.state in postmortems.EDITABLE
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the service."""
        sections = {name: form.cleaned_data[name] for name in PostMortem.SECTIONS}
        try:
            postmortems.save_draft(
                document=obj,
                actor=request.user,
                sections=sections,
                version=form.cleaned_data.get("seen_version"),
            )
        except ValidationError as refusal:
            request.refused = refusal  # type: ignore[attr-defined]

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """A refused save says so and shows what was typed again."""
        refused = getattr(request, "refused", None)
        if refused is None:
            self.message_user(request, "Saved.")
            return redirect(reverse("admin:incidents_postmortem_change", args=[obj.pk]))
        self.message_user(request, " ".join(refused.messages), messages.ERROR)
        typed = {name: request.POST.get(name, "") for name in PostMortem.SECTIONS}
        request.method = "GET"
        return self.change_view(request, str(obj.pk), extra_context={"typed": typed})

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The service has logged it."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The document with its facts and promises."""
        document = self.get_object(request, object_id)
        facts: dict[str, Any] = {}
        if document is not None and self.has_view_permission(request, document):
            facts = {
                "editable": self.has_change_permission(request, document),
                "sections": [(name, document._meta.get_field(name)) for name in PostMortem.SECTIONS],
                "items": document.action_items.select_related("owner"),
                "item_form": ActionItemForm(),
                "panels": panels.of("incidents.PostMortem", "facts", document.incident),
                "today": timezone.localdate(),
            }
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    def get_urls(self) -> list[Any]:
        """Promises and the export."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/item/", view(require_POST(self.add_item)), name="incidents_postmortem_additem"),
            path("<int:pk>/export.md", view(require_safe(self.export)), name="incidents_postmortem_export"),
            *super().get_urls(),
        ]

    def add_item(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Add a promise; a refused one comes back in its form."""
        document = get_object_or_404(PostMortem, pk=pk)
        if not request.user.has_perm("incidents.add_actionitem"):
            raise PermissionDenied
        form = ActionItemForm(request.POST)
        if form.is_valid():
            try:
                action_items.add_action_item(
                    document=document, actor=request.user, now=timezone.now(), **form.cleaned_data
                )
                self.message_user(request, "Action item added.")
                return redirect(reverse("admin:incidents_postmortem_change", args=[pk]))
            except ValidationError as refusal:
                form.add_error(None, refusal)
        self.message_user(request, "The action item was not added: see its form below.", messages.ERROR)
        request.method = "GET"
        return self.change_view(request, str(pk), extra_context={"item_form": form})

    def export(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The document as Markdown."""
        document = get_object_or_404(PostMortem.objects.select_related("incident", "author"), pk=pk)
        if not self.has_view_permission(request, document):
            raise PermissionDenied
        headers = {"Content-Disposition": f'attachment; filename="post-mortem-{document.incident.number}.md"'}
        return HttpResponse(
            export.markdown(document), content_type="text/markdown; charset=utf-8", headers=headers
        )


class DueFilter(admin.SimpleListFilter):
    """Mine, overdue, done: open ones of everybody unless asked otherwise."""

    title, parameter_name = "which", "which"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Words of the filter."""
        return [("mine", "Mine"), ("overdue", "Overdue"), ("ended", "Done or dropped"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Django's "All" is our default, open."""
        default = changelist.get_query_string(remove=[self.parameter_name])
        for choice in super().choices(changelist):
            yield {**choice, "display": "Open"} if choice["query_string"] == default else choice

    def queryset(self, request: HttpRequest, queryset: QuerySet[ActionItem]) -> QuerySet[ActionItem]:
        """Narrow."""
        value, open_ = self.value(), queryset.filter(state__in=("open", "in_progress"))
        if value == "mine":
            return open_.filter(owner_id=request.user.pk)
        if value == "overdue":
            return open_.filter(due_on__lt=timezone.localdate())
        if value == "ended":
            return queryset.filter(state__in=("done", "wont_do"))
        return queryset if value == "all" else open_


def _item_verb(service: Any, timed: bool = True) -> Any:
    def call(item: ActionItem, actor: Any, reason: str | None = None) -> None:
        given: dict[str, Any] = {} if reason is None else {"reason": reason}
        service(item=item, actor=actor, **given, **({"now": timezone.now()} if timed else {}))

    return call


@admin.register(ActionItem)
class ActionItemAdmin(ButtonsMixin, FastListMixin, AuditedAdmin):
    """Who promised what, and by when."""

    list_display = ("title", "kind", "state_badge", "owner", "due", "incident")
    sortable_by = ("due",)
    list_select_related = ("owner", "postmortem__incident")
    list_filter = (DueFilter, "kind")
    search_fields = ("title",)
    fields = ("title", "kind", "state", "owner", "due_on", "tracker_url", "postmortem", "closing_note")
    buttons = (
        Button("finish", "Done", "incidents.change_actionitem", _item_verb(action_items.finish_action_item),
               lambda i: i.state in ("open", "in_progress"), tone="primary", form=DoneForm),
        Button("start", "Start", "incidents.change_actionitem",
               _item_verb(action_items.start_action_item, timed=False), lambda i: i.state == "open"),
        Button("drop", "Won't do", "incidents.change_actionitem", _item_verb(action_items.drop_action_item),
               lambda i: i.state in ("open", "in_progress"), form=ReasonForm, tone="danger"),
    )  # fmt: skip

    @admin.display(description="state")
    def state_badge(self, item: ActionItem) -> SafeString:
        """Shape and word."""
        return badge(item.state, item.get_state_display())

    @admin.display(description="promised after")
    def incident(self, item: ActionItem) -> str:
        """What it is learned from."""
        return str(item.postmortem.incident)

    @admin.display(description="due", ordering="due_on")
    def due(self, item: ActionItem) -> SafeString:
        """The day, and whether it has passed."""
        return _due(item.due_on, waits=item.closed_at is None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Promised in a post-mortem."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only by the buttons: what was approved stays as it was."""
        return False
