"""Who may connect, with how many connections, and how many messages a minute.

A client that is turned away is always told 4xx: its mail stays with it. The list of networks is ours to keep right, and a
relay that was given a new address must not send a school's message back because nobody had told us.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
MAX_REMEMBERED = 10_000
"""Clients whose rate is remembered; beyond this the ones that have been quiet are forgotten."""
REMEMBERED_ADDRESSES = 4096
"""Client addresses that need not be parsed again: most mail comes from a few relays."""
_IPV6_PREFIX = 64
"""One subscriber's network: whoever has one IPv6 address there has them all."""


@dataclass(frozen=True, slots=True)
class ClientRules:
    """``networks`` beyond loopback may connect. ``relays`` are not limited one by one, since they speak for many."""

    networks: tuple[Network, ...] = ()
    relays: tuple[Network, ...] = LOOPBACK
    connections_each: int = 20
    messages_per_minute: int = 60


@dataclass(slots=True)
class _Allowance:
    """A bucket of messages, filled up as time goes by. ``at`` is in the clock's seconds."""

    left: float
    at: float


class Clients:
    """Who is connected and how much each has sent of late. ``clock`` gives seconds that never go back."""

    def __init__(self, rules: ClientRules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._connections: Counter[str] = Counter()
        self._allowances: dict[str, _Allowance] = {}

    def allowed(self, client: str) -> bool:
        """Whether the address may connect at all; loopback always may, and so may what is no IP address (a socket file)."""
        return is_within(client, (*LOOPBACK, *self._rules.networks))

    def arrive(self, client: str) -> bool:
        """Count a connection; False, and not counted, where the client has as many as it may."""
        who = _subscriber(client)
        if self._connections[who] >= self._rules.connections_each and not self._is_relay(client):
            return False
        self._connections[who] += 1
        return True

    def leave(self, client: str) -> None:
        """Undo one :meth:`arrive`."""
        who = _subscriber(client)
        self._connections[who] -= 1
        if self._connections[who] <= 0:
            del self._connections[who]

    def may_send(self, client: str) -> bool:
        """Take one message from the client's allowance, which a minute fills up again; False where it is used up."""
        if self._is_relay(client):
            return True
        now = self._clock()
        full = float(self._rules.messages_per_minute)
        who = _subscriber(client)
        allowance = self._allowances.get(who)
        if allowance is None:
            if len(self._allowances) >= MAX_REMEMBERED:
                self._forget_quiet(now)
            allowance = self._allowances[who] = _Allowance(full, now)
        allowance.left = min(full, allowance.left + (now - allowance.at) * full / 60)
        allowance.at = now
        if allowance.left < 1:
            return False
        allowance.left -= 1
        return True

    def _is_relay(self, client: str) -> bool:
        return is_within(client, self._rules.relays)

    def _forget_quiet(self, now: float) -> None:
        """After a minute of quiet an allowance is full, and as good as none; were all busy, all are forgotten."""
        self._allowances = {who: one for who, one in self._allowances.items() if now - one.at < 60}
        if len(self._allowances) >= MAX_REMEMBERED:
            self._allowances.clear()


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """CIDR networks or single addresses. Raises ValueError, naming the one that is none."""
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError:
            raise ValueError(f"{text!r} is no network such as 10.1.0.0/16 (its host bits must be zero)") from None
    return tuple(networks)


@lru_cache(maxsize=REMEMBERED_ADDRESSES)
def _address(client: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # A listener on :: sees IPv4 clients so.
        return address.ipv4_mapped
    return address


def is_within(client: str, networks: Iterable[Network]) -> bool:
    """Whether a client's address lies in one of the networks; what is no IP address is on this machine, and does."""
    address = _address(client)
    return address is None or any(address in network for network in networks)


@lru_cache(maxsize=REMEMBERED_ADDRESSES)
def _subscriber(client: str) -> str:
    """Whom to count: an IPv4 address, or an IPv6 address's /64."""
    address = _address(client)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _IPV6_PREFIX), strict=False))
    return str(address) if address is not None else ""
