"""Health checks of the containers: `probe.py web [PORT]`, `probe.py beat` and `probe.py drain`.

Exit code 0: well; 1 with a reason otherwise. A worker is asked by Celery's own `inspect ping`.
"""

import http.client
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_S = 5


def web(port: int = 8000) -> str:
    """What is wrong with the web server; empty if it answers. It only answers to the name that people use."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(
            "GET", "/api/live", headers={"Host": urlsplit(os.environ["SITE_URL"]).hostname or ""}
        )
        status = connection.getresponse().status
    except OSError as error:
        return f"no answer on port {port}: {error}"
    finally:
        connection.close()
    return "" if status == 200 else f"/api/live answered {status}"


def beat() -> str:
    """What is wrong with beat; empty if it published a tick lately, of which it leaves a sign in the cache."""
    _find_settings()
    from django.utils import timezone

    from apps.core import pulse

    age_s = pulse.age_s("beat", timezone.now())
    if age_s is None:
        return "no sign of life in the cache"
    return "" if age_s <= pulse.SILENT_AFTER_S else f"silent for {age_s:.0f} s"


def drain() -> str:
    """What is wrong with the drain of the first slot; empty if it wrote into the ledger of ticks lately."""
    _find_settings()
    import django
    from django.db import DatabaseError
    from django.utils import timezone

    django.setup()
    from apps.core.models import TickRun

    try:
        run = TickRun.objects.filter(name="ingest.drain", slot=0).first()
    except DatabaseError as error:
        return f"the database does not answer: {error}"
    if run is None:
        return "it never ran"
    late_s = run.late_s(timezone.now())
    return f"{late_s} s late" if late_s else ""


def _find_settings() -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reliability_portal.settings")


if __name__ == "__main__":
    wrong = {"web": web, "beat": beat, "drain": drain}[sys.argv[1]](*map(int, sys.argv[2:]))
    sys.exit(wrong or 0)
