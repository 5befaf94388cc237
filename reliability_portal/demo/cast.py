"""Who and what the story is about: people, components, releases, and the failures that keep coming back."""

from dataclasses import dataclass

PROJECT = "Journal app"
TEAM = "Journal team"
COMPONENTS = ("Authentication", "Journal", "User Profile", "API Services", "Frontend UI", "Payments")
DEPENDS_ON = {
    "Frontend UI": ("API Services",),
    "API Services": ("Authentication", "Payments"),
    "Journal": ("API Services", "Authentication"),
    "User Profile": ("Authentication",),
}
PEOPLE = {
    "alice": ("Responder", "Commander"),
    "bob": ("Commander", "Approver"),
    "carol": ("Auditor",),
}
ADMIN = "admin"
POLICY = "Journal on call"
SCHEDULE = "Journal weeks"
ZONES = {"alice": "Europe/Berlin", "bob": "America/New_York", "carol": "Europe/Berlin"}
# A release every eleven days or so, oldest first; the last one went out a few hours ago.
RELEASES = ("4.9.0", "4.10.0", "4.11.0", "4.12.0", "4.13.0", "4.14.0", "4.15.0", "4.16.2", "4.17.0", "4.18.0")


@dataclass(frozen=True)
class Failure:
    """One group of errors: how it looks, where it breaks, how often it comes (share of the daily stream).

    `first_day` and `last_day` count back from now; `status` is what people have decided about it.
    """

    component: str
    kind: str
    message: str
    module: str
    function: str
    line: str
    route: str
    share: float
    severity: str = "Major"
    error_type: str = "Server Error"
    first_day: int = 90
    last_day: int = 0
    status: str = "unresolved"
    platform: str = "python"


def _f(*values: object, **more: object) -> Failure:
    return Failure(*values, **more)  # type: ignore[arg-type]


VALID, AUTH, DUP, SIZE, CONN = (
    "Validation Error", "Authentication Error", "Database Duplicate Key", "File Size Error", "Database Connection Error",
)  # fmt: skip

