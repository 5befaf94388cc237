"""What `manage.py up` keeps running: web, worker and drains, forked from one loaded portal.

Loaded twice, for web and for work, the portal took 70 MB more. Should this process die, all of them go and come back
with it; where each has a machine or a unit of its own they are started by themselves (reliability_portal.web, .work).
"""

import os
import sys
from functools import partial

from apps.core.embedded import die_with_parent
from reliability_portal import web, work
from reliability_portal.fork import Fork, share_memory
from reliability_portal.supervisor import GAVE_UP, Supervisor

_WEB_PATIENCE_S, _WORK_PATIENCE_S = 2.5, 3.0


def main(host: str, port: int, workers: int) -> int:
    """Run all of it until SIGTERM, the web ending first; GAVE_UP when one of them keeps dying."""
    die_with_parent(os.getppid())
    web.load()
    work.load()
    share_memory()
    supervisor = Supervisor(relay=True)
    supervisor.listen()
    served = supervisor.keep("web", partial(Fork, partial(serve, host, port, workers), "portal-web"))
    worked = work.keep(supervisor)
    supervisor.pump(lambda: False)
    supervisor.stop([([served], _WEB_PATIENCE_S), (worked, _WORK_PATIENCE_S)])
    if supervisor.failed is None:
        return 0
    supervisor.say("house", f"{supervisor.failed.name} died again and again")
    return GAVE_UP


def serve(host: str, port: int, workers: int) -> None:
    """The web server, with what only it has: a pool of connections."""
    from reliability_portal.settings import become_web

    become_web()
    web.serve(host, port, workers)


if __name__ == "__main__":
    os.environ.setdefault("PORTAL_PROCESS", "worker")
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
