"""What one Sentry event costs before it reaches the database: microseconds of CPU per event and stage.

    python -m benchmarks.decode [--events 2000] [--seed 1] [--runs 5] [--quick] [--markdown]

The events are made here: about 9.5 kB as an SDK for Django sends them, 50 places of failure, and in each event fresh
ids, times, addresses of objects, users and amounts. `strangers` is the worst honest case: no text seen before.
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import brotli
import orjson

from apps.core import jsontext, scrub
from apps.errors import grouping
from apps.errors.event_payload import kept_of
from apps.errors.normalise import from_sentry
from apps.ingest import auth, envelope, unpack
from apps.projects.intake import Intake
from benchmarks.lab import conditions, options
from benchmarks.lab.figures import Table, spread

AREAS = (
    "checkout",
    "orders",
    "invoices",
    "catalog",
    "subscriptions",
    "webhooks",
    "reports",
    "search",
    "account",
    "exports",
)
FAILURES = (
    ("ValueError", "invalid literal for int() with base 10: '12,50'"),
    ("KeyError", "'usd'"),
    ("ZeroDivisionError", "division by zero"),
    ("AttributeError", "'Cart' object has no attribute 'customer'"),
    ("PaymentDeclined", "card issuer refused the charge (code 51)"),
)
RULES = [
    ("auth", "Authentication"),
    ("journal", "Journal"),
    ("profile", "User Profile"),
    ("/api/v1/checkout", "Payments"),
]
MODULES = {f"package-{n}": f"{n % 9}.{n % 13}.{n % 7}" for n in range(40)}


def make_frame(rnd: random.Random, module: str, function: str, line: int, *, in_app: bool) -> dict[str, Any]:
    path = module.replace(".", "/") + ".py"
    code = [
        f"    {word} = resolve_{word}(request, {function})"
        for word in ("currency", "cart", "discounts", "totals", "customer", "region")
    ]
    return {
        "filename": path,
        "abs_path": f"/srv/shop/{'app' if in_app else 'lib/python3/site-packages'}/{path}",
        "function": function,
        "module": module,
        "lineno": line,
        "pre_context": code[:5],
        "context_line": f"    return {function}(cart, totals)",
        "post_context": ["", f"def after_{function}(cart, totals):", *code[2:5]],
        "vars": {
            "request": f"<WSGIRequest: POST '/api/v1/orders/{rnd.randrange(10**6)}/?currency=usd'>",
            "cart": f"<Cart of {rnd.randrange(9)} lines>",
            "handler": f"<function handler at 0x7f{rnd.randrange(16**10):010x}>",
            "discounts": {"WELCOME": "10", "SUMMER": "5"},
            "totals": [f"Decimal('{rnd.randrange(9000) / 100}')" for _ in range(3)],
        },
        "in_app": in_app,
    }


def make_breadcrumb(rnd: random.Random, area: str, at: datetime, number: int) -> dict[str, Any]:
    if number % 3 == 0:
        said = {
            "message": f"GET /api/v1/{area}/cart -> 200 in {rnd.randrange(90)} ms",
            "level": "info",
            "data": {},
        }
    elif number % 3 == 1:
        query = (
            'SELECT "orders_order"."id" FROM "orders_order" WHERE "orders_order"."customer_id" = %s LIMIT 21'
        )
        said = {"message": query, "data": {"rows": rnd.randrange(20)}}
    else:
        url = "https://payments.example.com/v2/charges"
        said = {"data": {"url": url, "method": "POST", "status_code": 200}}
    return {"type": "default", "category": "shop.http", "timestamp": stamp(at), **said}


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def make_event(rnd: random.Random, now: datetime) -> dict[str, Any]:
    place = rnd.randrange(50)
    area = AREAS[place % 10]
    kind, said = FAILURES[place // 10]
    frames = [
        make_frame(rnd, "django.core.handlers.exception", "inner", 55, in_app=False),
        make_frame(rnd, "django.core.handlers.base", "_get_response", 197, in_app=False),
        make_frame(rnd, f"shop.views_{area}", f"{area}_step", 6, in_app=True),
        make_frame(rnd, "shop.orders", "checkout_total", 23, in_app=True),
        make_frame(rnd, "shop.orders", f"price_{place}", 25, in_app=True),
    ]
    return {
        "event_id": f"{rnd.getrandbits(128):032x}",
        "level": "error",
        "timestamp": stamp(now),
        "platform": "python",
        "exception": {
            "values": [
                {
                    "type": kind,
                    "value": said,
                    "module": "shop.errors",
                    "mechanism": {"type": "django", "handled": False},
                    "stacktrace": {"frames": frames},
                }
            ]
        },
        "transaction": f"/api/v1/{area}/{{order_id}}/",
        "release": "shop@4.12.3",
        "environment": "production",
        "server_name": "web-2.shop.example",
        "user": {"id": str(rnd.randrange(5000)), "email": "bob@example.com", "ip_address": "192.0.2.7"},
        "tags": {"tenant": f"tenant-{rnd.randrange(20):02d}", "region": "eu-west", "plan": "team"},
        "contexts": {
            "trace": {"trace_id": f"{rnd.getrandbits(128):032x}", "span_id": f"{rnd.getrandbits(64):016x}"},
            "runtime": {"name": "CPython", "version": "3.11.7"},
        },
        "request": {
            "url": f"https://shop.example.com/api/v1/{area}/{rnd.randrange(10**6)}/",
            "method": "POST",
            "query_string": "currency=usd",
            "headers": {
                "Accept": "application/json",
                "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)",
                "Cookie": "a=b",
            },
            "data": {"items": [1, 2, 3]},
        },
        "breadcrumbs": {"values": [make_breadcrumb(rnd, area, now, n) for n in range(13)]},
        "modules": MODULES,
        "sdk": {
            "name": "sentry.python.django",
            "version": "2.75.0",
            "packages": [{"name": "pypi:sentry-sdk", "version": "2.75.0"}],
        },
    }


def make_envelope(event: bytes) -> bytes:
    event_id = orjson.loads(event)["event_id"]
    header = orjson.dumps({"event_id": event_id, "sent_at": stamp(datetime.now(UTC))})
    item = orjson.dumps({"type": "event", "content_type": "application/json", "length": len(event)})
    return b"\n".join((header, item, event, b""))


def measured(work: Callable[[Any], Any], inputs: list[Any], runs: int) -> list[float]:
    """Microseconds of CPU per input in each run."""
    rounds = []
    for _ in range(runs):
        before = time.process_time()
        for one in inputs:
            work(one)
        rounds.append((time.process_time() - before) / len(inputs) * 1e6)
    return rounds


def decode(raw: bytes) -> Any:
    return jsontext.decode(raw, max_depth=jsontext.MAX_EVENT_DEPTH, max_keys=None)


def main(argv: Sequence[str] | None = None) -> None:
    asked = options.parser(__doc__)
    asked.add_argument("--events", type=options.size, default=2000)
    asked.add_argument("--seed", type=int, default=1)
    asked.set_defaults(runs=5)
    chosen = options.parse(asked, argv, events=200)
    rnd = random.Random(chosen.seed)
    now = datetime.now(UTC)
    raws = [orjson.dumps(make_event(rnd, now - timedelta(seconds=n))) for n in range(chosen.events)]
    envelopes = [make_envelope(raw) for raw in raws]
    packed = [brotli.compress(body, quality=4) for body in envelopes]
    events = [decode(raw) for raw in raws]
    kept = [kept_of(event) for event in events]
    intake = Intake(project_id=1, received_at=now, hash_key=b"k" * 32, event_id="0" * 31 + "1", rules=RULES)
    header = f"Sentry sentry_key={'a' * 32}, sentry_version=7, sentry_client=sentry.python/2.75.0"

    def stranger(one: Any) -> Any:
        scrub.forget_texts()
        return scrub.scrub(one)

    def exceptions_of(one: dict[str, Any]) -> str:
        return grouping.fingerprint(one["exceptions"], "")

    sizes = [sum(map(len, bodies)) // chosen.events for bodies in (raws, packed)]
    table = Table(("stage", "µs of CPU per event"), "What an event costs before it reaches the database")
    stages: tuple[tuple[str, Callable[[Any], Any], list[Any]], ...] = (
        ("door: credentials", lambda _: auth.credentials(sentry_auth=header), raws),
        ("door: unpack br", lambda one: unpack.unpack(one, "br", max_bytes=10 * 2**20), packed),
        ("door: split envelope", envelope.split, envelopes),
        ("drain: decode", decode, raws),
        ("drain: pick", kept_of, events),
        ("drain: scrub", scrub.scrub, kept),
        ("drain: scrub strangers", stranger, kept),
        ("drain: fingerprint", exceptions_of, kept),
        ("drain: normalise (pick, scrub, fingerprint)", lambda one: from_sentry(one, intake), events),
        ("drain: all", lambda one: from_sentry(decode(one), intake), raws),
    )
    for name, work, inputs in stages:
        table.add(name, spread(measured(work, inputs, chosen.runs)))
    table.notes.append(
        conditions.line(
            f"{chosen.events} events of {sizes[0]} bytes, {sizes[1]} packed (br)", f"{chosen.runs} runs"
        )
    )
    options.show(chosen, [table])


if __name__ == "__main__":
    main()
