"""The portal's own PostgreSQL and Valkey, run as child processes where no external server is named.

For trying, developing and testing. A set DATABASE_URL or REDIS_URL always wins; then that server is never
started. Whoever comes first to a data directory starts its servers and stops them at the end; whoever comes
later joins them. Nothing here imports Django, since the settings stand on it.
"""

from apps.core.embedded.paths import RedisUrls, data_dir, postgres_url, redis_urls
from apps.core.embedded.process import ServerError, die_with_parent
from apps.core.embedded.server import EmbeddedServer
from apps.core.embedded.sharing import running, servers_for, wanted

__all__ = [
    "EmbeddedServer",
    "RedisUrls",
    "ServerError",
    "data_dir",
    "die_with_parent",
    "postgres_url",
    "redis_urls",
    "running",
    "servers_for",
    "wanted",
]
