"""Forms of rules, channels and contact methods: what they refuse, and secrets that go in and never come out."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone

from apps.alerts import channels, rule_checks, rules
from apps.alerts.channels import apprise
from apps.alerts.channels.sms import check_number
from apps.alerts.models import AlertRule, Channel, ContactMethod
from apps.core import outbound
from apps.projects.models import Project, ProjectKey


class MatchersField(forms.CharField):
    """A mapping written as lines of name=value."""

    widget = forms.Textarea(attrs={"rows": 2, "cols": 60})

    def to_python(self, value: Any) -> Any:
        """{name: value}; a line without "=" or a name twice is refused."""
        found: dict[str, str] = {}
        for line in filter(None, map(str.strip, str(super().to_python(value) or "").splitlines())):
            name, sign, text = (part.strip() for part in line.partition("="))
            if not sign or not name or not text or name in found:
                raise ValidationError(f"Write one name=value a line, each name once; not {line[:60]!r}.")
            found[name] = text
        return found

    def prepare_value(self, value: Any) -> Any:
        """Lines again; what somebody typed stays as typed."""
        return "\n".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what the lines say."""
        try:
            return bool((initial or {}) != self.to_python(data))
        except ValidationError:
            return True


class RuleForm(forms.ModelForm):
    """Refuses a condition that cannot be read or can never fire."""

    matchers = MatchersField(
        required=False,
        label="Only",
        help_text="One name=value a line. Requests: endpoint=POST /pay. Tracked events: event=sync_error. "
        "Sessions: release=…, environment=….",
    )

    class Meta:
        model = AlertRule
        fields = "__all__"

    tried: Mapping[str, Any] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.update(self.tried)
        if "condition" in self.fields:
            said = "A measure, an operator and a number, with its unit or without: errorRate > 5 %, latencyP95 > 1.5 s."
            self.fields["condition"].help_text = said

    def clean(self) -> dict[str, Any]:
        """The condition together with the threshold."""
        cleaned = super().clean() or {}
        self.findings: list[rule_checks.Finding] = []
        terms = self._terms(cleaned) if cleaned.get("condition") else None
        if terms is not None and not self.errors:
            self.findings = rule_checks.findings(terms, scope_of(cleaned))
        for finding in self.findings:
            if finding.refused:
                self.add_error(finding.field if finding.field in self.fields else None, finding.text)
        component, project = cleaned.get("component"), cleaned.get("project")
        if component and project and component.project_id != project.pk:
            self.add_error("component", f"{component} belongs to another project than {project}.")
        if component and cleaned.get("component_name"):
            self.add_error("component_name", "Give the component or its name, not both.")
        return cleaned

    def _terms(self, cleaned: dict[str, Any]) -> rules.Terms | None:
        try:
            return rule_checks.terms_of(cleaned)
        except rules.RuleRefused as refusal:
            self.add_error(refusal.field, str(refusal))
            return None


def scope_of(facts: Mapping[str, Any]) -> rule_checks.Scope:
    """What the checks need of a rule's fields."""
    component, project = facts.get("component"), facts.get("project")
    project = project or (component.project if component else None)
    return rule_checks.Scope(
        facts.get("window_s") or 0, facts.get("record_severity") or "", facts.get("matchers") or {},
        narrowed=bool(component or facts.get("component_name")), placed=project is not None,
        paged=facts.get("policy") is not None,
        silent_project=str(project) if project and not _reports(project) else "",
    )  # fmt: skip


def _reports(project: Project) -> bool:
    return ProjectKey.objects.filter(project=project).usable(timezone.now()).exists()


def check_address(kind: str, address: str, *, required: bool) -> None:
    """An address must fit its kind; ValidationError says what is wrong."""
    if not address:
        if required:
            raise ValidationError("Give an address.")
        return
    check = _CHECKS.get(kind, check_url)
    check(address)


def check_slack_channel(address: str) -> None:
    """Slack's own id: names of channels change."""
    if not re.fullmatch(r"[CGD][A-Z0-9]{5,20}", address):
        raise ValidationError(
            "Give the channel's id, such as C024BE91L; it stands at the end of its details in Slack."
        )


def check_url(address: str) -> None:
    """The guard's own reading of an address, before anybody depends on it."""
    try:
        outbound.checked_url(address)
    except outbound.OutboundRefused as refusal:
        raise ValidationError(str(refusal)) from refusal


_CHECKS: dict[str, Callable[[str], None]] = {
    "email": validate_email,
    "sms": check_number,
    "slack_app": check_slack_channel,
}


def check_bot_token(secret: str) -> None:
    """Slack has several sorts of tokens."""
    if not secret.startswith("xoxb-"):
        raise ValidationError("A bot token begins with xoxb-.")


def check_integration_key(secret: str) -> None:
    """As PagerDuty shows it."""
    if not re.fullmatch(r"[A-Za-z0-9]{32}", secret):
        raise ValidationError("An integration key has 32 letters and digits.")


def check_apprise(secret: str) -> None:
    """Only what Apprise can send without being told a host."""
    if wrong := apprise.check(secret):
        raise ValidationError(wrong)


_SECRETS: dict[str, Callable[[str], None]] = {
    "slack_app": check_bot_token,
    "pagerduty": check_integration_key,
    "apprise": check_apprise,
}


class ChannelForm(forms.ModelForm):
    """The secret is set or replaced here and shown nowhere."""

    new_secret = forms.CharField(
        required=False, max_length=1000, strip=True, label="Secret: set or replace",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Slack webhook: its address. Slack app: the bot token. PagerDuty: the integration key. "
        "Signed webhook: the signing secret. Empty: unchanged.",
    )  # fmt: skip

    class Meta:
        model = Channel
        fields = ("name", "kind", "address", "enabled")

    def clean(self) -> dict[str, Any]:
        """Address and secret by kind."""
        cleaned = super().clean() or {}
        kind, secret = cleaned.get("kind", ""), cleaned.get("new_secret", "")
        sender = channels.registry.get(kind)
        if sender is None:
            return cleaned
        self._refuse(
            "address", check_address, kind, cleaned.get("address", ""), required=bool(sender.address_is)
        )
        if secret and kind in _SECRETS:
            self._refuse("new_secret", _SECRETS[kind], secret)
        if kind == "slack":
            if secret:
                self._refuse("new_secret", check_url, secret)
            if cleaned.get("address"):
                self.add_error(
                    "address", "The address of a Slack webhook is a secret: put it into the secret field."
                )
        return cleaned

    def _refuse(self, field: str, check: Any, *args: Any, **kwargs: Any) -> None:
        try:
            check(*args, **kwargs)
        except ValidationError as refusal:
            self.add_error(field, refusal)


class ContactMethodForm(forms.ModelForm):
    """Only kinds that can reach a person."""

    class Meta:
        model = ContactMethod
        fields = ("user", "kind", "address", "order", "urgency", "enabled")

    def clean(self) -> dict[str, Any]:
        """The address by kind."""
        cleaned = super().clean() or {}
        sender = channels.registry.get(cleaned.get("kind", ""))
        if sender is not None and not sender.personal:
            self.add_error("kind", f"{sender.label} reaches a place, not a person: make a channel of it.")
        elif cleaned.get("address"):
            try:
                check_address(cleaned["kind"], cleaned["address"], required=True)
            except ValidationError as refusal:
                self.add_error("address", refusal)
        return cleaned
