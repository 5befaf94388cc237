import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.errors import traces
from apps.errors.traces import parse_trace
from tests.fuzz import thorough

PYTHON = """Traceback (most recent call last):
  File "/srv/shop/app/shop/stock.py", line 12, in reserve
    return {}["warehouse-3"]
           ~~^^^^^^^^^^^^^^^
KeyError: 'warehouse-3'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/srv/shop/lib/python3.11/site-packages/django/core/handlers/base.py", line 197, in _get_response
    response = callback(request)
  File "/srv/shop/app/shop/views.py", line 40, in checkout
    reserve(cart)
shop.errors.InventoryError: no stock record in warehouse-3
"""
CHROME = """TypeError: Cannot read properties of undefined (reading 'city')
    at Cart.total (https://shop.example.org/static/app.3f2a9c1b.js?v=2:1:23456)
    at async checkout (https://shop.example.org/static/app.3f2a9c1b.js:1:999)
    at https://shop.example.org/static/vendor.js:2:10
    at new Promise (<anonymous>)
"""
FIREFOX = """total@https://shop.example.org/static/app.js:10:5
checkout@https://shop.example.org/static/app.js:20:7
@https://shop.example.org/static/app.js:30:1
"""
NODE = """Error: connect ECONNREFUSED 127.0.0.1:5432
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1495:16)
    at connect (/srv/shop/node_modules/pg/lib/client.js:50:11)
    at /srv/shop/app/db.js:7:3
"""
JAVA = """Exception in thread "main" org.example.shop.CheckoutException: cannot pay
\tat org.example.shop.Checkout.pay(Checkout.java:31)
\tat org.example.shop.Checkout.lambda$main$0(Checkout.java:12)
\tat java.base/java.util.concurrent.FutureTask.run(FutureTask.java:264)
Caused by: java.net.ConnectException: Connection refused
\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)
\tat org.example.shop.Bank.connect(Bank.java:7)
\t... 2 more
"""


def outline(text):
    return [
        (
            e["type"],
            e["value"],
            [(f["function"], f.get("lineno"), f["in_app"]) for f in e["stacktrace"]["frames"]],
        )
        for e in parse_trace(text)
    ]


def test_python_with_a_cause():
    assert outline(PYTHON) == [
        ("KeyError", "'warehouse-3'", [("reserve", 12, True)]),
        (
            "shop.errors.InventoryError",
            "no stock record in warehouse-3",
            [("_get_response", 197, False), ("checkout", 40, True)],
        ),
    ]
    frame = parse_trace(PYTHON)[0]["stacktrace"]["frames"][0]
    assert frame["context_line"] == 'return {}["warehouse-3"]'


def test_chrome_frames_come_outermost_first():
    assert outline(CHROME) == [
        (
            "TypeError",
            "Cannot read properties of undefined (reading 'city')",
            [
                ("new Promise", None, False),
                ("<anonymous>", 2, True),
                ("checkout", 1, True),
                ("Cart.total", 1, True),
            ],
        )
    ]
    assert parse_trace(CHROME)[0]["stacktrace"]["frames"][-1]["colno"] == 23456


def test_firefox_and_safari_have_no_head():
    assert outline(FIREFOX) == [
        ("", "", [("<anonymous>", 30, True), ("checkout", 20, True), ("total", 10, True)])
    ]


def test_node_knows_what_is_not_ours():
    [(kind, value, frames)] = outline(NODE)
    assert (kind, value) == ("Error", "connect ECONNREFUSED 127.0.0.1:5432")
    assert [in_app for _, _, in_app in frames] == [True, False, False]


def test_java_with_a_cause_and_a_module():
    assert outline(JAVA) == [
        (
            "java.net.ConnectException",
            "Connection refused",
            [("connect", 7, True), ("pollConnect", None, False)],
        ),
        (
            "org.example.shop.CheckoutException",
            "cannot pay",
            [("run", 264, False), ("lambda$main$0", 12, True), ("pay", 31, True)],
        ),
    ]


@pytest.mark.parametrize(
    "text", ["", "just words", "at home\nat work", "Error: no frames", "\0\n\0", "{}", "a: b\nc: d"]
)
def test_what_is_no_trace_gives_nothing(text):
    assert parse_trace(text) == []


def test_long_traces_are_bounded():
    frames = '  File "/app/a.py", line 1, in deep\n    deep()\n' * 5000
    [found] = parse_trace("Traceback (most recent call last):\n" + frames + "RecursionError: too deep\n")
    assert found["type"] == "RecursionError"
    assert len(found["stacktrace"]["frames"]) == traces.MAX_FRAMES
    causes = "a.B: c\n\tat x.Y.z(Y.java:1)\n" + "Caused by: a.B: c\n\tat x.Y.z(Y.java:1)\n" * 500
    assert len(parse_trace(causes)) == traces.MAX_EXCEPTIONS


lines = st.sampled_from((PYTHON + CHROME + FIREFOX + NODE + JAVA).splitlines()) | st.text(max_size=30)


@thorough
@given(st.lists(lines, max_size=25).map("\n".join))
def test_any_mixture_of_lines_is_read(text):
    for exception in parse_trace(text):
        assert isinstance(exception["type"], str)
        for frame in exception["stacktrace"]["frames"]:
            assert isinstance(frame["function"], str)
            assert isinstance(frame["in_app"], bool)
