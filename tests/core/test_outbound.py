"""The guarded client against what it must refuse, and over real sockets."""

import socket
import ssl
import threading
import time
from ipaddress import ip_address

import pytest

from apps.core import outbound
from apps.core.outbound import OutboundRefused, Unreachable, checked_url, may_reach, public, request
from tests.alerts.receivers import Receiver, free_port


@pytest.fixture
def loopback(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]


@pytest.fixture(autouse=True)
def nothing_private(settings):
    settings.OUTBOUND_ALLOW = []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "168.63.129.16", "192.0.0.192", "192.88.99.1", "198.18.0.1", "255.255.255.255",
        "240.0.0.1",
        "203.0.113.9", "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "fe80::1",
        "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address):
    assert not public(ip_address(address))
    assert not may_reach("example.org", 443, ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_what_is_public_is_reached_on_the_usual_ports_only(address):
    assert may_reach("example.org", 443, ip_address(address))
    assert not may_reach("example.org", 25, ip_address(address))


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "168.63.129.16"]
)
def test_no_allow_list_opens_instance_metadata(address, settings):
    settings.OUTBOUND_ALLOW = ["0.0.0.0/0", "::/0", "metadata.internal"]
    assert not may_reach("metadata.internal", 80, ip_address(address))
    assert may_reach("db.internal", 5000, ip_address("10.0.0.1"))


@pytest.mark.parametrize(
    ("entry", "host", "address", "reached"),
    [
        ("10.0.0.0/8", "x", "10.9.9.9", True), ("10.0.0.0/8", "x", "::ffff:10.9.9.9", True),
        ("10.0.0.0/8", "x", "192.168.0.1", False), ("10.0.0.7", "x", "10.0.0.7", True),
        ("hooks.internal", "hooks.internal", "192.168.0.1", True),
        ("hooks.internal", "HOOKS.internal", "10.0.0.1", True),
        ("hooks.internal", "evil.hooks.internal", "10.0.0.1", False), ("fd12::/16", "x", "fd12::9", True),
    ],
)  # fmt: skip
def test_private_targets_are_reached_by_network_or_by_host(entry, host, address, reached, settings):
    settings.OUTBOUND_ALLOW = [entry]
    assert may_reach(host, 9999, ip_address(address)) is reached


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "//example.org/", "file:///etc/passwd", "gopher://example.org/", "http://", "http:///x",
        "https://user@example.org/", "https://u:p@example.org/", "https://example.org\\@evil.org/",
        "https://exa mple.org/", "https://example.org/\r\nHost: evil", "https://exämple.org/", "https://[::1/",
        "https://example.org:99999/", "https://example.org:22/", "https://@example.org/",
    ],
)  # fmt: skip
def test_an_address_that_is_not_plain_is_refused(url):
    with pytest.raises(OutboundRefused):
        checked_url(url)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0x7f000001", "2130706433", "127.1", "0"]
)
def test_loopback_is_refused_however_it_is_written(host):
    with Receiver() as receiver, pytest.raises((OutboundRefused, Unreachable)):
        request("GET", f"http://{host}:{receiver.server.server_port}/")
    assert receiver.requests == []


def test_one_private_address_among_public_ones_refuses_the_name(monkeypatch):
    found = [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(OutboundRefused, match=r"10\.0\.0\.1"):
        request("GET", "https://example.org/")


def test_the_name_is_resolved_once_and_the_checked_address_is_the_one_connected_to(monkeypatch, loopback):
    """Rebinding: the second answer of the name server would lead elsewhere."""
    with Receiver() as receiver:
        port, asked = receiver.server.server_port, []

        def resolve(host, *_, **__):
            asked.append(host)
            return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "10.0.0.1", port))]

        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda h, *a, **k: resolve(h) if h == "rebind.test" else real(h, *a, **k)
        )
        assert request("POST", f"http://rebind.test:{port}/x", body=b"{}").status == 200
    assert asked == ["rebind.test"]
    ((_, headers, _),) = receiver.requests
    assert headers["Host"] == f"rebind.test:{port}"


def test_a_redirect_is_an_answer_and_is_not_followed(loopback):
    with Receiver() as inside, Receiver((302, {"Location": f"{inside.url}/secret"}, b"")) as outside:
        assert request("GET", outside.url + "/").status == 302
    assert inside.requests == [] and len(outside.requests) == 1


def test_a_proxy_of_the_environment_is_not_used(loopback, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with Receiver() as receiver:
        assert request("GET", receiver.url + "/").status == 200


def test_an_answer_is_cut_at_the_cap(loopback):
    with Receiver((200, {}, b"x" * 100_000)) as receiver:
        assert len(request("GET", receiver.url + "/", cap=1000).body) == 1000


def test_nobody_there_was_not_sent_and_silence_after_it_may_have_been(loopback):
    with pytest.raises(Unreachable) as away:
        request("GET", f"http://127.0.0.1:{free_port()}/")
    assert not away.value.sent
    with Receiver(1) as receiver, pytest.raises(Unreachable) as silent:
        request("POST", receiver.url + "/", body=b"{}", timeout_s=0.3)
    assert silent.value.sent


def test_a_sender_that_drips_bytes_does_not_hold_us_beyond_the_deadline(loopback):
    port, ended = free_port(), threading.Event()
    listening = socket.create_server(("127.0.0.1", port))

    def drip():
        peer, _ = listening.accept()
        with peer:
            peer.recv(1000)
            try:
                while not ended.wait(0.05):
                    peer.sendall(b"H")
            except OSError:
                pass

    threading.Thread(target=drip, daemon=True).start()
    begun = time.monotonic()
    with listening, pytest.raises(Unreachable):
        request("GET", f"http://127.0.0.1:{port}/", timeout_s=0.5)
    ended.set()
    assert time.monotonic() - begun < 10  # not for ever; how fast is not the question


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(loopback, tmp_path):
    port = free_port()
    listening = socket.create_server(("127.0.0.1", port))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    got = []

    def serve():
        peer, _ = listening.accept()
        try:
            with context.wrap_socket(peer, server_side=True) as secure:
                got.append(secure.recv(1000))
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listening, pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED") as refused:
        request("POST", f"https://localhost:{port}/", body=b"secret", timeout_s=5)
    thread.join(5)
    assert not refused.value.sent and b"secret" not in b"".join(got)


def self_signed(folder):
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert, private


def test_an_address_in_the_settings_that_is_nonsense_allows_nothing(settings):
    settings.OUTBOUND_ALLOW = ["not a network"]
    assert outbound.may_reach("x", 443, ip_address("8.8.8.8"))
    assert not outbound.may_reach("x", 443, ip_address("10.0.0.1"))
