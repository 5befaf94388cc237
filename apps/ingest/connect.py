"""Connections of the door's own, beside Django's: their patience is short, so that a database that is away does not
hold the few threads that answer requests.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from django.db import connections

_OF_DJANGO = ("cursor_factory", "context")  # how Django reads values; the driver's own way does here
CONNECT_WITHIN_S = 3


def connect(name: str, *, patience_ms: int) -> psycopg.Connection:
    """A connection in autocommit with the parameters of the settings (TLS included). Raises psycopg.OperationalError.

    `patience_ms` bounds each statement, also where the network swallows it. Commits are durable whatever the server's
    default says.
    """
    parameters = connections["default"].get_connection_params()
    parameters = {key: value for key, value in parameters.items() if key not in _OF_DJANGO}
    options = parameters.get("options", "")
    parameters |= {
        "application_name": f"portal-{name}",
        "connect_timeout": CONNECT_WITHIN_S,
        "tcp_user_timeout": patience_ms,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": f"{options} -c statement_timeout={patience_ms} -c synchronous_commit=on",
    }
    return psycopg.connect(**parameters, autocommit=True)


def cut(connection: psycopg.Connection) -> None:
    """End a connection that another thread waits on: it gets an OperationalError at once."""
    if not connection.closed:
        with (
            socket.fromfd(connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as shared,
            suppress(OSError),
        ):
            shared.shutdown(socket.SHUT_RDWR)


@contextmanager
def bounded(connection: psycopg.Connection, seconds: float) -> Iterator[None]:
    """Cut the connection if what is done with it takes longer, also where the server hangs and hears no timeout."""
    timer = threading.Timer(seconds, cut, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
