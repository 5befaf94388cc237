"""Without a broker and without any worker, cron alone pages."""

import pytest
from aiosmtpd.controller import Controller

from tests.alerts.receivers import Sink
from tests.core.processes import environment, free_port, make_data_dir
from tests.loop.portal import Portal

FIRE = """
from django.contrib.auth.models import User
from apps.alerts.models import EscalationPolicy, EscalationStep
from apps.alerts.services import Fired, trigger
from apps.core.ticks import database_now
from apps.projects.models import Project
alice = User.objects.create(username="alice", email="alice@example.org")
policy = EscalationPolicy.objects.create(name="All", fallback_user=alice)
EscalationStep.objects.create(policy=policy).users.add(alice)
shop = Project.objects.create(name="Shop", slug="shop")
trigger(fired=Fired("k", "Payments are failing", "critical", shop, policy=policy), now=database_now())
"""


@pytest.fixture
def sink():
    controller = Controller(Sink(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller
    controller.stop()


@pytest.mark.fault
def test_with_the_broker_and_all_workers_gone_the_tick_command_still_pages(sink):
    with make_data_dir() as data:
        nowhere = f"redis://127.0.0.1:{free_port()}/0"
        variables = environment(
            data, REDIS_URL=nowhere, SMTP_HOST="127.0.0.1", SMTP_PORT=str(sink.port), SMTP_TLS="false"
        )
        data.mkdir()
        portal = Portal(data, 0, variables, None)
        portal.manage("migrate", "--no-input", "--verbosity", "0")
        portal.manage("shell", "--verbosity", "0", "-c", FIRE)
        assert not portal.pids("valkey-server") and not portal.named("portal-worker")
        said = portal.manage("tick")
        (mail,) = sink.handler.envelopes
        assert mail.rcpt_tos == ["alice@example.org"] and b"Payments are failing" in mail.content
        assert "1 steps, 1 pages" in said and "1 sent" in said
