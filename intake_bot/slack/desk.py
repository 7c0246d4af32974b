"""The duty desk in Slack, as casework's :class:`~intake_bot.casework.desk.Desk`: posts, updates, adopts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from intake_bot.casework.desk import Actor, Begun, CaseCard, DeliveryFailed, Direct, FileToSend, Notice, Posted
from intake_bot.slack.cards import card_blocks, card_fallback, notice_blocks, notice_text, section
from intake_bot.slack.client import ERASED, FAILURES, failure, make_client, tell_one
from intake_bot.slack.consult import direct_blocks, elsewhere
from intake_bot.slack.escape import mrkdwn
from intake_bot.slack.ports import SlackSettings

METADATA = "intake_bot_post"
_PAGE, _PAGES = 200, 10
"""How far back a post of ours is looked for: it was sent minutes ago, or as long as we were down."""
_TOLD, _LINE = 2000, 200
UPLOAD_SECONDS = 30
"""The desk waits for it, cards and all."""
DIRECT = "The designated officer's service has written to you."
"""All that a notification of a message to one person says."""


class SlackDesk:
    """Posts to the configured channel and to no other. Every method raises :class:`DeliveryFailed` when it fails."""

    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings
        self._client: AsyncWebClient = make_client(settings)

    async def post_card(self, card: CaseCard, post_id: str, *, look_first: bool) -> Posted:
        zone = self._settings.zone
        return await self._post(card_fallback(card, zone), self._card(card), post_id, look_first=look_first)

    async def update_card(self, card: CaseCard, at: Posted) -> None:
        if at.channel != self._settings.channel:
            raise DeliveryFailed("card_in_another_channel", permanent=True)
        zone = self._settings.zone
        await _answer(
            self._client.chat_update(
                channel=at.channel, ts=at.ts, text=card_fallback(card, zone), blocks=self._card(card)
            )
        )

    async def post_notice(self, notice: Notice, post_id: str, *, look_first: bool) -> Posted:
        zone = self._settings.zone
        return await self._post(
            notice_text(notice, zone),
            notice_blocks(notice, zone, self._settings.managers),
            post_id,
            look_first=look_first,
        )

    async def direct(self, actor: Actor, said: Direct, post_id: str, *, look_first: bool) -> Posted:
        """Somebody's own conversation with the app, which is opened where there is none."""
        if actor.kind != "slack":
            raise DeliveryFailed("not_a_slack_user", permanent=True)
        may_stand = not said.holds_content or self._settings.show_content
        if not may_stand and not look_first:
            raise DeliveryFailed("content_not_shown", permanent=True)
        channel = await self._conversation(actor)
        if not may_stand:
            # What an earlier try brought there, before the settings changed, is to be known: it is taken back in the end.
            if (found := await self._find(_is_post(post_id), channel, None)) is None:
                raise DeliveryFailed("content_not_shown", permanent=True)
            return found
        # What a telephone shows on its locked screen is the fallback alone.
        text = said.text
        if said.form and not self._settings.show_content:
            text = f"{text}\n\n{elsewhere(self._settings.address)}"
        blocks = direct_blocks(text, form=said.form)
        return await self._post(DIRECT, blocks, post_id, look_first=look_first, channel=channel)

    async def post_event(self, said: tuple[str, ...], card: Posted, post_id: str, *, look_first: bool) -> Posted:
        if not said:
            found = await self._find(_is_post(post_id), card.channel, card.ts)
            if found is None:
                raise DeliveryFailed("never_posted", permanent=True)
            return found
        words = "\n".join(mrkdwn(one, _LINE) for one in said)
        blocks = [section(words).to_dict()]
        return await self._post(words, blocks, post_id, look_first=look_first, channel=card.channel, thread=card.ts)

    async def erase(self, post: Posted) -> None:
        """What is gone already is as good as taken away."""
        try:
            await _answer(self._client.chat_delete(channel=post.channel, ts=post.ts))
        except DeliveryFailed as failure:
            if failure.code not in ERASED:
                raise

    async def send_file(self, actor: Actor, file: FileToSend, begun: Begun, *, before: Posted | None) -> Posted:
        if actor.kind != "slack":
            raise DeliveryFailed("not_a_slack_user", permanent=True)
        if not self._settings.send_files:
            raise DeliveryFailed("files_not_sent", permanent=True)
        if before is not None:
            if await self.file_stands(before):
                return before
            # It may yet arrive, for all we know. It must not when another does.
            await self.erase_file(before)
        channel = await self._conversation(actor)
        slot = await _answer(self._client.files_getUploadURLExternal(filename=file.name, length=len(file.content)))
        at = Posted(channel, str(slot["file_id"]))
        await begun(at)
        await self._upload(str(slot["upload_url"]), file.content)
        await _answer(
            self._client.files_completeUploadExternal(
                files=[{"id": at.ts, "title": file.name}], channel_id=channel, initial_comment=mrkdwn(file.text, _TOLD)
            )
        )
        return at

    async def file_stands(self, file: Posted) -> bool:
        return await self._find(_shows(file.ts), file.channel, None) is not None

    async def erase_file(self, file: Posted) -> None:
        """What is gone already, or was never shared, is as good as taken away."""
        try:
            await _answer(self._client.files_delete(file=file.ts))
        except DeliveryFailed as failure:
            if failure.code not in ERASED:
                raise

    async def tell(self, actor: Actor, text: str) -> None:
        """Seen by that officer alone. At least once: what was said twice does no harm."""
        if actor.kind != "slack":
            raise DeliveryFailed("not_a_slack_user", permanent=True)
        user = actor.id.rpartition("/")[2]
        try:
            await tell_one(self._client, self._settings.channel, user, mrkdwn(text, _TOLD))
        except FAILURES as error:
            raise failure(error) from None

    async def check(self) -> list[str]:
        """What is wrong with the desk as it is set up, each with how to mend it; empty where nothing is."""
        try:
            who = await _answer(self._client.auth_test())
        except DeliveryFailed as refused:
            return [f"Slack does not take the bot token ({refused.code}): check [slack] bot_token and api_url"]
        findings = []
        # Slack says with each answer what the app was installed with; what stands between may not pass it on.
        scopes = str(who.headers.get("x-oauth-scopes") or "")
        if self._settings.send_files and scopes and "files:write" not in scopes.replace(" ", "").split(","):
            findings.append(
                "send_files is on, and the app has no scope files:write: paste the manifest anew and install the app again"
            )
        if not self._settings.signing_secret:
            try:
                await _answer(self._client.apps_connections_open(app_token=self._settings.app_token))
            except DeliveryFailed as refused:
                findings.append(
                    f"Slack does not take the app token ({refused.code}): it needs connections:write, and Socket Mode on"
                )
        try:
            findings += _channel_findings(await self._channel())
        except DeliveryFailed as refused:
            findings.append(
                f"the duty channel cannot be seen ({refused.code}): invite the bot, or check [slack] channel"
            )
        if not self._settings.officers:
            findings.append("nobody may act in Slack: name the officers in [slack] officers")
        return findings

    def _card(self, card: CaseCard) -> list[dict[str, Any]]:
        return card_blocks(card, self._settings.zone, show_content=self._settings.show_content)

    async def _channel(self) -> dict[str, Any]:
        answer = await _answer(self._client.conversations_info(channel=self._settings.channel))
        channel: dict[str, Any] = answer["channel"]
        return channel

    async def _post(
        self,
        text: str,
        blocks: list[dict[str, Any]],
        post_id: str,
        *,
        look_first: bool,
        channel: str | None = None,
        thread: str | None = None,
    ) -> Posted:
        """Into the duty channel, the ``thread`` of a card there, or somebody's own conversation."""
        channel = channel or self._settings.channel
        if look_first and (found := await self._find(_is_post(post_id), channel, thread)) is not None:
            return found
        answer = await _answer(
            self._client.chat_postMessage(
                channel=channel,
                text=text,
                blocks=blocks,
                thread_ts=thread,
                metadata={"event_type": METADATA, "event_payload": {"outbox_id": post_id}},
                unfurl_links=False,
                unfurl_media=False,
            )
        )
        return Posted(str(answer["channel"]), str(answer["ts"]))

    async def _find(self, is_it: Callable[[dict[str, Any]], bool], channel: str, thread: str | None) -> Posted | None:
        """A message of ours, among the newest of a channel or a thread."""
        cursor = None
        for _ in range(_PAGES):
            looked_in: dict[str, Any] = {"channel": channel, "include_all_metadata": True, "limit": _PAGE}
            page = await _answer(
                self._client.conversations_replies(ts=thread, cursor=cursor, **looked_in)
                if thread is not None
                else self._client.conversations_history(cursor=cursor, **looked_in)
            )
            for message in page["messages"] or ():
                if is_it(message):
                    return Posted(channel, str(message["ts"]))
            cursor = (page["response_metadata"] or {}).get("next_cursor")
            if not cursor:
                break
        return None

    async def _conversation(self, actor: Actor) -> str:
        """The channel of somebody's own conversation with the app, which is opened where there is none."""
        opened = await _answer(self._client.conversations_open(users=actor.id.rpartition("/")[2]))
        return str(opened["channel"]["id"])

    async def _upload(self, url: str, content: bytes) -> None:
        """Hand the bytes over. Nobody sees them yet."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=UPLOAD_SECONDS)) as web,
                web.post(url, data=content, proxy=self._client.proxy, ssl=self._client.ssl or True) as answer,
            ):
                if answer.status != 200:
                    raise DeliveryFailed("upload_refused")
        except FAILURES as error:
            raise failure(error) from None


def _is_post(post_id: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a message is the post of that outbox row: its metadata says so."""

    def is_it(message: dict[str, Any]) -> bool:
        metadata = message.get("metadata") or {}
        return metadata.get("event_type") == METADATA and metadata.get("event_payload", {}).get("outbox_id") == post_id

    return is_it


def _shows(file_id: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a message shows that file. Of a deleted one a stone is left there."""
    return lambda message: any(
        file.get("id") == file_id and file.get("mode") != "tombstone" for file in message.get("files") or ()
    )


async def _answer(call: Awaitable[AsyncSlackResponse]) -> AsyncSlackResponse:
    """The answer to a call. Raises DeliveryFailed, without the library's words, which quote what was sent."""
    try:
        return await call
    except FAILURES as error:
        raise failure(error) from None


def _channel_findings(channel: dict[str, Any]) -> list[str]:
    findings = []
    if not channel.get("is_private"):
        findings.append("the duty channel is not private: anyone in the workspace can read it; make it private")
    if channel.get("is_ext_shared"):
        findings.append("the duty channel is shared with another organisation: use one that is not")
    if channel.get("is_archived"):
        findings.append("the duty channel is archived: unarchive it")
    if not channel.get("is_member", True):
        findings.append("the bot is not in the duty channel: invite it")
    return findings
