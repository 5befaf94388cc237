"""A process that stays with one slot of one tick, instead of being woken for it.

It needs the database and nothing else. While that is away it waits for it, says so once, and says when it is back.
"""

import signal
import time
from types import FrameType

import structlog
from django.db import InterfaceError, OperationalError, connections

from apps.core import ticks

log = structlog.get_logger("portal.attend")
# Short: whoever waits here is what an acknowledged error waits for.
_AWAY_S, _TAKEN_S = 0.5, 0.5


def attend(name: str, slot: int) -> None:
    """Run a tick again and again until SIGTERM or SIGINT, which end it after the piece of work at hand."""
    stop = _Stop()
    away = False
    while not stop.asked:
        try:
            ran = ticks.stay(name, slot, lambda: not stop.asked)
        except (OperationalError, InterfaceError) as error:
            if not away:
                log.warning("database away: waiting for it", tick=name, slot=slot, error=type(error).__name__)
            away = True
            connections.close_all()
            time.sleep(_AWAY_S)
            continue
        if away:
            log.warning("database back", tick=name, slot=slot)
        away = False
        if not ran.ran:
            time.sleep(_TAKEN_S)


class _Stop:
    """Whether a stop was asked for; a second signal ends the process at once."""

    def __init__(self) -> None:
        self.asked = False
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, self._ask)

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signum, signal.SIG_DFL)
