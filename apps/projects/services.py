"""Writes of the projects room."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from apps.audit import services as audit
from apps.audit.models import Category
from apps.core.bulk import rows_of
from apps.projects.models import SCOPES, ApiToken, Component, Project, ProjectKey
from apps.projects.routing import DEFAULT_COMPONENT

TOKEN_PREFIX = "rp_"  # noqa: S105 - the visible start of a token, not a token
MOST_COMPONENTS = 200


def free_slug(name: str, taken: Any) -> str:
    """A slug for `name` that no row of the query set `taken` has."""
    base = re.sub(r"[-_]+", "-", slugify(name))[:50].strip("-") or "unnamed"
    used = set(taken.filter(slug__startswith=base).values_list("slug", flat=True))
    return next(s for s in (base, *(f"{base}-{n}" for n in range(2, len(used) + 3))) if s not in used)


@transaction.atomic
def create_project(*, name: str, key: str = "", actor: Any = None, backfilled: bool = False) -> Project:
    """A project with its first DSN key; `key` gives the 32 hex digits, else they are drawn."""
    project = Project(name=name, slug=free_slug(name, Project.objects), backfilled=backfilled)
    project.full_clean()
    project.save()
    audit.record("project.create", resource=project, category=Category.CONFIG, actor=actor)
    create_key(project=project, public_key=key, actor=actor)
    return project


@transaction.atomic
def create_key(
    *, project: Project, public_key: str = "", label: str = "default", actor: Any = None
) -> ProjectKey:
    """A further key of a project; old and new work side by side until the old one is switched off."""
    key = ProjectKey(project=project, label=label)
    if public_key:
        key.public_key = public_key
    key.full_clean()
    key.save()
    shown = {"key": f"{key.public_key[:8]}…"}
    audit.record("project_key.create", resource=key, category=Category.CONFIG, actor=actor, details=shown)
    return key


@transaction.atomic
def ensure_component(*, project: Project, name: str, actor: Any = None) -> Component:
    """The component of that name, made when a sender names it first. Two drains may ask at once: one row results."""
    name = name.strip()[:80].strip() or DEFAULT_COMPONENT
    here = Component.objects.filter(project=project)

    slug: dict[str, Any] = {"slug": lambda: free_slug(name, here)}

    def get_or_create() -> tuple[Component, bool]:
        return here.get_or_create(project=project, name=name, defaults=slug)

    try:
        component, made = get_or_create()
    except IntegrityError:  # another name took the slug in the same moment; now it is seen
        component, made = get_or_create()
    if made:
        audit.record("component.create", resource=component, category=Category.CONFIG, actor=actor)
    return component


def component_ids(wanted: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
    """Component ids by (project id, name); a name heard for the first time becomes a component while there is room."""
    pairs = sorted(wanted)
    found = {
        (project_id, name): pk
        for pk, project_id, name in rows_of(
            "SELECT c.id, c.project_id, c.name FROM projects_component c "
            "JOIN jsonb_to_recordset(%s::jsonb) AS t(p bigint, n text) ON c.project_id = t.p AND c.name = t.n",
            [{"p": p, "n": n} for p, n in pairs],
        )
    }
    full: dict[int, int] = {}
    for project_id, name in pairs:
        if (project_id, name) not in found:
            found[project_id, name] = full.get(project_id) or _new_component(project_id, name, full)
    return found


def _new_component(project_id: int, name: str, full: dict[int, int]) -> int:
    """Whoever has a key, and that is every visitor of a page, names components: so there is an end to it.

    `full` takes the component that the rest of a full project's names fall to.
    """
    project = Project.objects.get(pk=project_id)
    if project.components.count() < MOST_COMPONENTS:
        return ensure_component(project=project, name=name).pk
    full[project_id] = ensure_component(project=project, name=DEFAULT_COMPONENT).pk
    return full[project_id]


def dsn(key: ProjectKey) -> str:
    """What an SDK is given: scheme://key@host/project."""
    scheme, _, rest = settings.SITE_URL.partition("://")
    return f"{scheme}://{key.public_key}@{rest}/{key.project_id}"


@transaction.atomic
def create_token(
    *,
    user: Any,
    scopes: list[str],
    name: str = "token",
    expires_at: datetime | None = None,
    actor: Any = None,
) -> tuple[ApiToken, str]:
    """A token and its secret text, which is not stored and cannot be shown again."""
    unknown = sorted(set(scopes) - SCOPES.keys())
    if unknown:
        raise ValidationError({"scopes": f"Unknown: {', '.join(unknown)}. Known: {', '.join(SCOPES)}."})
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        user=user,
        name=name,
        prefix=secret[:10],
        digest=token_digest(secret),
        scopes=scopes,
        expires_at=expires_at,
    )
    token.full_clean()
    token.save()
    audit.record(
        "api_token.create",
        resource=token,
        category=Category.SECURITY,
        actor=actor,
        details={"scopes": scopes},
    )
    return token, secret


@transaction.atomic
def revoke_token(*, token: ApiToken, actor: Any = None) -> None:
    """End a token at once; a second call changes nothing."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record("api_token.revoke", resource=token, category=Category.SECURITY, actor=actor)


def refusal(error: ValidationError) -> str:
    """A refusal in one line for the command line, each message behind the name of its field."""
    if not hasattr(error, "error_dict"):
        return "; ".join(error.messages)
    return "; ".join(f"{field}: {' '.join(said)}" for field, said in error.message_dict.items())


def token_digest(secret: str) -> bytes:
    """How tokens are stored: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
