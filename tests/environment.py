"""Loaded before everything else (-p in pyproject.toml): where the tests' servers and files live.

Apart from the portal's own data, so that tests and a running `make run` never meet.
"""

import os
from pathlib import Path

DATA = Path(os.environ.get("PORTAL_TEST_DATA_DIR") or Path(__file__).parent.parent / "var" / "test")
os.environ["PORTAL_DATA_DIR"] = str(DATA)
for name in ("DATABASE_URL", "REDIS_URL", "SITE_URL", "SECRET_KEY", "DEBUG", "SMTP_HOST"):
    os.environ.pop(name, None)
os.environ["PORTAL_ENV"] = "development"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # browser tests drive a loop beside the ORM
os.environ["OUTBOUND_ALLOW"] = "127.0.0.0/8"  # receivers stand on loopback
