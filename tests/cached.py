"""The cache of one test process: Django's clear() would empty the corner of every other one too."""

from django.core.cache import cache


def forget() -> None:
    """Delete what this process has cached."""
    client = cache._cache.get_client(write=True)
    held = list(client.scan_iter(match=f"{cache.key_prefix}:*", count=1000))
    if held:
        client.delete(*held)
