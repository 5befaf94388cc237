"""Connections of the door's own, beside Django's: their patience is short, so that a database that is away does not
hold the few threads that answer requests.
"""

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
        "options": f"{options} -c statement_timeout={patience_ms} -c synchronous_commit=on",
    }
    return psycopg.connect(**parameters, autocommit=True)
