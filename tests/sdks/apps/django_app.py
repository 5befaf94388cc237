"""A Django application with the SDK: `python django_app.py DSN`."""

import sys

import sentry_sdk
from django.conf import settings
from sentry_sdk.integrations.django import DjangoIntegration

sentry_sdk.init(
    sys.argv[1],
    integrations=[DjangoIntegration()],
    release="shop@1.4.2",
    environment="test",
    traces_sample_rate=1.0,
    send_default_pii=True,
    auto_session_tracking=True,
    transport_queue_size=200,
)
settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="x" * 50,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=[],
    USE_TZ=True,
)
import django  # noqa: E402

django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from werkzeug.test import Client  # noqa: E402


def pay(request):
    """Fails with a secret among its local variables."""
    password = "hunter2"  # noqa: F841
    raise ConnectionRefusedError("payment gateway refused the connection")


def order(request, number):
    """Answers, and says something on the way."""
    with sentry_sdk.new_scope() as scope:
        scope.set_user({"id": "4711", "email": "alice@example.org"})
        scope.set_tag("component", "Orders")
        scope.set_tag("tenant", "acme")
        scope.add_breadcrumb(category="cart", message="added a lamp", level="info")
        scope.add_attachment(bytes=b"started\npassword=hunter2\n", filename="order.log")
        scope.add_attachment(bytes=b"\x89PNG\r\n", filename="screen.png")
        sentry_sdk.capture_message("stock is low", level="warning")
    return HttpResponse("ok")


urlpatterns = [path("payments/checkout", pay), path("orders/<int:number>", order)]
application = get_wsgi_application()
# As a server calls it, which Django's own test client does not.
client = Client(application)
for address in ("/payments/checkout?card=4111111111111111", "/orders/17", "/orders/18"):
    client.get(address, headers={"User-Agent": "Mozilla/5.0 (iPhone) Mobile"})
sentry_sdk.flush(10)
sentry_sdk.get_client().close(10)