FAILURES = (
    _f("Authentication", "TokenExpiredError", "token expired", "auth/tokens.py", "verify", "raise TokenExpiredError(claims)", "POST /api/auth/refresh", 9, "Major", AUTH),
    _f("Authentication", "AuthenticationFailed", "password does not match", "auth/views.py", "sign_in", "raise AuthenticationFailed(user)", "POST /api/auth/login", 8, "Major", AUTH),
    _f("Authentication", "ConnectionRefusedError", "session store refused the connection", "auth/sessions.py", "load", "self.store.connect()", "GET /api/auth/session", 0.4, "Critical", CONN, status="resolved", last_day=23),
    _f("Authentication", "LockoutError", "too many sign-ins from one address", "auth/limits.py", "check", "raise LockoutError(address)", "POST /api/auth/login", 0.7, "Minor", AUTH),
    _f("Authentication", "KeyError", "'nonce'", "auth/oidc.py", "callback", "nonce = session['nonce']", "GET /api/auth/callback", 0.8, first_day=41),
    _f("Journal", "IntegrityError", "duplicate entry for this day", "journal/entries.py", "create", "entry.save(force_insert=True)", "POST /api/journal/entries", 5, "Minor", DUP),
    _f("Journal", "ValidationError", "title: at most 200 characters", "journal/forms.py", "clean_title", "raise ValidationError(limit)", "POST /api/journal/entries", 7, "Minor", VALID),
    _f("Journal", "TimeoutError", "search did not answer within 5000 ms", "journal/search.py", "query", "reply = index.search(words, timeout=5)", "GET /api/journal/search", 2.5, status="regressed"),
    _f("Journal", "MemoryError", "export of 4 years of entries", "journal/export.py", "render", "pages = [page(e) for e in entries]", "POST /api/journal/export", 0.3, "Critical", status="resolved", last_day=55),
    _f("Journal", "RecursionError", "maximum recursion depth exceeded", "journal/outline.py", "nest", "return [nest(child) for child in node]", "GET /api/journal/outline", 0.4, first_day=30),
    _f("Journal", "UnicodeDecodeError", "'utf-8' codec can't decode byte 0xff", "journal/imports.py", "read", "text = raw.decode()", "POST /api/journal/import", 0.6, "Minor"),
    _f("Journal", "AttributeError", "'NoneType' object has no attribute 'locale'", "journal/reminders.py", "due", "zone = user.profile.locale", "job reminders", 1.2, status="ignored"),
    _f("User Profile", "FileTooLargeError", "avatar larger than 5 MB", "profile/avatars.py", "store", "raise FileTooLargeError(size)", "PUT /api/profile/avatar", 3.5, "Minor", SIZE),
    _f("User Profile", "ValidationError", "birthday lies in the future", "profile/forms.py", "clean_birthday", "raise ValidationError(birthday)", "PUT /api/profile", 2.2, "Minor", VALID),
    _f("User Profile", "OSError", "no space left on device", "profile/avatars.py", "resize", "image.save(path)", "PUT /api/profile/avatar", 0.2, "Critical", status="resolved", last_day=47),
    _f("User Profile", "TypeError", "unsupported operand type(s) for -: 'NoneType' and 'int'", "profile/age.py", "years", "return today.year - born", "GET /api/profile", 1.1),
    _f("User Profile", "DoesNotExist", "Profile matching query does not exist", "profile/views.py", "show", "profile = Profile.objects.get(user=user)", "GET /api/profile", 1.4, first_day=60),
    _f("API Services", "TimeoutError", "upstream weather did not answer within 3000 ms", "services/weather.py", "fetch", "reply = client.get(url, timeout=3)", "GET /api/weather", 4),
    _f("API Services", "OperationalError", "remaining connection slots are reserved", "services/db.py", "connect", "connection = pool.take()", "GET /api/feed", 0.5, "Critical", CONN, status="resolved", last_day=12),
    _f("API Services", "JSONDecodeError", "Expecting value: line 1 column 1 (char 0)", "services/push.py", "deliver", "answer = json.loads(reply.text)", "job push", 2.6),
    _f("API Services", "RateLimitedError", "provider answered 429", "services/ai.py", "complete", "raise RateLimitedError(provider)", "POST /api/ai/prompt", 3.1, first_day=70),
    _f("API Services", "ValueError", "unknown time zone", "services/calendar.py", "parse_zone", "zone = ZoneInfo(name)", "GET /api/calendar", 1.3, "Minor"),
    _f("API Services", "DeadlockDetected", "deadlock detected", "services/sync.py", "merge", "rows.update(version=version + 1)", "POST /api/sync", 0.9),
    _f("API Services", "ConnectionResetError", "connection reset by peer", "services/webhooks.py", "post", "self.session.post(url, body)", "job webhooks", 1.5, "Critical", CONN),
    _f("API Services", "StaleObjectError", "version 7 was changed meanwhile", "services/sync.py", "check", "raise StaleObjectError(row)", "POST /api/sync", 1.7, "Minor", VALID),
    _f("Frontend UI", "TypeError", "Cannot read properties of undefined (reading 'map')", "app/Timeline.jsx", "Timeline", "return entries.map(renderEntry)", "/timeline", 8, "Minor", platform="javascript"),
    _f("Frontend UI", "ChunkLoadError", "Loading chunk 7 failed", "app/routes.js", "load", "return import('./settings')", "/settings", 4, "Minor", platform="javascript"),
    _f("Frontend UI", "NetworkError", "Failed to fetch", "app/api.js", "request", "const reply = await fetch(url, options)", "/", 6, "Minor", CONN, platform="javascript"),
    _f("Frontend UI", "QuotaExceededError", "the quota has been exceeded", "app/drafts.js", "save", "localStorage.setItem(key, draft)", "/write", 1.1, "Minor", platform="javascript"),
    _f("Frontend UI", "ReferenceError", "structuredClone is not defined", "app/state.js", "copy", "return structuredClone(state)", "/", 1.6, "Minor", status="ignored", platform="javascript"),
    _f("Frontend UI", "InvariantError", "hydration failed", "app/root.jsx", "hydrate", "hydrateRoot(node, app)", "/", 0.9, first_day=33, status="resolved", last_day=20, platform="javascript"),
    _f("Payments", "CardDeclinedError", "card was declined", "payments/charge.py", "charge", "raise CardDeclinedError(reason)", "POST /api/payments/checkout", 3.2, "Minor", VALID),
    _f("Payments", "SignatureError", "webhook signature does not fit", "payments/webhooks.py", "verify", "raise SignatureError(header)", "POST /api/payments/webhook", 0.6, "Major", AUTH),
    _f("Payments", "DuplicateChargeError", "idempotency key was used before", "payments/charge.py", "charge", "raise DuplicateChargeError(key)", "POST /api/payments/checkout", 0.8, "Minor", DUP),
    _f("Payments", "DecimalException", "invalid amount", "payments/money.py", "parse", "amount = Decimal(text)", "POST /api/payments/checkout", 0.5),
    _f("Payments", "TimeoutError", "invoice service did not answer", "payments/invoices.py", "render", "pdf = renderer.get(invoice, timeout=10)", "job invoices", 1.0),
    _f("Payments", "KeyError", "'customer_id'", "payments/customers.py", "find", "customer = data['customer_id']", "POST /api/payments/checkout", 0.5, first_day=18, status="regressed"),
)  # fmt: skip

