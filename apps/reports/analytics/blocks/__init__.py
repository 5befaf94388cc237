"""The analyses. A new one is a file of its own and a name here; pages have them in this order."""

from importlib import import_module

ORDER = (
    "over_time",
    "user_impact",
    "top_errors",
    "failure_rate",
    "feed",
    "event_errors",
    "feature_adoption",
    "trial_conversion",
    "slowest_endpoints",
    "daily_review",
    "cache_hit_rate",
    "unused_features",
    "slow_endpoints",
)
for _name in ORDER:
    import_module(f"{__name__}.{_name}")  # each registers itself
