"""Bearer tokens of the API, and the scopes that its views ask for."""

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.core import context
from apps.projects.models import ApiToken
from apps.projects.services import TOKEN_PREFIX, token_digest


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer rp_…`. Anything else in that header is left to other doors."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        """The token's user and the token; None when no token of ours was sent."""
        scheme, _, given = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not given.startswith(TOKEN_PREFIX):
            return None
        now = timezone.now()
        token = (
            ApiToken.objects.select_related("user")
            .filter(
                Q(expires_at=None) | Q(expires_at__gt=now),
                digest=token_digest(given.strip()),
                revoked_at=None,
            )
            .first()
        )
        if token is None or not token.user.is_active:
            raise AuthenticationFailed("This token is unknown, revoked or past its end.")
        self._note_use(token)
        context.amend(actor_type="api_key", actor_id=token.prefix, actor_label=token.user.get_username())
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """For WWW-Authenticate: its presence makes the answer 401, not 403."""
        return 'Bearer realm="reliability-portal"'

    def _note_use(self, token: ApiToken) -> None:
        """Once a minute at most: a write for each request would make reads expensive."""
        stale = timezone.now() - timedelta(minutes=1)
        ApiToken.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=stale), pk=token.pk).update(
            last_used_at=timezone.now()
        )


class TokenScheme(OpenApiAuthenticationExtension):
    """How the API's schema speaks of these tokens; known by being defined."""

    target_class = "apps.projects.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A bearer token."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "rp_…"}


def scope(name: str, *permissions: str) -> type[BasePermission]:
    """A permission class: a token needs the scope, and whoever it is needs the Django permissions."""

    class Scoped(BasePermission):
        def has_permission(self, request: Request, view: Any) -> bool:
            if not (request.user and request.user.is_authenticated):
                return False
            if isinstance(request.auth, ApiToken) and name not in request.auth.scopes:
                return False
            return bool(request.user.has_perms(permissions))

    return Scoped
