"""What a node does: all of it, or a part where several nodes share one PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """A part of the service that a node may take on by itself. Monitoring is every node's own."""

    MAIL = "mail"  # takes mail in
    WORKER = "worker"  # reads, triages and files what came; delivers letters, cards and notices
    CLOCK = "clock"  # reminders, chasers, digests, keeping house, backups: one node at a time
    SLACK = "slack"  # the desk's connection: what officers press and write


ALL = frozenset(Role)


def parse(text: str) -> frozenset[Role]:
    """The roles that ``--only`` names, with commas between them. Raises ValueError with what to say."""
    try:
        found = frozenset(Role(name.strip()) for name in text.split(","))
    except ValueError:
        raise ValueError(f"--only names roles, with commas between them: {told(ALL)}") from None
    return found


def told(roles: Iterable[Role]) -> str:
    """In the order above, as ``--only`` takes it."""
    wanted = set(roles)
    return ",".join(role for role in Role if role in wanted)
