"""The one guarded way out: channels, checks and monitors reach other machines through here and nowhere else.

The name is resolved once, every address is checked, and the connection goes to the checked address with
Host and SNI kept: resolving again later would be the DNS-rebinding hole. No redirects, no proxies, a total
deadline, a capped answer.
"""

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Address = IPv4Address | IPv6Address
PORTS = frozenset({80, 443, 8080, 8443})
# Not even an allow list opens these: instance metadata hands out credentials.
METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16",
                     "fd00:ec2::254"))
)  # fmt: skip
# What is_global passes in some Python version or other, though nothing public lives there.
DENIED = tuple(
    map(ip_network, (
        "0.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "192.0.0.0/24",
        "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fc00::/7", "fe80::/10",
        "fec0::/10", "ff00::/8",
    ))
)  # fmt: skip
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
_PLAIN = re.compile(r"[!-~]+")
_resolver = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")


class OutboundRefused(Exception):
    """The address may not be reached from here; trying again changes nothing."""


class Unreachable(Exception):
    """No answer. `sent` says whether the request may have arrived all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers with lower-case names, at most the cap's bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def request(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
    timeout_s: float = 10, cap: int = 65_536,
) -> Answer:  # fmt: skip
    """One request within `timeout_s` seconds altogether. OutboundRefused or Unreachable instead of an answer."""
    ends = monotonic() + timeout_s
    parts = checked_url(url)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    addresses = _checked_addresses(host, port, ends)
    sock = _connect(addresses, port, ends)
    with _cut_off(sock, ends):
        try:
            if parts.scheme == "https":
                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        except OSError as error:
            raise Unreachable(f"TLS with {host}: {error}", sent=False) from error
        return _exchange(sock, method, parts, host, port, dict(headers or {}), body, cap)


def checked_url(url: str) -> SplitResult:
    """The parts of a usable address; OutboundRefused says what is wrong with it. Also for forms."""
    if not _PLAIN.fullmatch(url) or "\\" in url:
        raise OutboundRefused("The address must be plain ASCII without spaces or backslashes.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OutboundRefused(f"The address cannot be read: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OutboundRefused("The address must begin with https:// or http:// and name a host.")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise OutboundRefused("The address must not contain a user or password.")
    if (
        port is not None
        and port not in PORTS
        and not _host_allowed(parts.hostname)
        and not _literal_allowed(parts)
    ):
        raise OutboundRefused(f"Port {port} is not among {sorted(PORTS)} (OUTBOUND_ALLOW names exceptions).")
    return parts


def public(address: Address) -> bool:
    """Whether an address is on the public internet, the IPv4 address inside tunnelling forms included."""
    inner = _inner(address)
    if inner is not None and not public(inner):
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return True
    denied = any(address in network for network in DENIED if network.version == address.version)
    return address.is_global and not address.is_multicast and not address.is_reserved and not denied


def _inner(address: Address) -> IPv4Address | None:
    if not isinstance(address, IPv6Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _allowed_networks() -> Iterator[str]:
    return (entry for entry in settings.OUTBOUND_ALLOW if "/" in entry or _as_address(entry))


def _as_address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _host_allowed(host: str) -> bool:
    return host.lower() in {entry.lower() for entry in settings.OUTBOUND_ALLOW}


def _literal_allowed(parts: SplitResult) -> bool:
    address = _as_address(str(parts.hostname))
    if address is None:  # a name may lead into an allowed network: judged again once the addresses are known
        return any(True for _ in _allowed_networks())
    return _in_allowed_network(address)


def _in_allowed_network(address: Address) -> bool:
    plain = _inner(address) if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    networks = [ip_network(entry, strict=False) for entry in _allowed_networks()]
    return any(plain in network for network in networks if plain and network.version == plain.version)


def may_reach(host: str, port: int, address: Address) -> bool:
    """Public addresses on the usual ports; others only where OUTBOUND_ALLOW says so; metadata never."""
    if address in METADATA or _inner(address) in METADATA:
        return False
    if _host_allowed(host) or _in_allowed_network(address):
        return True
    return port in PORTS and public(address)


def _checked_addresses(host: str, port: int, ends: float) -> list[Address]:
    """All addresses of the name, resolved once. One that is not allowed refuses them all."""
    try:
        waiting = _resolver.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = waiting.result(timeout=max(0.1, ends - monotonic()))
    except (OSError, UnicodeError) as error:  # TimeoutError of the future is an OSError
        raise Unreachable(
            f"{host} could not be resolved: {error or 'no answer in time'}", sent=False
        ) from error
    addresses = list(dict.fromkeys(ip_address(str(entry[4][0]).split("%")[0]) for entry in found))
    refused = [a for a in addresses if not may_reach(host, port, a)]
    if refused or not addresses:
        raise OutboundRefused(
            f"{host} leads to {refused[0] if refused else 'nowhere'}, which may not be reached."
        )
    return addresses


def _connect(addresses: list[Address], port: int, ends: float) -> socket.socket:
    last: OSError | None = None
    for address in addresses[:4]:
        try:
            return socket.create_connection((str(address), port), timeout=max(0.1, ends - monotonic()))
        except OSError as error:
            last = error
    raise Unreachable(f"{addresses[0]} port {port}: {last}", sent=False)


@contextmanager
def _cut_off(sock: socket.socket, ends: float) -> Iterator[None]:
    """Socket time-outs count each read anew; a sender that drips bytes would hold us for ever without this."""
    number = socket.socket(fileno=socket.dup(sock.fileno()))

    def cut() -> None:
        with suppress(OSError):  # closed by the other side, or by us a moment ago
            number.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.1, ends - monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        number.close()
        sock.close()


def _exchange(
    sock: socket.socket, method: str, parts: SplitResult, host: str, port: int, headers: dict[str, str],
    body: bytes, cap: int,
) -> Answer:  # fmt: skip
    usual = port == (443 if parts.scheme == "https" else 80)
    name = f"[{host}]" if ":" in host else host
    headers = {"Host": name if usual else f"{name}:{port}", "User-Agent": "reliability-portal", **headers}
    connection = http.client.HTTPConnection(host, port)
    connection.auto_open = 0
    connection.sock = sock
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, path, body=body or None, headers={**headers, "Connection": "close"})
        response = connection.getresponse()
        held = {k.lower(): v for k, v in response.getheaders()}
        return Answer(response.status, held, _read(response, cap))
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{host}: {error or type(error).__name__}", sent=True) from error
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, cap: int) -> bytes:
    """The status is what counts: a body that breaks off does not undo it."""
    try:
        return response.read(cap)
    except (OSError, http.client.HTTPException):
        return b""
