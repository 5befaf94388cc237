"""Settings of the portal: one file, read from the environment, documented in docs/reference/settings.md.

Derived instead of asked twice: SITE_URL gives the allowed hosts, the trusted origins and the secure-cookie flags;
DATABASE_URL and REDIS_URL, when unset, name the embedded servers under PORTAL_DATA_DIR.
"""

import os
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import dj_database_url
from cryptography.fernet import Fernet
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from apps.core import embedded
from reliability_portal.env import env_bool, env_int, env_text

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = embedded.data_dir()

# --- What kind of installation this is --------------------------------------------------------------------------
DATABASE_URL = env_text("DATABASE_URL")
REDIS_URL = env_text("REDIS_URL")
# Whoever brings a database of their own means it: the strict defaults then hold without asking.
PORTAL_ENV = env_text(
    "PORTAL_ENV",
    "production" if DATABASE_URL else "development",
    words=("production", "staging", "development"),
)
PRODUCTION = PORTAL_ENV == "production"
PORTAL_PROCESS = env_text("PORTAL_PROCESS", "command", words=("web", "worker", "beat", "command"))
DEBUG = env_bool("DEBUG", False)
if DEBUG and PRODUCTION:
    raise ImproperlyConfigured(
        "DEBUG=true is refused with PORTAL_ENV=production: it shows settings to strangers."
    )


def _secret_key() -> str:
    """From SECRET_KEY; outside production a random one is made once and kept with the data."""
    key = env_text("SECRET_KEY")
    if key or PRODUCTION:
        if len(key) < 40:
            raise ImproperlyConfigured("SECRET_KEY: set at least 40 random characters (or SECRET_KEY_FILE).")
        return key
    path = DATA_DIR / "secret_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Several processes may start at once: each writes a draft, and the first one's name holds.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text()


def _encryption_keys() -> list[str]:
    """From PORTAL_ENCRYPTION_KEYS; each is tried here, since the first secret to be read is too late to find out."""
    keys = [k.strip() for k in env_text("PORTAL_ENCRYPTION_KEYS").split(",") if k.strip()]
    make = (
        "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())' makes one."
    )
    if PRODUCTION and not keys:
        raise ImproperlyConfigured(f"PORTAL_ENCRYPTION_KEYS: set at least one key; {make}")
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        raise ImproperlyConfigured(f"PORTAL_ENCRYPTION_KEYS: one of them is no Fernet key; {make}") from None
    return keys


SECRET_KEY = _secret_key()
# Keys that encrypt channel secrets at rest, newest first. Apart from SECRET_KEY, so that either can be changed alone.
PORTAL_ENCRYPTION_KEYS = _encryption_keys()

# --- Where it is reached ----------------------------------------------------------------------------------------
PORT = env_int("PORT", 8000, low=1, high=65535)
SITE_URL = env_text("SITE_URL", "" if PRODUCTION else f"http://127.0.0.1:{PORT}").rstrip("/")


