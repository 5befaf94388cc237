import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.errors.grouping import culprit_of, fingerprint, normalise_message, normalise_name, title_of
from apps.errors.traces import parse_trace
from tests.fuzz import fewer, json_values, thorough


def make_frame(function="pay", module="shop.orders", **more):
    return {"function": function, "module": module, "lineno": 10, "in_app": True, **more}


def make_exception(*frames, kind="ValueError", value="bad", **more):
    return {"type": kind, "value": value, "stacktrace": {"frames": list(frames)}, **more}


def same(first, second, message=""):
    return fingerprint([first], message) == fingerprint([second], message)


def test_a_fingerprint_is_64_hex_digits():
    assert len(bytes.fromhex(fingerprint([make_exception()], ""))) == 32


@pytest.mark.parametrize(
    "changed",
    [
        {"lineno": 99, "colno": 5},
        {"context_line": "x = 1", "vars": {"a": 1}},
        {"abs_path": "/srv/other/shop/orders.py", "filename": "other.py"},
    ],
)
def test_lines_and_surroundings_do_not_matter(changed):
    assert same(make_exception(make_frame()), make_exception(make_frame(**changed)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lambda$main$0", "lambda$main$17"),
        ("Checkout$$Lambda$14/0x0000000800066840.run", "Checkout$$Lambda$29/0x00000008000a1c40.run"),
        ("Orders$$EnhancerBySpringCGLIB$$1a2b3c4d", "Orders$$EnhancerBySpringCGLIB$$99aa00ff"),
        ("Outer$1.call", "Outer$22.call"),
        ("main.run.func1", "main.run.func2.1"),
        ("<function f at 0x7f3645e8d950>", "<function f at 0x7fba44480030>"),
        ("async checkout", "checkout"),
        ("new Cart", "Cart"),
        ("job_1732299468", "job_1732299999"),
    ],
)
def test_generated_parts_of_a_function_do_not_matter(one, other):
    assert same(make_exception(make_frame(one)), make_exception(make_frame(other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://a.example.org/static/app.3f2a9c1b.js?v=1", "https://b.example.org/static/app.99ee00aa.js"),
        ("/srv/releases/20260101/shop/orders.py", "/srv/releases/20260202/shop/orders.py"),
        (r"C:\builds\17\shop\orders.cs", r"D:\shop\orders.cs"),
    ],
)
def test_where_a_release_lies_does_not_matter(one, other):
    assert same(*(make_exception({"function": "pay", "filename": path}) for path in (one, other)))


def test_different_failures_are_different_groups():
    prints = {
        fingerprint([exception], message)
        for exception, message in [
            (make_exception(make_frame()), ""),
            (make_exception(make_frame(), kind="KeyError"), ""),
            (make_exception(make_frame("step_1")), ""),
            (make_exception(make_frame("step_2")), ""),
            (make_exception(make_frame(module="shop.cart")), ""),
            (make_exception(make_frame(), make_frame("inner")), ""),
            (make_exception(), "one thing"),
            (make_exception(), "another thing"),
        ]
    }
    assert len(prints) == 8


def test_frames_of_libraries_count_only_where_there_are_no_others():
    theirs = make_frame("get_response", "django.core", in_app=False)
    assert same(make_exception(make_frame()), make_exception(theirs, make_frame(), theirs))
    assert not same(make_exception(theirs), make_exception(make_frame("other", "django.core", in_app=False)))


def test_the_message_matters_only_without_frames():
    placed = [make_exception(make_frame(), value=value) for value in ("a", "b")]
    assert same(*placed)
    assert not same(make_exception(value="cannot pay"), make_exception(value="cannot log in"))
    assert same(make_exception(value="order 17 not found"), make_exception(value="order 99 not found"))


@pytest.mark.parametrize("depth", [1, 2, 50, 995])
def test_the_depth_of_a_recursion_does_not_matter(depth):
    once = make_exception(make_frame("start"), make_frame("walk"), make_frame("visit"), make_frame("end"))
    deep = make_exception(
        make_frame("start"), *[make_frame("walk"), make_frame("visit")] * depth, make_frame("end")
    )
    assert same(once, deep)


def test_a_cause_belongs_to_the_failure():
    outer, inner = make_exception(make_frame(), kind="A"), make_exception(make_frame("deep"), kind="B")
    assert fingerprint([inner, outer], "") != fingerprint([outer], "")
    assert fingerprint([inner, outer], "") != fingerprint([outer, inner], "")


def test_the_senders_fingerprint_wins():
    exceptions = [make_exception(make_frame())]
    mine = fingerprint(exceptions, "", sent=["payments", 5])
    assert mine == fingerprint([], "else", sent=["payments", 5])
    assert mine != fingerprint(exceptions, "", sent=["payments", 6])
    assert mine != fingerprint(exceptions, "")
    assert fingerprint([], "", sent="payments") == fingerprint([], "", sent=["payments"])


@pytest.mark.parametrize("default", ["{{ default }}", "{{default}}", "  {{  default }} "])
def test_default_in_it_stands_for_our_own(default):
    exceptions = [make_exception(make_frame())]
    other = [make_exception(make_frame("other"))]
    assert fingerprint(exceptions, "", sent=[default]) == fingerprint(exceptions, "")
    assert fingerprint(exceptions, "", sent=[default, "eu"]) != fingerprint(
        exceptions, "", sent=[default, "us"]
    )
    assert fingerprint(exceptions, "", sent=[default, "eu"]) != fingerprint(other, "", sent=[default, "eu"])


@pytest.mark.parametrize("sent", [None, [], {}, 0, "", [None], [[]], [{}]])
def test_a_fingerprint_of_a_wrong_kind_does_not_count(sent):
    expected = fingerprint([make_exception(make_frame())], "")
    found = fingerprint([make_exception(make_frame())], "", sent=sent)
    assert found == expected or sent == ""


def test_a_sender_cannot_make_its_parts_look_like_ours():
    assert fingerprint([], "x", sent=["type:", "message:x"]) != fingerprint([], "x")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 17 not found", "order 18 not found"),
        ("took 1.5 s", "took 12.75 s"),
        ("user f47ac10b-58cc-4372-a567-0e02b2c3d479 gone", "user 9ec79c33ec9942ab8353589fcb2e04dc gone"),
        ("no such file /var/a/b.txt", "no such file /srv/x/y/z.log"),
        ("object at 0x7f3645e8d950", "object at 0xdeadbeef"),
        ("invalid value 'abc'", "invalid value 'x y z'"),
        ('field "name" missing', 'field "other" missing'),
        ("mail to bob@example.org failed", "mail to carol@example.com failed"),
        ("GET https://a.example.org/1?x=2 failed", "GET https://b.example.org/2 failed"),
        ("commit 3f2a9c1b broke", "commit 99ee00aa broke"),
        ("at 2026-11-22 18:17:48", "at 2025-01-02 03:04:05"),
        ("a\n  b", "a b"),
    ],
)
def test_variable_parts_of_a_message_do_not_matter(one, other):
    assert normalise_message(one) == normalise_message(other)


