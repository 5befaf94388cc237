import pytest

from apps.core.refusal import Refused
from apps.projects.event_id import parse_event_id

PLAIN = "9ec79c33ec9942ab8353589fcb2e04dc"


@pytest.mark.parametrize("form", [PLAIN, PLAIN.upper(), "9ec79c33-ec99-42ab-8353-589fcb2e04dc"])
def test_both_forms_of_an_id_are_one_id(form):
    assert parse_event_id(form) == PLAIN


@pytest.mark.parametrize("missing", [None, "", "0" * 32, "00000000-0000-0000-0000-000000000000"])
def test_no_id_and_the_nil_id_are_none(missing):
    assert parse_event_id(missing) is None


@pytest.mark.parametrize(
    "wrong",
    [PLAIN[:-1], PLAIN + "0", "g" * 32, "../../../../../../../../etc/pass", "{" + PLAIN + "}", PLAIN + "\n", "٠" * 32,
     "urn:uuid:" + PLAIN, "9ec79c33ec99-42ab-8353-589fcb2e04dc", 5, 5.0, True, [PLAIN], {"a": 1}, "\0" * 32],
)  # fmt: skip
def test_anything_else_is_refused_and_never_repeated(wrong):
    with pytest.raises(Refused) as caught:
        parse_event_id(wrong, "items[0].event_id")
    assert (caught.value.code, caught.value.field) == ("invalid_event_id", "items[0].event_id")
    assert str(wrong) not in caught.value.message