def _parts_of(url: str) -> SplitResult:
    """Scheme, host and port; the portal stands at the root of its address."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) and not parts.path
    except ValueError:
        fits = False
    if not fits:
        raise ImproperlyConfigured(
            f"SITE_URL={url!r}: the address people open, such as https://portal.example.org."
        )
    return parts


_site = _parts_of(SITE_URL)
HTTPS = _site.scheme == "https"
ALLOWED_HOSTS = [_site.hostname, *([] if PRODUCTION else ["127.0.0.1", "localhost", "[::1]"])]
ALLOWED_HOSTS += [h.strip() for h in env_text("EXTRA_HOSTS").split(",") if h.strip()]
CSRF_TRUSTED_ORIGINS = [f"{_site.scheme}://{_site.netloc}"]
TRUSTED_PROXY_COUNT = env_int("TRUSTED_PROXY_COUNT", 0, high=10)
if HTTPS and TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- The house --------------------------------------------------------------------------------------------------
ROOMS = [
    "apps.core", "apps.audit", "apps.projects", "apps.errors", "apps.telemetry", "apps.health", "apps.incidents",
    "apps.alerts", "apps.ingest", "apps.reports",
]  # fmt: skip
INSTALLED_APPS = [
    "reliability_portal.apps.PortalConfig",
    *ROOMS,
    "reliability_portal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "csp",
    "axes",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
]
MIDDLEWARE = [
    "apps.core.context.RequestContextMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.core.context.WhoAndWhereMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.core.problems.OneErrorBodyMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "reliability_portal.urls"
WSGI_APPLICATION = "reliability_portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.core.context.page",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"

# --- Data -------------------------------------------------------------------------------------------------------
DB_POOL_SIZE = env_int("DB_POOL_SIZE", 10, low=2, high=100)
DB_CONNECT_TIMEOUT_MS = env_int("DB_CONNECT_TIMEOUT_MS", 30_000, low=100)
DB_SOCKET_TIMEOUT_MS = env_int("DB_SOCKET_TIMEOUT_MS", 45_000, low=100)
DB_SERVER_SELECTION_TIMEOUT_MS = env_int("DB_SERVER_SELECTION_TIMEOUT_MS", 30_000, low=100)


def _database(url: str) -> dict[str, Any]:
    """Connection settings for one URL: one kept connection a thread; the web, where threads share, has a pool."""
    settings: dict[str, Any] = {**dj_database_url.parse(url, conn_health_checks=True)}
    settings["ENGINE"] = "django.db.backends.postgresql"
    settings["OPTIONS"] = {
        **settings.get("OPTIONS", {}),
        "connect_timeout": max(2, DB_CONNECT_TIMEOUT_MS // 1000),
        "options": f"-c statement_timeout={DB_SOCKET_TIMEOUT_MS}",
        "application_name": f"portal-{PORTAL_PROCESS}",
    }
    settings["CONN_MAX_AGE"] = 600
    return settings


def _pooled(settings: dict[str, Any]) -> None:
    timeout_s = DB_SERVER_SELECTION_TIMEOUT_MS / 1000
    settings["OPTIONS"]["pool"] = {"min_size": 2, "max_size": DB_POOL_SIZE, "timeout": timeout_s}
    settings["OPTIONS"]["application_name"] = "portal-web"
    settings["CONN_MAX_AGE"] = 0


def become_web() -> None:
    """Make a process that was forked from the loaded portal a web process. Call it before any connection is made."""
    from django.conf import settings

    settings.PORTAL_PROCESS = "web"
    _pooled(settings.DATABASES["default"])


EMBEDDED_DATABASE = not DATABASE_URL
DATABASES = {"default": _database(DATABASE_URL or embedded.postgres_url("app"))}
if PORTAL_PROCESS == "web":
    _pooled(DATABASES["default"])
DATABASE_APP_ROLE = DATABASES["default"]["USER"]
# The owner makes tables and partitions (migrate); everything else runs as the app role, which cannot change the
# audit log. Without an owner of its own an external database has one role, and then only the triggers hold.
DATABASE_OWNER_URL = env_text("DATABASE_OWNER_URL") or (
    embedded.postgres_url("owner") if EMBEDDED_DATABASE else ""
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_redis = embedded.redis_urls(REDIS_URL)
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": _redis.cache}}

# --- Work -------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = _redis.broker
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_TIMEZONE = "UTC"
INGEST_DRAIN_SLOTS = env_int("INGEST_DRAIN_SLOTS", min(2, os.cpu_count() or 1), low=1, high=64)

# --- Signing in -------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "apps.audit.receivers.PasswordChanges"},
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "admin:login"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "apps.core.context.client_address"
AXES_USERNAME_CALLABLE = "apps.audit.receivers.typed_name"
AXES_DISABLE_ACCESS_LOG = True  # the audit log has it
AXES_ENABLE_ADMIN = False  # a page on which lock-outs could be deleted without a trace
AXES_LOCKOUT_CALLABLE = "apps.core.problems.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# The prefix needs https; two portals on one host and two ports would otherwise sign each other out.
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else f"session-{_site.port or 80}"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else f"csrf-{_site.port or 80}"
CSRF_FAILURE_VIEW = "apps.core.problems.csrf_failure"

# --- What a browser may do --------------------------------------------------------------------------------------
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = False
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^api/(live|ready)/?$"]  # probes come without the proxy in front
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# --- Limits at the door (bytes unless named otherwise) ----------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
BODY_DEADLINE_S = env_int("BODY_DEADLINE_S", 20, low=1, high=600)
ENVELOPE_MAX_PACKED = env_int("ENVELOPE_MAX_PACKED", 2 * 1024 * 1024)
ENVELOPE_MAX_UNPACKED = env_int("ENVELOPE_MAX_UNPACKED", 10 * 1024 * 1024)
EVENT_MAX_BYTES = env_int("EVENT_MAX_BYTES", 1024 * 1024)
INBOX_MAX_ROWS = env_int("INBOX_MAX_ROWS", 200_000)
INBOX_MAX_BYTES = env_int("INBOX_MAX_BYTES", 2 * 1024**3, high=2**50)
# While the database is away entries wait in files; a disk that has less left than the floor takes none.
SPOOL_MAX_BYTES = env_int("SPOOL_MAX_BYTES", 1024**3, high=2**50)
DISK_FLOOR_BYTES = env_int("DISK_FLOOR_BYTES", 256 * 1024**2, high=2**50)
INGEST_RATE_PER_MINUTE = env_int("INGEST_RATE_PER_MINUTE", 1_200_000, low=1)
INGEST_BURST_S = env_int("INGEST_BURST_S", 10, low=1, high=600)
INGEST_EVENTS_PER_DAY = env_int("INGEST_EVENTS_PER_DAY", 0, high=10**15)
INGEST_EVENTS_PER_MONTH = env_int("INGEST_EVENTS_PER_MONTH", 0, high=10**15)
SPIKE_PROTECTION = env_bool("SPIKE_PROTECTION", True)
SPIKE_FACTOR = env_int("SPIKE_FACTOR", 10, low=1, high=10_000)
SPIKE_FLOOR = env_int("SPIKE_FLOOR", 1000, low=1)
SPIKE_GROUP = env_int("SPIKE_GROUP", 500, low=1)
SPIKE_KEEP_FIRST = env_int("SPIKE_KEEP_FIRST", 20, low=1)
SPIKE_KEEP_ONE_IN = env_int("SPIKE_KEEP_ONE_IN", 50, low=1)
FLAP_CYCLES = env_int("FLAP_CYCLES", 4, low=2, high=100)
FLAP_WINDOW_S = env_int("FLAP_WINDOW_S", 3600, low=60, high=86_400)
FLAP_QUIET_S = env_int("FLAP_QUIET_S", 900, low=30, high=86_400)
STORM_ALERTS = env_int("STORM_ALERTS", 20, low=1)
STORM_WINDOW_S = env_int("STORM_WINDOW_S", 300, low=10, high=86_400)
WEB_WORKERS = env_int("WEB_WORKERS", min(2, os.cpu_count() or 1), low=1, high=64)

# --- How long things are kept (days) ----------------------------------------------------------------------------
ERROR_RETENTION_DAYS = env_int("ERROR_RETENTION_DAYS", 100, low=1, high=3650)
TRACKED_RETENTION_DAYS = env_int("TRACKED_RETENTION_DAYS", 35, low=1, high=3650)
REQUEST_RETENTION_DAYS = env_int("REQUEST_RETENTION_DAYS", 14, low=1, high=400)
ROLLUP_MINUTE_RETENTION_DAYS = env_int("ROLLUP_MINUTE_RETENTION_DAYS", 100, low=4, high=3650)
ROLLUP_HOUR_RETENTION_DAYS = env_int("ROLLUP_HOUR_RETENTION_DAYS", 730, low=31, high=3650)

# --- Files, language, time --------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # no collectstatic step on the way to the first page
WHITENOISE_MAX_AGE = 3600 if not DEBUG else 0
LANGUAGE_CODE = "en"
USE_I18N = True
FORMAT_MODULE_PATH = ["reliability_portal.formats"]
USE_TZ = True
TIME_ZONE = "UTC"
# The zone that pages show until a person picks their own. Stored times are UTC whatever it says.
CONTACT_TEST_DAYS = env_int("CONTACT_TEST_DAYS", 35, low=1, high=400)
PORTAL_TIME_ZONE = env_text("PORTAL_TIME_ZONE", "UTC")

# --- Mail -------------------------------------------------------------------------------------------------------
SMTP_HOST = env_text("SMTP_HOST")
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend" if SMTP_HOST else "apps.core.mail.KeptMailBackend"
)
EMAIL_HOST = SMTP_HOST or "localhost"
EMAIL_PORT = env_int("SMTP_PORT", 587, low=1, high=65535)
EMAIL_HOST_USER = env_text("SMTP_USER")
EMAIL_HOST_PASSWORD = env_text("SMTP_PASS")
EMAIL_USE_SSL = EMAIL_PORT == 465  # implicit TLS by its port
EMAIL_USE_TLS = env_bool("SMTP_TLS", EMAIL_PORT == 587) and not EMAIL_USE_SSL
EMAIL_TIMEOUT = 10
EMAIL_FILE_PATH = DATA_DIR / "mail"
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env_text("MAIL_FROM", f"portal@{_site.hostname}")
SLACK_WEBHOOK_URL = env_text("SLACK_WEBHOOK_URL")
# The Slack app, and its secret by which presses of its buttons are known to be Slack's.
SLACK_SIGNING_SECRET = env_text("SLACK_SIGNING_SECRET")
SLACK_API = env_text("SLACK_API", "https://slack.com/api").rstrip("/")
PAGERDUTY_EVENTS_API = env_text("PAGERDUTY_EVENTS_API", "https://events.pagerduty.com").rstrip("/")
# SMS. The sender is a number, or a messaging service (MG…).
TWILIO_ACCOUNT_SID = env_text("TWILIO_ACCOUNT_SID")
TWILIO_AUTH_TOKEN = env_text("TWILIO_AUTH_TOKEN")
TWILIO_FROM = env_text("TWILIO_FROM")
TWILIO_API = env_text("TWILIO_API", "https://api.twilio.com").rstrip("/")
# How the watchdog of the pager reaches people without the pager, and where it gives its sign of life.
WATCHDOG_EMAIL = [a.strip() for a in env_text("WATCHDOG_EMAIL").split(",") if a.strip()]
WATCHDOG_URL = env_text("WATCHDOG_URL")
DEADMAN_URL = env_text("DEADMAN_URL")
# Networks and hosts that outbound requests may reach although they are private, comma separated.
OUTBOUND_ALLOW = [n.strip() for n in env_text("OUTBOUND_ALLOW").split(",") if n.strip()]

# --- API --------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.projects.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.parsers.BoundedJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_standardized_errors.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "apps.core.paging.KeysetPagination",
    "EXCEPTION_HANDLER": "apps.core.problems.drf_exception_handler",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Reliability portal",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "IncidentState": "apps.incidents.models.IncidentState",
        "AlertState": "apps.alerts.models.AlertState",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Logs -------------------------------------------------------------------------------------------------------
LOG_LEVEL = env_text("LOG_LEVEL", "info", words=("debug", "info", "warning", "error"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"portal": {"()": "apps.core.logs.formatter", "as_json": PRODUCTION}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "portal"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL.upper()},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "ERROR"},
        "celery.beat": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
# Both speak for every host of the domain, which is its owner's to decide and not one application's.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
