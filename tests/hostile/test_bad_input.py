"""Every door × every bad input, on a real server: refused by name in the one form, and nobody else is harmed."""

import pytest

from tests.hostile.inputs import BODIES, ENVELOPES, GOOD, HEADS, ODD_HEADS, PATHS
from tests.hostile.wire import OTHER_KEY, Answer, exchange, is_well, post

KNOWN = ("type", "title", "status", "detail", "instance", "code", "message", "details", "requestId")


def refused(answer: Answer, status: int, code: str, field: str | None = None) -> None:
    """The one form, whole."""
    assert answer.status == status, answer
    said = answer.json
    assert tuple(said) == KNOWN
    assert answer.headers["content-type"] == "application/problem+json"
    assert (said["status"], said["code"], said["detail"]) == (status, code, said["message"])
    assert said["requestId"] == answer.headers["x-request-id"] == said["instance"].removeprefix("urn:uuid:")
    assert said["message"]
    if field is not None:
        assert [d["field"] for d in said["details"]] == [field]


@pytest.mark.parametrize("what", BODIES)
def test_a_bad_body_is_refused_at_every_door_by_the_field_that_is_wrong(portal, what):
    bad = BODIES[what]
    for door in bad.doors:
        refused(post(portal.port, PATHS[door], bad.body, *bad.headers), *bad.answer_of(door))
    assert is_well(portal.port)


@pytest.mark.parametrize("what", ENVELOPES)
def test_a_bad_envelope_is_refused_by_the_part_that_is_wrong(portal, what):
    body, code, field = ENVELOPES[what]
    refused(post(portal.port, PATHS["envelope"], body), 400, code, field)
    assert is_well(portal.port)


@pytest.mark.parametrize("what", HEADS)
def test_a_bad_head_is_refused_at_every_door(portal, what):
    """What the server refuses before any application runs has a status and no body."""
    request, status, code = HEADS[what]
    for door, path in PATHS.items():
        answer = exchange(
            portal.port, request(path.encode(), GOOD[door]), then_leave=code in ("", "truncated")
        )
        if code:
            refused(answer, status, code)
        else:
            assert (answer.status, answer.body, answer.headers["connection"]) == (status, b"", "close"), (
                answer
            )
    assert is_well(portal.port)


@pytest.mark.parametrize("what", ODD_HEADS)
def test_an_odd_head_around_a_good_body_is_taken(portal, what):
    for door, path in PATHS.items():
        answer = exchange(portal.port, ODD_HEADS[what](path.encode(), GOOD[door]))
        assert answer.status in (200, 201, 202), (door, answer)
    assert is_well(portal.port)


def test_bytes_that_are_no_request_at_all(portal):
    for sent in (
        b"\x16\x03\x01\x02\0\x01\0",
        b"\0" * 1000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(20),
        b"\xff" * 99,
        b"",
    ):
        assert exchange(portal.port, sent, then_leave=True).status in (0, 400)
    assert is_well(portal.port)


# --- Whose key ----------------------------------------------------------------------------------------------------
KEYS = {
    "none": b"",
    "unknown": b"X-Sentry-Auth: Sentry sentry_key=" + b"e" * 32,
    "short": b"X-Sentry-Auth: Sentry sentry_key=abc",
    "of 60 kB": b"X-Sentry-Auth: Sentry sentry_key=" + b"a" * 60_000,
    "not ASCII": b"X-Sentry-Auth: Sentry sentry_key=" + b"\xff" * 32,
    "an injection": b"X-Sentry-Auth: Sentry sentry_key=' OR 1=1 --",
    "Basic": b"Authorization: Basic bWFsbG9yeTp4",
}


@pytest.mark.parametrize("what", KEYS)
def test_every_key_that_is_none_gets_one_constant_answer_at_every_door(portal, what):
    for door, path in PATHS.items():
        body = GOOD["envelope"] if door == "tunnel" else GOOD[door]  # without its own key
        answer = post(portal.port, path, body, auth=KEYS[what])
        refused(answer, 401, "not_authenticated", "sentry_key")
        assert answer.json["message"] == "sentry_key: a valid project key is required"
        assert "www-authenticate" in answer.headers


@pytest.mark.parametrize("project", ["2", "999999999999999999", "0", "01"])
def test_a_key_opens_its_own_project_only(portal, project):
    other = f"X-Sentry-Auth: Sentry sentry_key={OTHER_KEY}".encode()
    auth = (other,) if project == "01" else ()
    for endpoint in ("envelope", "store"):
        answer = post(
            portal.port, f"/api/{project}/{endpoint}/", GOOD[endpoint], **({"auth": auth[0]} if auth else {})
        )
        refused(answer, 403, "wrong_project", "project")


@pytest.mark.parametrize(
    "project", ["9999999999999999999", "-1", "1.0", "1e0", "%31%30x", "١", "*", "..", "1%2f..", " "]
)
def test_a_project_that_is_no_number_is_no_door(portal, project):
    path = f"/api/{project}/envelope/".replace(" ", "%20")
    answer = post(portal.port, path, GOOD["envelope"])
    refused(answer, 404, "not_found")


def test_a_key_of_another_project_stores_nothing_in_this_one(portal):
    """The JSON doors name no project: the key decides, so the other project gets its own event."""
    other = f"Authorization: Bearer {OTHER_KEY}".encode()
    for door in ("errors", "client", "batch", "track"):
        assert post(portal.port, PATHS[door], GOOD[door], auth=other).status in (200, 201, 202)