# The failure of the open incident, which began minutes ago.
NOW_FAILING = _f(
    "Payments", "ConnectionRefusedError", "payment gateway refused the connection", "payments/gateway.py", "charge_card",
    "reply = session.post(GATEWAY_URL, json=payload)", "POST /api/payments/checkout", 0, "Critical", "Network Error", first_day=0,
)  # fmt: skip


@dataclass(frozen=True)
class Past:
    """A past incident: when it began (days ago), how long until each stamp, and how far its post-mortem came."""

    title: str
    component: str
    severity: str
    days_ago: float
    minutes: tuple[int, int, int, int]  # to detect, acknowledge, mitigate, resolve, each from the beginning
    burst: int  # errors
    failure: int  # index into FAILURES
    postmortem: str = ""
    cause: str = ""
    fix: str = ""
    tests: str = ""
    lessons: str = ""
    items: tuple[tuple[str, str, str, int, str], ...] = ()  # (title, kind, owner, due in days, state)
    people: tuple[str, str] = ("alice", "bob")
    notes: tuple[str, ...] = ()


PASTS = (
    Past("Export jobs exhaust the memory of two hosts", "Journal", "critical", 78.3, (4, 9, 33, 71), 640, 8, "published",
         "Exports read every entry of an account into one list. The largest account grew past what a host holds.",
         "Exports above 500 entries were refused until the streaming version went out in 4.11.0.",
         "test_export_streams_ten_thousand_entries holds memory below 200 MB.",
         "The alert came before the first mail of a user. Nobody knew who may switch exports off.",
         (("Stream exports page by page", "prevent", "alice", -60, "done"),
          ("Alert on memory per worker", "detect", "bob", -50, "done")),
         notes=("Both hosts restart every few minutes; exports of one account are in each log.",)),
    Past("Search answers late for everybody", "Journal", "error", 66.8, (6, 14, 41, 95), 820, 7, "published",
         "An index rebuild ran during the evening peak with the same priority as queries.",
         "The rebuild was stopped and ran again at night with a limit.",
         "test_rebuild_yields_to_queries.", "The dashboard showed it; no rule asked for it.",
         (("Rule on search latency", "detect", "alice", -40, "done"),)),
    Past("Sign-in fails while the session store restarts", "Authentication", "critical", 52.2, (2, 5, 18, 29), 930, 2,
         "published", "The store restarts with empty connection pools; clients retried at once and kept it from coming up.",
         "Retries got a jittered backoff by configuration; the store came up four minutes later.",
         "test_clients_back_off_when_the_store_is_away.", "Paging worked: the first page was acknowledged in three minutes.",
         (("Backoff with jitter in the session client", "prevent", "bob", -30, "done"),
          ("Practise a restart of the session store", "process", "alice", -4, "open"))),
    Past("Avatars cannot be saved: disk full", "User Profile", "error", 47.6, (11, 25, 52, 80), 260, 14, "published",
         "Originals were kept beside the resized pictures, for ever.",
         "Originals older than a week were moved to cold storage.", "test_originals_are_removed_after_resizing.",
         "Disk figures existed, but no alert at 80 %.",
         (("Alert at 80 % of each disk", "detect", "bob", -20, "done"),)),
    Past("White page after release 4.14.0", "Frontend UI", "error", 33.1, (3, 8, 21, 36), 1150, 30, "in_review",
         "The server rendered times in its own zone, the browser in the user's; hydration failed on the difference.",
         "4.14.0 was rolled back; 4.15.0 renders times in UTC on both sides.",
         "test_server_and_browser_render_the_same_time.", "The roll-back took nine minutes, of which seven were asking who may.",
         (("Roll back by one command, by anybody on call", "mitigate", "alice", 9, "in_progress"),)),
    Past("Connections to the database run out", "API Services", "critical", 12.4, (3, 7, 26, 48), 700, 18, "draft",
         "A report opened a connection per account and kept all of them until it was done.", "", "", "",
         (("Limit connections per job", "prevent", "bob", 6, "open"),),
         notes=("pg_stat_activity shows 91 of 100 connections idle in transaction, all from the report job.",
                "Report job stopped. Connections fall.")),
    Past("Weather service answers 500", "API Services", "warning", 8.7, (15, 40, 40, 118), 380, 17),
    Past("Push messages are late", "API Services", "error", 3.3, (9, 17, 55, 73), 310, 19,
         notes=("Provider says that their queue is behind since 14:00.",)),
)  # fmt: skip
