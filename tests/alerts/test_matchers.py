"""Matchers: what they mean, what they refuse, and that no pattern takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.alerts.suppression import matchers, patterns
from apps.alerts.suppression.matchers import Matcher, MatcherRefused

LABELS = {"component": "Payments", "severity": "critical", "host": "db-1"}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{component="Payments"}', True),
        ('component="payments"', False),
        ('{component=~"(?i)pay.*", severity!="warning"}', True),
        ('{component=~"Pay"}', False),  # the whole value must match
        ('{host=~"db-\\d+"}', True),
        ('{host!~"db-[2-9]"}', True),
        ('{host!~"db-[1-9]"}', False),
        ('{zone=""}', True),  # a missing label equals an empty one
        ('{zone!=""}', False),
        ('{severity=~"critical|error", component=Payments}', True),
        ("{}", True),
    ],
)
def test_a_set_of_matchers_fits_when_all_of_them_hold(text, fits):
    assert matchers.fits(matchers.parse(text), LABELS) is fits


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{component="a" severity="b"}', 'component="a"'),
        ('{component>"a"}', "component>"),
        ('{component="a}', "component="),
        ("{component=}", "component="),
        ('{9lives="a"}', "9lives"),
        ('{host=~"db("}', 'host=~"db("'),
        ('{host=~"a{5,2}"}', "host=~"),
        ('{host=~"(?=a)"}', "host=~"),
        ('{host=~"(a)\\1"}', "host=~"),
        ('{host=~"*a"}', "host=~"),
        ('{host=~"[z-a]"}', "host=~"),
        ('{host=~"((a{100}){100}){100}"}', "too large"),
        ('{host=~"' + "(" * 50 + "a" + ")" * 50 + '"}', "nested"),
        ('{host=~"' + "a" * 201 + '"}', "longer than 200"),
        ("{" + ", ".join(f'a{n}="1"' for n in range(21)) + "}", "At most 20"),
        ("x" * 2001, "Longer than 2000"),
    ],
)
def test_a_refusal_names_the_matcher(text, named):
    with pytest.raises(MatcherRefused) as refusal:
        matchers.parse(text)
    assert named in str(refusal.value)


@given(
    st.lists(
        st.builds(
            Matcher,
            st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True),
            st.sampled_from(["=", "!="]),
            st.text(max_size=30).filter(lambda text: "\r" not in text),
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read_back(found):
    assert matchers.parse(matchers.write(found)) == tuple(found)


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "\\d", "\\w", "x", "\\.", "-"])


def joined(inner):
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}", "{2}", "{1,}"])).map(
            lambda p: f"({p[0]}){p[1]}"
        ),
    )


@given(
    st.recursive(ATOMS, joined, max_leaves=6),
    st.lists(st.text("ab1x.-\n", max_size=6), min_size=1, max_size=10),
)
def test_patterns_mean_what_pythons_own_mean(pattern, values):
    ours, theirs = patterns.Pattern(pattern), re.compile(pattern)
    assert [ours.fits(value) for value in values] == [bool(theirs.fullmatch(value)) for value in values]


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(.*)(.*)(.*)(.*)(.*)(.*)b", "(a?){90}a{90}"])
def test_the_steps_of_a_hostile_pattern_are_bounded_by_states_times_text(pattern, monkeypatch):
    read = patterns.Pattern(pattern)
    steps = 0

    def counted(test):
        def asked(character):
            nonlocal steps
            steps += 1
            return test(character)

        return test and asked

    read._net.tests = [counted(test) for test in read._net.tests]
    assert not read.fits("a" * 5000)
    assert 0 < steps <= patterns.LONGEST_VALUE * patterns.MOST_STATES
