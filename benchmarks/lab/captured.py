"""What the real SDK sends for unhandled exceptions of a Django application: bodies to make a corpus from.

    python -m benchmarks.lab.captured FILE [--variants 4]

An application of 50 views that fail in ten ways is driven in this process, and the SDK's own transport posts to a sink
here. Writes one JSON line an event: {"header": …, "event": …}. A process of its own, since it configures a Django.
"""

import argparse
import gzip
import io
import json
import linecache
import logging
import random
import sys
import threading
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import brotli

UNPACKED = {"gzip": gzip.decompress, "br": brotli.decompress}
AREAS = (
    "checkout", "orders", "invoices", "catalog", "subscriptions", "webhooks", "reports", "search", "account", "exports",
)  # fmt: skip
STEPS = 5
MODULES_KEPT = 25
HOME = "/srv/shop/app/shop"
PRICING = """
import decimal
import json


class PaymentDeclined(Exception):
    pass


class StockUnknown(RuntimeError):
    pass


class Cart:
    def __init__(self, size):
        self.lines = [{"sku": f"SKU-{n:04}", "quantity": n % 5 + 1, "price": "19.90"} for n in range(size)]

    def __repr__(self):
        return f"<Cart of {len(self.lines)} lines>"


def price(line, currency, discounts):
    amount = decimal.Decimal(line["price"]) * line["quantity"]
    for code, percent in discounts.items():
        amount -= amount * decimal.Decimal(percent) / 100
    return amount.quantize(decimal.Decimal("0.01"))


def total(cart, currency, discounts, failure):
    amounts = [price(line, currency, discounts) for line in cart.lines]
    return failure(cart, amounts)


def not_a_number(cart, amounts):
    return int("12,50")


def no_such_currency(cart, amounts):
    return {"eur": 1}["usd"]


def divided_by_nothing(cart, amounts):
    return sum(amounts) / len([])


def wrong_type(cart, amounts):
    return "total: " + 12


def no_attribute(cart, amounts):
    return cart.customer.address.city


def beyond_the_end(cart, amounts):
    return amounts[len(amounts) + 3]


def declined(cart, amounts):
    raise PaymentDeclined("card issuer refused the charge (code 51)")


def out_of_stock(cart, amounts):
    try:
        return {}["warehouse-3"]
    except KeyError as error:
        raise StockUnknown("no stock record in warehouse-3") from error


def no_tenant(cart, amounts):
    raise LookupError("tenant has no default currency")


def broken_json(cart, amounts):
    return json.loads("{not json")


FAILURES = [not_a_number, no_such_currency, divided_by_nothing, wrong_type, no_attribute, beyond_the_end, declined,
            out_of_stock, no_tenant, broken_json]
"""
VIEW = """
def {name}(request, order_id):
    currency = request.GET.get("currency", "eur")
    cart = Cart({size})
    discounts = {{"WELCOME": 10, "SUMMER": 5}}
    log.info("pricing order %s in %s", order_id, currency)
    return total(cart, currency, discounts, FAILURES[{failure}])
"""
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0",
)
QUERY = (
    'SELECT "orders_order"."id", "orders_order"."total" FROM "orders_order" '
    'WHERE "orders_order"."customer_id" = %s LIMIT 21'
)


