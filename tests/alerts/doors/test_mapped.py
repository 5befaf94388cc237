"""JSON of any form through a mapping, and what no mapping may do."""

import threading

import pytest
import time_machine
from django.db import connections
from django.test import Client

from apps.alerts.doors.events import RESOLVE, TRIGGER
from apps.alerts.doors.mapped import at_path, check_mapping, read
from apps.alerts.doors.once import forget_answers
from apps.alerts.models import Alert, InboundAnswer
from apps.core.refusal import Refused
from tests.alerts.doors.make import make_integration
from tests.alerts.make import NOW, at

MAPPING = {
    "title": "event.name", "key": "event.id", "state": "event.status", "severity": "event.tags.0.level",
    "component": "service", "sentence": "event.text", "url": "link",
}  # fmt: skip
BODY = {
    "service": "payments", "link": "https://example.org/7",
    "event": {"name": "Disk full", "id": 7, "status": "open", "text": "3 % left", "tags": [{"level": "high"}]},
}  # fmt: skip


def without(*path):
    from copy import deepcopy

    body = deepcopy(BODY)
    here = body
    for step in path[:-1]:
        here = here[step]
    del here[path[-1]]
    return body


def test_parts_are_read_where_the_mapping_says():
    event = read(BODY, MAPPING).events[0]
    assert (event.verb, event.key, event.title, event.sentence) == (TRIGGER, "7", "Disk full", "3 % left")
    assert (event.severity, event.component, event.source_url) == (
        "high",
        "payments",
        "https://example.org/7",
    )


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("OK", RESOLVE),
        (" resolved ", RESOLVE),
        (False, RESOLVE),
        (0, RESOLVE),
        (True, TRIGGER),
        ("bad", TRIGGER),
    ],
)
def test_the_state_decides_whether_it_is_over(word, verb):
    body = without("event", "status")
    body["event"]["status"] = word
    assert read(body, MAPPING).events[0].verb == verb


def test_ones_own_words_for_over_replace_the_usual_ones():
    assert read(BODY, {**MAPPING, "resolved_words": ["Open"]}).events[0].verb == RESOLVE


@pytest.mark.parametrize("path", [("event", "name"), ("event", "id"), ("event", "status")])
def test_a_part_that_is_needed_and_missing_is_named_by_its_path(path):
    with pytest.raises(Refused) as refused:
        read(without(*path), MAPPING)
    assert refused.value.field == ".".join(path)


def test_without_a_key_title_and_component_tell_alerts_apart():
    by = {"title": "event.name", "component": "service"}
    other = {**BODY, "service": "journal"}
    keys = [read(body, by).events[0].key for body in (BODY, BODY, other)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "mapping.title"), ([], "mapping"), ({"title": "a..b"}, "mapping.title"),
        ({"title": "$.a"}, "mapping.title"), ({"title": "a[0]"}, "mapping.title"),
        ({"title": "a", "key": "{{ 7 }}"}, "mapping.key"),
        ({"title": "a", "key": "a.b()"}, "mapping.key"), ({"title": "a", "more": "b"}, "mapping.more"),
        ({"title": ".".join("a" * 17)}, "mapping.title"), ({"title": 5}, "mapping.title"),
        ({"title": "a", "resolved_words": "ok"}, "mapping.resolved_words"),
    ],
)  # fmt: skip
def test_a_mapping_holds_dotted_paths_and_nothing_else(given, field):
    with pytest.raises(Refused) as refused:
        check_mapping(given)
    assert refused.value.field == field


def test_a_path_never_leaves_the_document():
    assert at_path({"a": "x"}, "a.__class__") is None
    assert at_path({"a": [1]}, "a.99999") is None
    assert at_path({"a": [1]}, "a.0") == 1


@pytest.mark.django_db
def test_over_http_a_body_makes_and_ends_an_alert(client):
    _, key = make_integration("json", mapping=MAPPING)
    url = f"/api/integrations/json/{key}"
    assert client.post(url, BODY, "application/json").json()["triggered"] == 1
    alert = Alert.objects.get()
    assert (alert.title, alert.severity) == ("Disk full", "error")
    over = without("event", "status")
    over["event"]["status"] = "closed"
    assert client.post(url, over, "application/json").json()["resolved"] == 1
    answer = client.post(url, without("event", "name"), "application/json")
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "event.name")


@pytest.mark.django_db
def test_over_the_limit_the_answer_is_429_with_the_seconds_to_wait(client):
    _, key = make_integration("json", mapping={"title": "t"}, limit_per_minute=1)
    said = [client.post(f"/api/integrations/json/{key}", {"t": "x"}, "application/json") for _ in range(2)]
    assert [answer.status_code for answer in said] == [200, 429]
    assert 1 <= int(said[1]["Retry-After"]) <= 60 and said[1].json()["code"] == "rate_limited"


# --- Once -------------------------------------------------------------------------------------------------------
def post_once(client, url, body, key=None):
    headers = {"Idempotency-Key": key} if key is not None else {}
    return client.post(url, body, "application/json", headers=headers)


@pytest.mark.django_db
def test_under_an_idempotency_key_a_retry_reads_the_first_answer_and_changes_nothing(client):
    _, key = make_integration("json", mapping={"title": "t"})
    url = f"/api/integrations/json/{key}/"
    with time_machine.travel(NOW, tick=False) as clock:
        first, again = (post_once(client, url, {"t": "x"}, "k-1") for _ in range(2))
        assert first.json() == again.json() == {**first.json(), "triggered": 1}
        assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")
        assert Alert.objects.get().count == 1
        other = post_once(client, url, {"t": "y"}, "k-1")
        assert (other.status_code, other.json()["code"]) == (422, "other_body")
        assert post_once(client, url, {"t": "x", "event_id": "k-2"}).json()["triggered"] == 1
        assert post_once(client, url, {"t": "x", "event_id": "k-2"})["Idempotent-Replayed"] == "true"
        _, peer = make_integration("json", mapping={"title": "t"})
        assert post_once(client, url.replace(key, peer), {"t": "z"}, "k-1").status_code == 200
        clock.shift(86_400)
        assert "Idempotent-Replayed" not in post_once(client, url, {"t": "x"}, "k-1")
        assert forget_answers(now=at(3 * 86_400)) == 3
    assert not InboundAnswer.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 256, 7, [], "a\tb"])
def test_a_key_that_cannot_be_one_is_refused_by_its_name(client, key):
    _, secret = make_integration("json", mapping={"title": "t"})
    answer = client.post(f"/api/integrations/json/{secret}/", {"t": "x", "event_id": key}, "application/json")
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "event_id")
    assert not Alert.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_with_one_key_one_has_the_effect_and_both_have_its_answer():
    _, secret = make_integration("json", mapping={"title": "t"})
    barrier, said = threading.Barrier(3), []

    def send():
        barrier.wait()
        said.append(post_once(Client(), f"/api/integrations/json/{secret}/", {"t": "x"}, "k-1").json())
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [said[0]] * 3 and said[0]["triggered"] == 1
    assert Alert.objects.get().count == 1
