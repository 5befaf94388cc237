"""What the application of the story does all day, as tables: endpoints, features, trials, caches, and nuisances."""

from dataclasses import dataclass

_BOTH = (("desktop", 0.66), ("mobile", 0.34))
_SERVER = (("unknown", 1.0),)


@dataclass(frozen=True)
class Endpoint:
    """Requests an hour on average, the share that fails on a good day, median and spread (sigma of its logarithm)."""

    name: str
    component: str
    an_hour: float
    failing: float
    median_ms: float
    spread: float = 0.5
    kind: str = "request"
    devices: tuple[tuple[str, float], ...] = _BOTH


ENDPOINTS = (
    Endpoint("POST /api/auth/login", "Authentication", 160, 0.004, 210, 0.4),
    Endpoint("POST /api/auth/refresh", "Authentication", 420, 0.006, 35),
    Endpoint("GET /api/journal/entries", "Journal", 700, 0.0004, 38),
    Endpoint("POST /api/journal/entries", "Journal", 200, 0.0031, 64),
    Endpoint("GET /api/journal/search", "Journal", 260, 0.009, 340, 0.8),
    Endpoint("POST /api/journal/export", "Journal", 9, 0.02, 6200, 0.9),
    Endpoint("GET /api/profile", "User Profile", 310, 0.001, 41),
    Endpoint("PUT /api/profile/avatar", "User Profile", 26, 0.011, 780, 0.7),
    Endpoint("GET /api/feed", "API Services", 1100, 0.0009, 88),
    Endpoint("GET /api/weather", "API Services", 240, 0.016, 190, 0.9),
    Endpoint("POST /api/sync", "API Services", 180, 0.0024, 105),
    Endpoint("POST /api/ai/prompt", "API Services", 70, 0.03, 2900, 0.6),
    Endpoint("POST /api/payments/checkout", "Payments", 34, 0.005, 640, 0.4),
    Endpoint("POST /api/payments/webhook", "Payments", 48, 0.003, 95, devices=_SERVER),
    Endpoint("/timeline", "Frontend UI", 520, 0.0, 1450, 0.6, kind="page"),
    Endpoint("job reminders", "Journal", 12, 0.01, 5200, 0.4, kind="task", devices=_SERVER),
)

# Feature, component, uses a day, seconds on average; and how many days ago it was last used (0: now).
FEATURES = (
    ("write entry", "Journal", 900, 310, 0), ("search", "Journal", 420, 14, 0),
    ("AI prompt", "API Services", 130, 48, 0), ("photo upload", "Journal", 160, 22, 0),
    ("mood chart", "Journal", 75, 35, 0), ("export", "Journal", 14, 9, 0),
    ("shared journal", "User Profile", 6, 120, 0), ("voice note", "Journal", 4, 95, 12), ("print", "Journal", 2, 6, 19),
)  # fmt: skip

# Trial, ends a day, share that converts.
TRIALS = (("14 days", 11, 0.27), ("30 days", 6, 0.34), ("student", 3, 0.52))

# Cache, component, asks an hour, share found.
CACHE = (
    ("journal", "Journal", 800, 0.91),
    ("session", "Authentication", 1500, 0.985),
    ("weather", "API Services", 230, 0.62),
)

# Feature, provider, reason, failures a day, share with a fallback.
AI = (
    ("AI prompt", "Northwind AI", "timeout", 5.0, 0.8), ("AI prompt", "Northwind AI", "rate limited", 2.4, 0.9),
    ("AI prompt", "Contoso Models", "timeout", 1.1, 0.0),
    ("mood summary", "Contoso Models", "invalid answer", 0.8, 0.4),
)  # fmt: skip

# Event, component, subject, reason, times a day, milliseconds or None.
NUISANCES = (
    ("client_error", "Frontend UI", "", "Cannot read properties of undefined (reading 'map')", 19.0, None),
    ("client_error", "Frontend UI", "", "Loading chunk 7 failed", 7.0, None),
    ("slow_endpoint", "Journal", "POST /api/journal/export", "", 30.0, 6900.0),
    ("slow_endpoint", "API Services", "POST /api/ai/prompt", "", 44.0, 3900.0),
    ("slow_endpoint", "Journal", "GET /api/journal/search", "", 12.0, 1700.0),
    ("session_stabilization_failure", "Authentication", "", "token expired", 2.2, None),
    ("session_stabilization_failure", "Authentication", "", "clock skew", 0.6, None),
    ("beta_register_rate_limited", "User Profile", "5f0e1c9a7733b2d1", "", 1.4, None),
    ("beta_register_rate_limited", "User Profile", "c21d90fe4410aa87", "", 0.5, None),
    ("formspree_failure", "User Profile", "", "HTTP 429", 0.7, None),
    ("data_consistency_error", "Journal", "", "", 0.4, None),
    ("sync_error", "API Services", "", "", 3.1, 420.0),
)
