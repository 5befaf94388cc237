import pytest

from apps.core.severity import (
    RANK,
    RecordSeverity,
    Severity,
    UnknownSeverity,
    parse_severity,
    record_severity,
    scale_severity,
    severity_of,
)


@pytest.mark.parametrize(
    ("words", "severity", "record"),
    [
        (("CRITICAL", "Critical", "SEV1", "fatal", " critical "), "critical", "Critical"),
        (("high", "Major", "SEV2", "error", "ERROR"), "error", "Major"),
        (("medium", "WARNING", "warn", "Minor", "SEV3"), "warning", "Minor"),
        (("info", "low", "SEV4", "debug"), "info", "Minor"),
    ],
)
def test_every_word_of_the_brief_means_one_severity(words, severity, record):
    for word in words:
        assert severity_of(word) == severity
        assert record_severity(parse_severity(word)) == record


@pytest.mark.parametrize(
    "word", ["", "catastrophic", "sev5", None, 1, True, ["critical"], {"a": 1}, "critical\0"]
)
def test_an_unknown_word_is_refused_and_the_allowed_ones_are_named(word):
    assert severity_of(word) is None
    with pytest.raises(UnknownSeverity, match="Critical, Major, Minor") as caught:
        parse_severity(word, "items[3].severity")
    assert (caught.value.field, caught.value.status) == ("items[3].severity", 400)


def test_weights_are_those_of_the_brief():
    assert [severity.weight for severity in RecordSeverity] == [5, 3, 1]


def test_the_record_scale_survives_the_way_through_the_other_and_ranks_cover_it():
    assert all(record_severity(scale_severity(severity)) == severity for severity in RecordSeverity)
    assert sorted(RANK, key=RANK.get) == list(Severity)
