"""One request to the whole web application, as a server hands it over: nothing of it is parsed on the way."""

import io
from dataclasses import dataclass

import orjson

from apps.projects.models import Project, ProjectKey
from apps.projects.services import create_project

KEY = "0123456789abcdef" * 2
FOREIGN_KEY = "f" * 32


@dataclass
class Answer:
    """Status, headers under lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return orjson.loads(self.body)


def post(path: str, body: bytes = b"", method: str = "POST", stream=None, **environ) -> Answer:
    """Status, headers and body. `environ` adds or replaces; None takes a variable away, such as CONTENT_LENGTH."""
    from reliability_portal.wsgi import application

    variables = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http",
        "wsgi.input": stream or io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0),
        "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
        "wsgi.input_terminated": True, **environ,
    }  # fmt: skip
    told = []
    answer = application(
        {name: value for name, value in variables.items() if value is not None},
        lambda status, headers, exc_info=None: told.append((status, headers)),
    )
    sent = b"".join(answer)
    getattr(answer, "close", lambda: None)()
    ((status, headers),) = told
    for name, value in headers:  # what a server would refuse to send
        assert "\n" not in name + value and "\r" not in name + value
        value.encode("latin-1")
    return Answer(int(status[:3]), {name.lower(): value for name, value in headers}, sent)


def with_key(key: str = KEY) -> dict[str, str]:
    """The header that SDKs send."""
    return {"HTTP_X_SENTRY_AUTH": f"Sentry sentry_version=7, sentry_key={key}"}


def make_project(name: str = "Shop", key: str = KEY, **facts) -> Project:
    """A project whose key opens the door; `facts` go on the key."""
    project = create_project(name=name, key=key)
    ProjectKey.objects.filter(project=project).update(**facts)
    return project


def make_envelope(
    *events: bytes | dict, event_id: str = "", more: tuple[tuple[str, bytes], ...] = (), **header
) -> bytes:
    """Items of type event, then `more` as (type, payload)."""
    payloads = [("event", e if isinstance(e, bytes) else orjson.dumps(e)) for e in events]
    lines = [orjson.dumps({**({"event_id": event_id} if event_id else {}), **header})]
    for kind, payload in (*payloads, *more):
        lines += [orjson.dumps({"type": kind, "length": len(payload)}), payload]
    return b"\n".join(lines)
