"""Pages to one person: the first at once, what follows together, none lost, none later than said."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.alerts import bundling
from apps.alerts.bundling import Gone, Line, course
from tests.alerts.make import NOW, at
from tests.fuzz import thorough

WINDOW = 60


def test_the_first_goes_at_once_and_the_next_of_its_component_waits_for_the_end_of_the_minute():
    assert course(1, [], WINDOW, NOW) == bundling.Course()
    assert course(1, [Gone(NOW, 1)], WINDOW, at(10)).wait_until == at(60)
    assert course(1, [Gone(NOW, 1)], WINDOW, at(60)) == bundling.Course()


def test_another_component_does_not_wait_until_there_were_too_many_messages():
    gone = [Gone(at(n), n) for n in range(4)]
    assert course(9, gone, WINDOW, at(5)) == bundling.Course()
    crowded = [*gone, Gone(at(4), 4)]
    assert course(9, crowded, WINDOW, at(5)) == bundling.Course(at(60), every_component=True)
    assert course(9, crowded, WINDOW, at(61)).every_component


@settings(thorough)
@given(
    pages=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 3)), min_size=1, max_size=60),
    bundle_s=st.sampled_from([5, 60]),
)
def test_every_page_goes_out_once_and_waits_no_longer_than_the_window(pages, bundle_s):
    """A clock of seconds that runs the course as the dispatcher does (alerting P13)."""
    waiting: dict[int, tuple[int, int]] = {}
    hold: dict[int, object] = {}
    gone, sent, delays = [], [], []
    due = sorted(pages)
    for second in range(600 + 10 * bundle_s):
        now = NOW + timedelta(seconds=second)
        while due and due[0][0] <= second:
            waiting[len(waiting) + len(sent)] = due.pop(0)
        for number in sorted(waiting):
            if number not in waiting or hold.get(number, now) > now:
                continue
            _, component = waiting[number]
            way = course(component, gone, bundle_s, now)
            if way.wait_until is not None:
                hold[number] = way.wait_until
                continue
            going = [n for n, (_, c) in waiting.items() if way.every_component or c == component]
            gone.append(Gone(now, component))
            sent += going
            delays += [second - waiting.pop(n)[0] for n in going]
    assert not waiting and len(sent) == len(pages) == len(set(sent))
    assert max(delays) <= bundle_s + 1
    for first in gone:
        assert sum(1 for one in gone if timedelta() <= one.at - first.at < timedelta(seconds=bundle_s)) <= 5


def test_words_count_alerts_not_messages_and_cut_what_is_too_long():
    lines = [Line(n // 2, f"[CRITICAL] failing {n}", "Payments", "https://x/") for n in range(60)]
    assert bundling.subject(lines, pages=True) == "30 alerts on Payments: [CRITICAL] failing 0"
    assert bundling.subject([*lines, Line(99, "x", "Journal", "")], pages=True).startswith(
        "31 alerts on 2 components"
    )
    assert "… and 40 more in the portal." in bundling.body(lines)
    assert bundling.subject(lines[:2], pages=False) == "1 notice on Payments: [CRITICAL] failing 0"
