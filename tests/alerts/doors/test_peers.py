"""Two peers send the same at the same moment, while people acknowledge: one alert each, and nothing is lost."""

import threading
from datetime import datetime

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from apps.alerts import services
from apps.alerts.models import Alert, Escalation, Occurrence
from apps.alerts.services import Act
from apps.incidents.models import Incident
from tests.alerts.doors.make import am_alert, am_body, make_paging

GROUP = [am_alert(host=str(n)) for n in range(6)]
OVER = [am_alert("resolved", ends=30, host=str(n)) for n in range(6)]


def acknowledge_all():
    for alert in Alert.objects.filter(state="triggered"):
        services.acknowledge(alert=alert, act=Act("alice", timezone.now()))


@pytest.mark.django_db(transaction=True)
def test_what_two_peers_send_at_once_is_one_alert_each_and_ends_once():
    _, key = make_paging(now=datetime.now().astimezone())
    url = f"/api/integrations/alertmanager/{key}/"
    said, barrier = [], threading.Barrier(4)

    def send(*bodies):
        barrier.wait()
        for body in bodies:
            said.append(Client().post(url, am_body(*body), "application/json").status_code)
        connections.close_all()

    def act():
        barrier.wait()
        for _ in range(5):
            acknowledge_all()
        connections.close_all()

    work = [
        (send, (GROUP, OVER)),
        (send, (GROUP[::-1], OVER[::-1])),
        (send, (GROUP[::2] + OVER[1::2],)),
        (act, ()),
    ]
    threads = [threading.Thread(target=target, args=args) for target, args in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [200] * 5
    # An end that came before its beginning opens nothing: that of the third sender may, for every other host.
    keys = Alert.objects.values("dedup_key").distinct().count()
    assert 3 <= keys == Alert.objects.count() <= 6
    assert (Alert.objects.open().count(), Occurrence.objects.count()) == (0, 6)
    assert set(Escalation.objects.values_list("state", flat=True)) == {"stopped"}
    assert set(Incident.objects.values_list("open_alerts", flat=True)) == {0}
