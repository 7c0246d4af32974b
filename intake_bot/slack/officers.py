"""Who may do what: the people and user groups that the settings name, without guests, strangers and those who left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from intake_bot.casework.desk import Actor
from intake_bot.slack.client import UNREACHABLE_USER, error_code

REMEMBERED = timedelta(minutes=5)
_SHUT_OUT = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")


class Role(StrEnum):
    """What somebody is at the desk, the most entitled first."""

    MANAGER = "manager"
    OFFICER = "officer"
    SUPPORT = "support"
    READER = "reader"


_SUPPORTS = frozenset(
    {"view", "note", "meeting", "action", "close_action", "strand", "regulator", "facts", "link", "queue"}
    | {"rota", "away"}
)
_MANAGES = frozenset({"figures"})
_READS = frozenset({"view", "queue", "rota"})


def allows(role: Role, what: str) -> bool:
    """Whether somebody in this role may do that: managers all, officers all but figures, and so on down."""
    match role:
        case Role.MANAGER:
            return True
        case Role.OFFICER:
            return what not in _MANAGES
        case Role.SUPPORT:
            return what in _SUPPORTS
        case Role.READER:
            return what in _READS


class Officers:
    """Asks Slack about each person and group that the settings name, and remembers the answers for a few minutes."""

    def __init__(
        self, named: Mapping[Role, frozenset[str]], client: AsyncWebClient, now: Callable[[], datetime]
    ) -> None:
        """``named``: user ids (U...), TEAM/USER, or user groups (S...), by role."""
        self._named = named
        self._client = client
        self._now = now
        self._known: dict[str, tuple[bool, datetime]] = {}
        self._groups: dict[str, tuple[frozenset[str], datetime]] = {}

    async def may(self, actor: Actor, what: str) -> bool:
        """Raises what the Web API raises: who cannot be checked may not act yet, and nothing of theirs is acknowledged."""
        role = await self.role(actor)
        return role is not None and allows(role, what)

    async def role(self, actor: Actor) -> Role | None:
        """The most entitled role of somebody, or None for whoever has none. Raises as :meth:`may`."""
        user = actor.id.rpartition("/")[2]
        if actor.kind != "slack":
            return None
        for role in Role:
            if await self._is_named(self._named.get(role, frozenset()), user, actor.id):
                return role if await self._is_full_member(user) else None
        return None

    async def _is_named(self, named: frozenset[str], user: str, identity: str) -> bool:
        if named & {user, identity}:
            return True
        for group in sorted(one for one in named if one.startswith("S")):
            if user in await self._members(group):
                return True
        return False

    async def _members(self, group: str) -> frozenset[str]:
        members, at = self._groups.get(group, (frozenset(), None))
        if at is None or self._now() - at > REMEMBERED:
            answer = await self._client.usergroups_users_list(usergroup=group)
            members = frozenset(answer["users"])
            self._groups[group] = (members, self._now())
        return members

    async def _is_full_member(self, user: str) -> bool:
        known, at = self._known.get(user, (False, None))
        if at is None or self._now() - at > REMEMBERED:
            known = await self._looked_up(user)
            self._known[user] = (known, self._now())
        return known

    async def _looked_up(self, user: str) -> bool:
        try:
            answer = await self._client.users_info(user=user)
        except SlackApiError as error:
            if error_code(error) in UNREACHABLE_USER:
                return False
            raise
        facts = answer["user"]
        return not any(facts.get(fact) for fact in _SHUT_OUT)
