"""Suppression in the admin and over the API."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from apps.alerts.models import Alert, AlertSuppression, Suppression
from apps.audit.models import AuditEvent

from .make import make_alert, make_policy, make_user
from .make_suppression import kinds_of, make_silence, run_of

pytestmark = pytest.mark.django_db
ADD = "admin:alerts_suppression_add"


def signed_in(client, role="Responder"):
    user = make_user("bob")
    user.is_staff = True
    user.save()
    user.groups.set([Group.objects.get(name=role)])
    client.force_login(user)
    return client


def firing(**facts):
    return make_alert(make_policy((0, make_user("alice"))), now=timezone.now(), **facts)


def written(**facts):
    now = timezone.now()
    given = {
        "kind": "silence", "matchers": '{component="Payments"}', "reason": "New database", "repeats": "once",
        "zone": "UTC",
        "starts_at_0": f"{now:%Y-%m-%d}", "starts_at_1": "00:00:00",
        "ends_at_0": f"{now + timedelta(days=1):%Y-%m-%d}", "ends_at_1": "23:00:00",
    }  # fmt: skip
    return {**given, **facts}


def test_a_responder_writes_a_silence_that_counts_at_once_and_is_audited(client):
    alert = firing()
    answer = signed_in(client).post(reverse(ADD), written())
    assert answer.status_code == 302, answer.context["errors"]
    assert (kinds_of(alert), run_of(alert).state) == (["silence"], "paused")
    event = AuditEvent.objects.get(action="suppression.create")
    assert (event.actor_label, event.reason) == ("bob", "New database")


def test_a_preview_shows_what_would_be_muted_and_when_and_saves_nothing(client):
    firing()
    answer = signed_in(client).post(reverse(ADD), written(_preview="1"))
    assert "1 open alert would be suppressed now" in answer.text and "Payments are failing" in answer.text
    assert Suppression.objects.count() == 0
    answer = client.post(
        reverse(ADD),
        written(
            _preview="1",
            kind="maintenance",
            repeats="weekly",
            windows="Sun 02:00-04:00",
            ends_at_0="",
            ends_at_1="",
        ),
    )
    assert answer.text.count("until <time") == 5


def test_what_cannot_be_meant_is_refused_at_its_field_in_the_form(client):
    answer = signed_in(client).post(reverse(ADD), written(matchers='{host=~"("}', _preview="1"))
    assert "host=~" in str(answer.context["adminform"].form.errors["matchers"])
    answer = client.post(reverse(ADD), written(kind="maintenance", repeats="monthly", windows="<b>x"))
    assert "no window of a month" in str(answer.context["adminform"].form.errors["windows"])
    assert "<b>x" not in answer.text
    assert Suppression.objects.count() == 0


def test_an_edit_and_an_end_in_the_admin_take_effect_and_what_has_ended_is_a_record(client):
    alert = firing()
    silence = make_silence(now=timezone.now(), ends_at=timezone.now() + timedelta(hours=2))
    page = reverse("admin:alerts_suppression_change", args=[silence.pk])
    shown = signed_in(client).get(page)
    assert "1 open alert would be suppressed now" in shown.text
    assert client.post(page, written(matchers='component="Search"')).status_code == 302
    assert kinds_of(alert) == []
    client.post(page, written())
    assert kinds_of(alert) == ["silence"]
    client.post(reverse("admin:alerts_suppression_press", args=[silence.pk, "end"]))
    assert kinds_of(alert) == []
    assert client.post(page, written(reason="Again")).status_code == 403
    assert Suppression.objects.get().reason == "New database"


def test_a_viewer_writes_no_silence(client):
    assert signed_in(client, "Viewer").post(reverse(ADD), written()).status_code == 403
    alert = firing()
    press = reverse("admin:alerts_alert_press", args=[alert.pk, "silence"])
    assert client.post(press, {"confirmed": "1", "hours": "1", "reason": "x"}).status_code == 403
    assert Suppression.objects.count() == 0


def test_the_list_has_what_is_over_at_the_end(client):
    now = timezone.now()
    make_silence(now=now - timedelta(days=2), ends_at=now - timedelta(days=1), reason="Long over")
    make_silence(now=now - timedelta(days=3), ends_at=now + timedelta(days=1), reason="In force")
    text = signed_in(client).get(reverse("admin:alerts_suppression_changelist")).text
    assert text.index("In force</a>") < text.index("Long over</a>")


def test_an_alert_is_silenced_from_its_page_which_says_by_whom_and_why(client):
    alert = firing()
    press = reverse("admin:alerts_alert_press", args=[alert.pk, "silence"])
    assert "Shown beside every alert" in signed_in(client).post(press).text
    client.post(press, {"confirmed": "1", "hours": "0", "reason": "<i>Known</i>"})
    assert Suppression.objects.get().until_resolved
    text = client.get(reverse("admin:alerts_alert_change", args=[alert.pk])).text
    assert "Silenced by bob" in text and "&lt;i&gt;Known" in text and "<i>Known" not in text
    text = client.get(reverse("admin:alerts_alert_changelist")).text
    assert "&lt;i&gt;Known" in text and "(bob)" in text


def test_alerts_are_merged_taken_out_given_back_and_reopened_by_buttons(client):
    one, parent = firing(), firing()
    signed_in(client)

    def press(name, **facts):
        return client.post(reverse("admin:alerts_alert_press", args=[one.pk, name]), facts)

    press("merge", confirmed="1", parent=parent.pk)
    assert AlertSuppression.objects.get(lifted_at=None).parent == parent
    press("unmerge")
    assert kinds_of(one) == []
    states = []
    for name in ("acknowledge", "unacknowledge", "resolve", "reopen"):
        press(name)
        one.refresh_from_db()
        states.append((one.state, one.epoch))
    assert states == [("acknowledged", 1), ("triggered", 2), ("resolved", 2), ("triggered", 3)]


def test_the_api_says_what_is_suppressed_why_and_filters_by_it(client):
    muted, other = firing(), firing(component=None)
    Alert.objects.filter(pk=other.pk).update(title="Another")
    make_silence(
        'title="Payments are failing"', now=timezone.now(), ends_at=timezone.now() + timedelta(hours=1)
    )
    signed_in(client)
    found = client.get("/api/reliability/alerts", {"suppressed": "true"}).json()["results"]
    assert [one["id"] for one in found] == [muted.pk]
    assert (found[0]["suppressed"], found[0]["suppressedBy"][0]["by"], found[0]["suppressedBy"][0]["kind"]) == (
        True, "bob", "silence",
    )  # fmt: skip
    found = client.get("/api/reliability/alerts", {"suppressed": "false"}).json()["results"]
    assert [(one["id"], one["suppressedBy"]) for one in found] == [(other.pk, [])]