def test_words_of_a_message_stay():
    assert normalise_message("can't connect to payments") == "can't connect to payments"
    assert normalise_message("deadbeef facade") == "deadbeef facade"
    assert len(normalise_message("x" * 100_000)) == 500


@pytest.mark.parametrize(
    "name", ["checkout_step_1", "_f_value", "<lambda>", "Cart.total", "utf8", "sha256", "<module>"]
)
def test_ordinary_names_stay(name):
    assert normalise_name(name) == name


@pytest.mark.parametrize(
    "traces",
    [
        (
            'Traceback (most recent call last):\n  File "/r/{n}/shop/a.py", line {n}, in pay\n    x()\nValueError: {n}',
        ),
        (
            "TypeError: x is {n}\n    at pay (https://a.example/app.js:1:{n})\n    at go (https://a.example/app.js:1:{n}7)",
        ),
        ("a.B: {n}\n\tat shop.Cart.pay(Cart.java:{n})\n\tat shop.Cart.lambda$go${n}(Cart.java:{n})",),
    ],
)
def test_traces_as_text_group_by_place(traces):
    prints = {fingerprint(parse_trace(traces[0].format(n=n)), f"{n}") for n in (1, 23, 456)}
    assert len(prints) == 1
    elsewhere = fingerprint(parse_trace(traces[0].format(n=1).replace("pay", "ship")), "")
    assert elsewhere not in prints


def test_titles_and_culprits():
    exceptions = [make_exception(make_frame(), value="first line\nsecond")]
    assert title_of(exceptions, "ignored") == "ValueError: first line"
    assert title_of([], "only a message") == "only a message"
    assert title_of([], "said", "Server Error") == "Server Error: said"
    assert title_of([], "") == "Error"
    assert len(title_of([], "x" * 5000)) == 200
    assert culprit_of(exceptions, "/pay") == "/pay"
    assert culprit_of(exceptions, "") == "shop.orders in pay"
    assert culprit_of([], "") == ""
    assert culprit_of([make_exception(make_frame(in_app=False))], "") == "shop.orders in pay"


@thorough
@given(
    st.lists(st.dictionaries(st.sampled_from(["type", "value", "stacktrace"]), json_values), max_size=3),
    json_values,
)
def test_any_json_in_place_of_an_exception_gets_a_fingerprint(exceptions, sent):
    found = fingerprint(exceptions, "message", sent=sent)
    assert len(found) == 64
    assert found == fingerprint(exceptions, "message", sent=sent)
    assert len(title_of(exceptions, "message")) <= 200
    assert len(culprit_of(exceptions, "")) <= 200


frames = st.dictionaries(
    st.sampled_from(["function", "module", "filename", "abs_path", "lineno", "in_app", "vars"]),
    json_values,
    max_size=4,
)


@fewer
@given(st.lists(frames | json_values, max_size=6))
def test_any_frames_get_a_fingerprint(found):
    assert len(fingerprint([{"type": "E", "stacktrace": {"frames": found}}], "")) == 64