def load(source: str, file: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run source as if it stood in that file, with its lines at hand for stack traces."""
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec"), names)
    return names


def make_views() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Route and view of each of the 50 places."""
    shop = load(PRICING, f"{HOME}/pricing.py", {"__name__": "shop.pricing"})
    shop["log"] = logging.getLogger("shop.orders")
    for number in range(len(AREAS) * STEPS):
        area, step = AREAS[number % len(AREAS)], number // len(AREAS)
        name = f"{area}_step_{step}"
        source = "\n" * 10 * step + VIEW.format(name=name, size=3 + number % 7, failure=(number + step) % 10)
        found = load(source, f"{HOME}/{area}_{step}.py", {**shop, "__name__": f"shop.{area}"})
        yield f"api/v1/{area}/{step}/<int:order_id>/", found[name]


class Busy:
    """Middleware: what an application adds by itself – tags, a user, thirteen breadcrumbs."""

    def __init__(self, get_response: Callable[..., Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        import sentry_sdk

        area = request.path.split("/")[3]
        sentry_sdk.set_tag("tenant", f"tenant-{random.randrange(20):02}")
        sentry_sdk.set_tag("region", random.choice(("eu-west", "us-east", "ap-south")))
        sentry_sdk.set_tag("plan", random.choice(("free", "team", "enterprise")))
        number = random.randrange(5000)
        sentry_sdk.set_user(
            {"id": str(number), "email": f"user{number}@example.com", "ip_address": "192.0.2.3"}
        )
        log = logging.getLogger("shop.http")
        charge = {"url": "https://payments.example.com/v2/charges", "method": "POST", "status_code": 200}
        for _ in range(4):
            log.info("GET /api/v1/%s/cart -> 200 in %d ms", area, random.randrange(5, 90))
            rows = {"rows": random.randrange(20)}
            sentry_sdk.add_breadcrumb(category="query", type="default", message=QUERY, data=rows)
            sentry_sdk.add_breadcrumb(category="httplib", type="http", data=charge)
        return self.get_response(request)


def make_sink(received: list[bytes]) -> ThreadingHTTPServer:
    """Takes what the SDK posts and keeps it, unpacked."""

    class Sink(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received.append(UNPACKED.get(self.headers.get("Content-Encoding", ""), bytes)(body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def make_application() -> Callable[..., Any]:
    """The shop as a WSGI application; without a database."""
    import django
    from django.conf import settings
    from django.urls import path

    urls = types.ModuleType("shop_urls")
    urls.urlpatterns = [path(route, view) for route, view in make_views()]  # type: ignore[attr-defined]
    urls.Busy = Busy  # type: ignore[attr-defined]
    sys.modules["shop_urls"] = urls
    common = (
        "security.SecurityMiddleware",
        "common.CommonMiddleware",
        "clickjacking.XFrameOptionsMiddleware",
    )
    settings.configure(
        SECRET_KEY="a shop",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="shop_urls",
        MIDDLEWARE=["shop_urls.Busy", *(f"django.middleware.{name}" for name in common)],
    )
    django.setup()
    for name, level in (
        ("shop.orders", logging.INFO),
        ("shop.http", logging.INFO),
        ("django.request", logging.CRITICAL),
    ):
        logging.getLogger(name).setLevel(level)
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def request(number: int) -> dict[str, Any]:
    """The WSGI environment of one order."""
    body = json.dumps({"items": [1, 2, 3], "note": "leave at the door"}).encode()
    area, step = AREAS[number % len(AREAS)], number // len(AREAS) % STEPS
    return {
        "REQUEST_METHOD": "POST", "PATH_INFO": f"/api/v1/{area}/{step}/{random.randrange(10**6)}/", "SCRIPT_NAME": "",
        "QUERY_STRING": "currency=usd", "SERVER_NAME": "shop.example.com", "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "shop.example.com", "HTTP_ACCEPT": "application/json", "HTTP_X_FORWARDED_FOR": "203.0.113.7",
        "HTTP_USER_AGENT": random.choice(AGENTS), "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http", "wsgi.version": (1, 0), "wsgi.multithread": False, "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }  # fmt: skip


def tidied(raw: bytes) -> dict[str, Any]:
    """The event as from the shop's own server: without this program's arguments, paths and many packages."""
    text = raw.decode().replace(sys.prefix, "/srv/shop/venv")
    event: dict[str, Any] = json.loads(text)
    event.get("extra", {}).pop("sys.argv", None)
    event["modules"] = dict(sorted(event.get("modules", {}).items())[:MODULES_KEPT])
    return event


def main() -> None:
    """Drive the shop until every place has failed `--variants` times."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", type=Path)
    options.add_argument("--variants", type=int, default=4)
    chosen = options.parse_args()
    import sentry_sdk

    received: list[bytes] = []
    sink = make_sink(received)
    sentry_sdk.init(
        dsn=f"http://{'a' * 32}@127.0.0.1:{sink.server_port}/1", send_default_pii=True, environment="production",
        release="shop@4.12.3", server_name="web-2.shop.example",
    )  # fmt: skip
    application = make_application()
    for number in range(len(AREAS) * STEPS * chosen.variants):
        b"".join(application(request(number), lambda status, headers, error=None: None))
        sentry_sdk.flush(5)  # its queue drops what does not fit
    with chosen.file.open("w") as file:
        for body in received:
            header, item, event = body.split(b"\n", 2)
            if json.loads(item)["type"] == "event":
                said = {"header": json.loads(header), "event": tidied(event[: json.loads(item)["length"]])}
                file.write(json.dumps(said, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
