"""A Slack of our own: the Web API and Socket Mode over real sockets, people who press and type, and faults on request.

It keeps what people would see (messages, ephemerals, open modals), refuses what Slack refuses (unknown tokens, bad blocks,
expired triggers) and records every call and every acknowledgement. Nothing of the product runs inside it.

In a test::

    async with FakeSlack() as slack:
        ...                                      # start the app against slack.api_url
        pressed = await slack.press(ALEX, "claim")
        assert pressed.acked

As a process of its own, driven over HTTP (see :mod:`fakes.slack_process`): ``python -m fakes.fake_slack --port 0``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import copy
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from fakes.block_kit import MESSAGE_TEXT, message_problems, view_problems

TEAM, APP, BOT_USER, BOT = "T0TEAM", "A0APP", "U0BOT", "B0BOT"
BOT_TOKEN, APP_TOKEN = "xoxb-fake-bot", "xapp-fake-app"
DUTY = "C0DUTY"
ALEX, SAM, VISITOR, GUEST, STRANGER = "U0ALEX", "U0SAM", "U0VISITOR", "U0GUEST", "U0STRANGER"
"""Two officers, a member who is none, a guest, and somebody of another company (Slack Connect); all in the duty channel."""

VIEWS_DEEP = 3
RESENDS = 3
Json = dict[str, Any]


class ApiError(Exception):
    """Answered as HTTP 200 with ``ok: false`` and this code, as Slack does."""


class NotPossible(Exception):
    """A person could not have done this: the button is not there, the form is not complete."""


@dataclass(frozen=True, slots=True)
class Call:
    """One Web API call as it came in, faults included."""

    method: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledgement: of which envelope, with what payload, how long after the envelope was sent."""

    envelope_id: str
    payload: Json | None
    seconds: float


@dataclass(slots=True)
class Delivery:
    """What became of something sent to the app. ``acked`` is False where no acknowledgement came in time."""

    payload: Json
    envelope_ids: list[str] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)

    @property
    def acked(self) -> bool:
        return bool(self.acks)

    @property
    def response(self) -> Json:
        """The first acknowledgement's payload."""
        return (self.acks[0].payload if self.acks else None) or {}


@dataclass(slots=True)
class Fault:
    """Trouble for the next ``times`` calls of ``method`` (``*``: of any).

    ``kind`` is ``429`` (with ``seconds`` as Retry-After), ``500``, ``slow`` (by ``seconds``), ``drop_request`` (the
    connection breaks and nothing happened), ``drop_response`` (it happened, then the connection breaks), ``empty`` (it
    happened, and a 502 page comes back), or an error code such as ``message_not_found``. The method ``upload`` hands
    over a file's bytes.
    """

    method: str
    kind: str
    times: int = 1
    seconds: float = 1.0


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    is_private: bool = True
    is_archived: bool = False
    is_ext_shared: bool = False
    is_im: bool = False
    members: set[str] = field(default_factory=set)
    messages: list[Json] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return "im" if self.is_im else "private_channel" if self.is_private else "public_channel"

    def find(self, ts: str) -> Json:
        for message in self.messages:
            if message["ts"] == ts:
                return message
        raise ApiError("message_not_found")


class FakeSlack:
    """The server. ``clock`` gives seconds since the epoch: it stamps messages and lets triggers expire."""

    def __init__(
        self,
        *,
        port: int = 0,
        ack_seconds: float = 3.0,
        trigger_seconds: float = 3.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.port = port
        self.ack_seconds = ack_seconds
        self.trigger_seconds = trigger_seconds
        self.clock = clock
        self.calls: list[Call] = []
        self.acks: list[Ack] = []
        self.faults: list[Fault] = []
        self.deliver_twice = 0
        """How many of the next payloads go out in two envelopes at once."""
        self.refuse_links = 0
        """How many of the next sockets are refused, their addresses used up all the same."""
        self.users: dict[str, Json] = {}
        self.channels: dict[str, Channel] = {}
        self.views: dict[str, Json] = {}
        self.homes: dict[str, Json] = {}
        self.usergroups: dict[str, set[str]] = {}
        self.scopes = {"chat:write", "commands", "users:read", "im:history", "im:write", "files:write"}
        """What the app was installed with, in part: Slack says it with each answer, and asks for it before files."""
        self.files: dict[str, Json] = {}
        """Every file that was ever begun: name, length, what was handed over of it (in hexadecimal), shared, deleted."""
        self._ephemerals: dict[str, list[Json]] = defaultdict(list)
        self._stacks: dict[str, list[str]] = defaultdict(list)
        self._triggers: dict[str, tuple[str, float]] = {}
        self._response_urls: dict[str, Json] = {}
        self._tickets: set[str] = set()
        self._sockets: list[web.WebSocketResponse] = []
        self.opened = 0
        """Connections that ever were."""
        self._connected = asyncio.Event()
        self._waiting: dict[str, tuple[float, asyncio.Future[Ack]]] = {}
        self._count = itertools.count(1)
        self._last_ts = 0.0
        for user in (BOT_USER, ALEX, SAM, VISITOR):
            self.add_user(user, is_bot=user == BOT_USER)
        self.add_user(GUEST, is_restricted=True)
        self.add_user(STRANGER, is_stranger=True, team_id="T0OTHER")
        self.add_channel(DUTY, "duty-desk", members=set(self.users))

    # Starting and stopping ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> FakeSlack:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link/{ticket}", self._socket)
        app.router.add_post("/response/{key}", self._response_url)
        app.router.add_post("/upload/{file_id}", self._upload)
        app.router.add_post("/control/{verb}", self._control)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for socket in list(self._sockets):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await socket.close(code=WSCloseCode.GOING_AWAY)
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    # What people do -------------------------------------------------------------------------------------------------

    async def press(
        self,
        user: str,
        action_id: str,
        *,
        message_ts: str | None = None,
        channel: str = DUTY,
        view_id: str | None = None,
        option: str | None = None,
        home: bool = False,
    ) -> Delivery:
        """Press a button (or choose ``option``) on a message, in an open view or on their Home. Raises NotPossible where
        there is none.

        Without ``message_ts`` it is the newest message that shows such a button.
        """
        payload = self._interaction("block_actions", user)
        if view_id is not None:
            at_home = self.homes.get(user, {})
            shown = at_home if at_home.get("id") == view_id else self._open_view(user, view_id)
            payload |= {"container": {"type": "view", "view_id": view_id}, "view": copy.deepcopy(shown)}
        elif home:
            shown = self.homes.get(user, {"blocks": []})
            payload |= {"container": {"type": "view", "view_id": f"VHOME{user}"}, "view": copy.deepcopy(shown)}
        else:
            room = self.channels[channel]
            if user not in room.members:
                raise NotPossible(f"{user} does not see {channel}")
            candidates = [m for m in reversed(room.messages) if message_ts in (None, m["ts"])]
            shown = next((m for m in candidates if any(_elements(m.get("blocks", []), action_id))), {})
            if not shown:
                raise NotPossible(f"no message shows {action_id}")
            payload |= {
                "container": {
                    "type": "message",
                    "message_ts": shown["ts"],
                    "channel_id": channel,
                    "is_ephemeral": False,
                },
                "channel": {"id": channel, "name": room.name},
                "message": copy.deepcopy(shown),
                "state": {"values": {}},
                "response_url": self._new_response_url(user, channel, shown["ts"]),
            }
        block, element = next(_elements(shown["blocks"], action_id), ({}, {}))
        if not element:
            raise NotPossible(f"the view shows no {action_id}")
        action = {
            "action_id": action_id,
            "block_id": block["block_id"],
            "type": element["type"],
            "action_ts": self._ts(),
        }
        if option is None:
            action |= {"text": element["text"]} | {k: element[k] for k in ("value", "style") if k in element}
        else:
            action["selected_option"] = _option(element, option)
        payload["actions"] = [action]
        return await self._deliver("interactive", payload)

    async def submit_view(self, user: str, view_id: str, values: Json) -> Delivery:
        """Fill in an open modal and submit it. ``values`` maps a block_id to a text, an option's value, or a list of them.

        Raises NotPossible where Slack's client would not submit: a required input that is empty, a text that is too long.
        """
        view = self._open_view(user, view_id)
        state = {}
        for block in view["blocks"]:
            if block["type"] == "input":
                element = block["element"]
                given = _state_value(element, values.get(block["block_id"]))
                if not block.get("optional") and not any(given.get(k) for k in given.keys() - {"type"}):
                    raise NotPossible(f"{block['block_id']} is required")
                state[block["block_id"]] = {element["action_id"]: given}
        if unknown := values.keys() - state.keys():
            raise NotPossible(f"the view has no inputs {sorted(unknown)}")
        submitted = copy.deepcopy(view) | {"state": {"values": state}}
        submitted.pop("errors", None)
        payload = self._interaction("view_submission", user) | {"view": submitted, "response_urls": []}
        delivery = await self._deliver("interactive", payload)
        if delivery.acked:
            self._after_submission(user, view, delivery.response)
        return delivery

    async def close_view(self, user: str, view_id: str) -> Delivery | None:
        """Close a modal by hand. The app hears of it where the view asked for that."""
        view = self._open_view(user, view_id)
        self._stacks[user].remove(view_id)
        if not view["notify_on_close"]:
            return None
        payload = self._interaction("view_closed", user) | {"view": copy.deepcopy(view), "is_cleared": False}
        return await self._deliver("interactive", payload)

    async def slash(self, user: str, command: str, text: str, *, channel: str = DUTY) -> Delivery:
        payload = {
            "token": "fake",
            "team_id": TEAM,
            "channel_id": channel,
            "user_id": user,
            "command": command,
            "text": text,
            "api_app_id": APP,
            "is_enterprise_install": "false",
            "response_url": self._new_response_url(user, channel, None),
            "trigger_id": self._new_trigger(user),
        }
        return await self._deliver("slash_commands", payload)

    async def shortcut(
        self, user: str, callback_id: str, *, message_ts: str | None = None, channel: str = DUTY
    ) -> Delivery:
        """A global shortcut, or one on a message where ``message_ts`` is given."""
        payload = self._interaction("shortcut", user) | {"callback_id": callback_id, "action_ts": self._ts()}
        if message_ts is not None:
            payload |= {
                "type": "message_action",
                "message_ts": message_ts,
                "message": copy.deepcopy(self.channels[channel].find(message_ts)),
                "channel": {"id": channel, "name": self.channels[channel].name},
                "response_url": self._new_response_url(user, channel, message_ts),
            }
        return await self._deliver("interactive", payload)

    async def message(self, user: str, channel: str, text: str, *, thread_ts: str | None = None) -> Delivery:
        """Type a message; the app gets it as an event."""
        room = self.channels[channel]
        said = {"type": "message", "user": user, "text": text, "ts": self._ts(), "team": TEAM}
        if thread_ts is not None:
            said["thread_ts"] = thread_ts
        room.messages.append(said)
        kind = "im" if room.is_im else "group" if room.is_private else "channel"
        return await self.event(said | {"channel": channel, "channel_type": kind, "event_ts": said["ts"]})

    def say(self, user: str, channel: str, text: str, *, thread_ts: str | None = None) -> str:
        """Type a message of which the app never hears: Slack gave up sending it. Its ts."""
        said = {"type": "message", "user": user, "text": text, "ts": self._ts(), "team": TEAM}
        self.channels[channel].messages.append(said if thread_ts is None else said | {"thread_ts": thread_ts})
        return str(said["ts"])

    async def event(self, event: Json) -> Delivery:
        """Send an event. Unacknowledged it comes again, in a new envelope, under the same event_id."""
        payload = {
            "token": "fake",
            "team_id": TEAM,
            "api_app_id": APP,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{next(self._count):08d}",
            "event_time": int(self.clock()),
            "authorizations": [{"team_id": TEAM, "user_id": BOT_USER, "is_bot": True, "enterprise_id": None}],
        }
        return await self._deliver("events_api", payload, resends=RESENDS)

    # What people see ------------------------------------------------------------------------------------------------

    def messages(self, channel: str = DUTY) -> list[Json]:
        """The channel as everyone in it sees it, oldest first; metadata as the app that posted it sees it."""
        return self.channels[channel].messages

    def ephemerals(self, user: str) -> list[Json]:
        return self._ephemerals[user]

    def channel_of(self, user: str) -> str | None:
        """The conversation of somebody with the app, where there is one."""
        return next((name for name, room in self.channels.items() if room.is_im and user in room.members), None)

    def open_views(self, user: str) -> list[Json]:
        """The user's stack of modals, the top one last. ``errors`` holds what the last submission was told."""
        return [self.views[view_id] for view_id in self._stacks[user]]

    def called(self, method: str) -> list[Json]:
        return [call.arguments for call in self.calls if call.method == method]

    # What goes wrong ------------------------------------------------------------------------------------------------

    def fail_next(self, method: str, kind: str, times: int = 1, seconds: float = 1.0) -> None:
        self.faults.append(Fault(method, kind, times, seconds))

    def drop_sockets(self) -> None:
        """Break every connection without a word."""
        for socket in self._sockets:
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()

    async def ask_to_reconnect(self) -> None:
        """Slack refreshes connections now and then: it says so, and closes."""
        for socket in list(self._sockets):
            await socket.send_json({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}})

    async def wait_connected(self, seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            await self._connected.wait()

    @property
    def connections(self) -> int:
        return len(self._sockets)

    def add_user(self, user: str, **facts: Any) -> None:
        self.users[user] = {
            "id": user,
            "team_id": TEAM,
            "name": user.lower(),
            "deleted": False,
            "is_bot": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
        } | facts

    def add_channel(self, channel: str, name: str, *, members: set[str] | None = None, **facts: Any) -> None:
        self.channels[channel] = Channel(channel, name, members=set(members or ()), **facts)

    # Socket Mode ----------------------------------------------------------------------------------------------------

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        ticket = request.match_info["ticket"]
        if ticket not in self._tickets:
            raise web.HTTPForbidden
        self._tickets.discard(ticket)
        if self.refuse_links:
            self.refuse_links -= 1
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        self.opened += 1
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": len(self._sockets),
                "debug_info": {"host": "fake", "approximate_connection_time": 18060},
                "connection_info": {"app_id": APP},
            }
        )
        self._connected.set()
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT and frame.data:
                    self._take_ack(json.loads(frame.data))
        finally:
            self._sockets.remove(socket)
            if not self._sockets:
                self._connected.clear()
        return socket

    def _take_ack(self, answer: Json) -> None:
        sent_at, waiting = self._waiting.pop(answer.get("envelope_id", ""), (0.0, None))
        if waiting is not None and not waiting.done():
            ack = Ack(answer["envelope_id"], answer.get("payload"), time.monotonic() - sent_at)
            self.acks.append(ack)
            waiting.set_result(ack)

    async def _deliver(self, kind: str, payload: Json, *, resends: int = 0) -> Delivery:
        """Send, and wait for the acknowledgement; unacknowledged, send again ``resends`` times in new envelopes."""
        delivery = Delivery(payload)
        copies = 1
        if self.deliver_twice:
            self.deliver_twice, copies = self.deliver_twice - 1, 2
        for attempt in range(resends + 1):
            with contextlib.suppress(TimeoutError):
                await self.wait_connected(self.ack_seconds)
            waiting = [await self._send(kind, payload, delivery, attempt if resends else None) for _ in range(copies)]
            done, late = await asyncio.wait(waiting, timeout=self.ack_seconds)
            delivery.acks += [ack.result() for ack in waiting if ack in done]
            for ack in late:
                ack.cancel()
            if delivery.acked:
                break
        return delivery

    async def _send(self, kind: str, payload: Json, delivery: Delivery, attempt: int | None) -> asyncio.Future[Ack]:
        envelope_id = f"{next(self._count):08d}-fake-envelope"
        envelope = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if attempt is not None:
            envelope |= {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
        delivery.envelope_ids.append(envelope_id)
        ack: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = (time.monotonic(), ack)
        if self._sockets:
            with contextlib.suppress(ConnectionError):
                await self._sockets[-1].send_json(envelope)
        return ack

    # The Web API ----------------------------------------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments = await _arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or arguments.pop("token", "")
        self.calls.append(Call(method, arguments))
        fault = self._fault(method)
        match fault.kind:
            case "429":
                headers = {"Retry-After": str(int(fault.seconds))}
                return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
            case "500":
                return web.Response(status=500, text="<html>server error</html>", content_type="text/html")
            case "drop_request":
                return _broken(request)
            case "slow":
                await asyncio.sleep(fault.seconds)
        try:
            if fault.kind not in {"", "slow", "drop_response", "empty"}:
                raise ApiError(fault.kind)
            self._authorise(method, token)
            act = getattr(self, "_" + method.replace(".", "_"), None)
            if act is None:
                raise ApiError("unknown_method")
            answer = {"ok": True} | (act(arguments) or {})
        except ApiError as refused:
            answer = {"ok": False, "error": str(refused.args[0])}
            if len(refused.args) > 1:
                answer["response_metadata"] = {"messages": [f"[ERROR] {problem}" for problem in refused.args[1]]}
        if fault.kind == "drop_response":
            return _broken(request)
        if fault.kind == "empty":
            return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")
        return web.json_response(answer, headers={"x-oauth-scopes": ",".join(sorted(self.scopes))})

    def _fault(self, method: str) -> Fault:
        for fault in self.faults:
            if fault.method in ("*", method):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return Fault(method, "")

    def _authorise(self, method: str, token: str) -> None:
        if not token:
            raise ApiError("not_authed")
        if token not in (BOT_TOKEN, APP_TOKEN):
            raise ApiError("invalid_auth")
        if (method == "apps.connections.open") != (token == APP_TOKEN):
            raise ApiError("not_allowed_token_type")
        if method.startswith("files.") and "files:write" not in self.scopes:
            raise ApiError("missing_scope")

    def _auth_test(self, a: Json) -> Json:
        return {
            "url": self.url,
            "team": "Elmshire",
            "user": "intake-bot",
            "team_id": TEAM,
            "user_id": BOT_USER,
            "bot_id": BOT,
        }

    def _apps_connections_open(self, a: Json) -> Json:
        ticket = f"ticket-{next(self._count)}"
        self._tickets.add(ticket)
        return {"url": f"ws://127.0.0.1:{self.port}/link/{ticket}"}

    def _chat_postMessage(self, a: Json) -> Json:
        channel = self._writable(a)
        message = {"type": "message", "user": BOT_USER, "bot_id": BOT, "app_id": APP, "team": TEAM, "ts": self._ts()}
        message |= self._said(a)
        if a.get("thread_ts"):
            channel.find(a["thread_ts"])
            message["thread_ts"] = a["thread_ts"]
        if metadata := a.get("metadata"):
            if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
                raise ApiError("invalid_metadata_format")
            message["metadata"] = metadata
        channel.messages.append(message)
        return {"channel": channel.id, "ts": message["ts"], "message": message}

    def _chat_update(self, a: Json) -> Json:
        channel = self._writable(a)
        message = channel.find(a.get("ts", ""))
        if message.get("bot_id") != BOT:
            raise ApiError("cant_update_message")
        message |= self._said(a) | {"edited": {"user": BOT_USER, "ts": self._ts()}}
        if "metadata" in a:
            message["metadata"] = a["metadata"]
        return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": message}

    def _chat_delete(self, a: Json) -> Json:
        channel = self._channel(a)
        message = channel.find(a.get("ts", ""))
        if message.get("bot_id") != BOT:
            raise ApiError("cant_delete_message")
        channel.messages.remove(message)
        return {"channel": channel.id, "ts": message["ts"]}

    def _chat_postEphemeral(self, a: Json) -> Json:
        channel = self._writable(a)
        if a.get("user") not in channel.members:
            raise ApiError("user_not_in_channel")
        said = self._said(a) | {"channel": channel.id, "ts": self._ts()}
        self._ephemerals[a["user"]].append(said)
        return {"message_ts": said["ts"]}

    def _files_getUploadURLExternal(self, a: Json) -> Json:
        length = int(a.get("length") or 0)
        if not a.get("filename") or length <= 0:
            raise ApiError("invalid_arguments", ["filename and length are required"])
        file_id = f"F{next(self._count):08d}"
        self.files[file_id] = {
            "id": file_id,
            "name": a["filename"],
            "title": a["filename"],
            "size": length,
            "content": None,
            "shared": False,
            "deleted": False,
        }
        return {"upload_url": f"{self.url}/upload/{file_id}", "file_id": file_id}

    def _files_completeUploadExternal(self, a: Json) -> Json:
        """Shares what was handed over; in a channel it is a message with the comment for its text."""
        wanted = json.loads(a["files"]) if isinstance(a.get("files"), str) else a.get("files") or []
        files = [self.files.get(one.get("id", ""), {}) for one in wanted]
        if not files or any(not one or one["deleted"] or one["content"] is None for one in files):
            raise ApiError("file_not_found")
        channel = self._writable({"channel": a["channel_id"]}) if a.get("channel_id") else None
        for one, asked in zip(files, wanted, strict=True):
            one |= {"title": asked.get("title", one["name"]), "shared": channel is not None}
        if channel is not None:
            # Where it comes as an event it need not say that a bot shared it.
            message = {"type": "message", "subtype": "file_share", "user": BOT_USER, "team": TEAM, "ts": self._ts()}
            message |= {"text": a.get("initial_comment") or "", "upload": True, "blocks": []}
            shown = ("id", "name", "title", "size")
            channel.messages.append(
                message | {"files": [{k: one[k] for k in shown} | {"mode": "hosted"} for one in files]}
            )
        # Where it is shared is not told yet when this is answered.
        return {"files": [{"id": one["id"], "title": one["title"]} for one in files]}

    def _files_delete(self, a: Json) -> Json:
        """What was shared leaves a stone in its message. Of what was only begun Slack knows nothing."""
        file = self.files.get(a.get("file", ""))
        if file is None or not (file["shared"] or file["deleted"]):
            raise ApiError("file_not_found")
        if file["deleted"]:
            raise ApiError("file_deleted")
        file |= {"deleted": True, "content": None}
        for room in self.channels.values():
            for message in room.messages:
                stone = {"id": file["id"], "mode": "tombstone"}
                if "files" in message:
                    message["files"] = [stone if one["id"] == file["id"] else one for one in message["files"]]
        return {}

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """Where the bytes of a file are handed over, once and whole. No token is asked for: the address is the secret."""
        self.calls.append(Call("upload", {"length": request.content_length}))
        fault = self._fault("upload")
        match fault.kind:
            case "500":
                return web.Response(status=500, text="<html>server error</html>", content_type="text/html")
            case "drop_request":
                return _broken(request)
            case "slow":
                await asyncio.sleep(fault.seconds)
        file, content = self.files.get(request.match_info["file_id"]), await request.read()
        if file is None or file["content"] is not None or len(content) != file["size"]:
            return web.Response(status=400, text="bad upload")
        file["content"] = content.hex()
        return _broken(request) if fault.kind == "drop_response" else web.Response(text=f"OK - {len(content)}")

    def _reactions_add(self, a: Json) -> Json:
        message = self._channel(a).find(a.get("timestamp", ""))
        reactions = message.setdefault("reactions", [])
        if a.get("name") in reactions:
            raise ApiError("already_reacted")
        reactions.append(a.get("name"))
        return {}

    def _conversations_info(self, a: Json) -> Json:
        channel = self._channel(a)
        facts = {k: getattr(channel, k) for k in ("id", "name", "is_private", "is_archived", "is_ext_shared", "is_im")}
        return {"channel": facts | {"is_member": BOT_USER in channel.members, "is_channel": not channel.is_im}}

    def _conversations_list(self, a: Json) -> Json:
        kinds = set(str(a.get("types") or "public_channel").split(","))
        if kinds - {"public_channel", "private_channel", "mpim", "im"}:
            raise ApiError("invalid_types")
        found = [room for room in self.channels.values() if BOT_USER in room.members and room.kind in kinds]
        start, limit = int(a.get("cursor") or 0), min(int(a.get("limit") or 100), 999)
        more = start + limit < len(found)
        return {
            "channels": [{"id": room.id, "is_im": room.is_im} for room in found[start : start + limit]],
            "response_metadata": {"next_cursor": str(start + limit) if more else ""},
        }

    def _conversations_history(self, a: Json) -> Json:
        channel = self._readable(a)
        replies: dict[str, list[str]] = defaultdict(list)
        for message in channel.messages:
            if message.get("thread_ts", message["ts"]) != message["ts"]:
                replies[message["thread_ts"]].append(message["ts"])
        page = self._page([m for m in channel.messages if m.get("thread_ts", m["ts"]) == m["ts"]], a)
        for message in page["messages"]:
            if under := replies.get(message["ts"]):
                message |= {"thread_ts": message["ts"], "reply_count": len(under), "latest_reply": under[-1]}
        return page

    def _conversations_replies(self, a: Json) -> Json:
        channel = self._readable(a)
        channel.find(a.get("ts", ""))
        page = self._page([m for m in channel.messages if a["ts"] in (m["ts"], m.get("thread_ts"))], a)
        page["messages"].reverse()
        return page

    def _conversations_open(self, a: Json) -> Json:
        users = str(a.get("users", "")).split(",")
        if not all(user in self.users for user in users):
            raise ApiError("user_not_found")
        room = "D" + "".join(user.removeprefix("U") for user in sorted(users))
        if room not in self.channels:
            self.add_channel(room, "", members={*users, BOT_USER}, is_im=True)
        return {"channel": {"id": room}}

    def _users_info(self, a: Json) -> Json:
        if a.get("user") not in self.users:
            raise ApiError("user_not_found")
        return {"user": self.users[a["user"]]}

    def _usergroups_users_list(self, a: Json) -> Json:
        if a["usergroup"] not in self.usergroups:
            raise ApiError("no_such_subteam")
        return {"users": sorted(self.usergroups[a["usergroup"]])}

    def _views_open(self, a: Json) -> Json:
        user = self._trigger(a)
        view = self._new_view(a, "modal")
        self._stacks[user] = [view["id"]]
        return {"view": view}

    def _views_push(self, a: Json) -> Json:
        user = self._trigger(a)
        stack = self._stacks[user]
        if not 1 <= len(stack) < VIEWS_DEEP:
            raise ApiError("push_limit_reached" if stack else "not_found")
        view = self._new_view(a, "modal") | {"root_view_id": stack[0], "previous_view_id": stack[-1]}
        self.views[view["id"]] = view
        stack.append(view["id"])
        return {"view": view}

    def _views_update(self, a: Json) -> Json:
        by_name = (
            v["id"] for v in self.views.values() if a.get("external_id") and v["external_id"] == a["external_id"]
        )
        view_id = a.get("view_id") or next(by_name, "")
        if not any(view_id in stack for stack in self._stacks.values()):
            raise ApiError("not_found")
        if a.get("hash") not in (None, self.views[view_id]["hash"]):
            raise ApiError("hash_conflict")
        return {"view": self._new_view(a, "modal", view_id)}

    def _views_publish(self, a: Json) -> Json:
        view = self._new_view(a, "home")
        self.homes[a["user_id"]] = view
        return {"view": view}

    # Helpers of the Web API -----------------------------------------------------------------------------------------

    def _channel(self, a: Json) -> Channel:
        if a.get("channel") not in self.channels:
            raise ApiError("channel_not_found")
        return self.channels[a["channel"]]

    def _writable(self, a: Json) -> Channel:
        channel = self._channel(a)
        if channel.is_archived:
            raise ApiError("is_archived")
        return self._readable(a)

    def _readable(self, a: Json) -> Channel:
        channel = self._channel(a)
        if BOT_USER not in channel.members:
            raise ApiError("channel_not_found" if channel.is_private else "not_in_channel")
        return channel

    def _said(self, a: Json) -> Json:
        """Text and blocks, checked; block ids given where there were none."""
        text, blocks = a.get("text") or "", a.get("blocks") or []
        if not text and not blocks:
            raise ApiError("no_text")
        if len(text) > MESSAGE_TEXT:
            raise ApiError("msg_too_long")
        if blocks and (problems := message_problems(blocks)):
            raise ApiError("invalid_blocks", problems)
        return {"text": text, "blocks": self._with_ids(blocks)}

    def _with_ids(self, blocks: list[Json]) -> list[Json]:
        return [{"block_id": f"b{next(self._count)}"} | copy.deepcopy(block) for block in blocks]

    def _page(self, messages: list[Json], a: Json) -> Json:
        """Newest first, between ``oldest`` and ``latest`` (both left out unless ``inclusive``), ``limit`` a page."""
        oldest, latest = float(a.get("oldest") or 0), float(a.get("latest") or "inf")
        inclusive = a.get("inclusive") in (True, "1", "true")
        ends = {oldest, latest} if inclusive else set()
        chosen = [m for m in reversed(messages) if oldest < float(m["ts"]) < latest or float(m["ts"]) in ends]
        start, limit = int(a.get("cursor") or 0), min(int(a.get("limit") or 100), 999)
        page = [copy.deepcopy(m) for m in chosen[start : start + limit]]
        if a.get("include_all_metadata") not in (True, "1", "true"):
            for message in page:
                message.pop("metadata", None)
        more = start + limit < len(chosen)
        cursor = str(start + limit) if more else ""
        return {"messages": page, "has_more": more, "response_metadata": {"next_cursor": cursor}}

    def _new_view(self, a: Json, kind: str, view_id: str | None = None) -> Json:
        view = a.get("view")
        problems = view_problems(view)
        if problems == ["view_too_large"]:
            raise ApiError("view_too_large")
        if problems or view is None or view["type"] != kind:
            raise ApiError("invalid_arguments", problems)
        before = self.views.get(view_id or "", {})
        made = {
            "callback_id": "",
            "private_metadata": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "submit": None,
            "close": None,
            "state": {"values": {}},
            "root_view_id": before.get("root_view_id"),
            "previous_view_id": before.get("previous_view_id"),
        } | copy.deepcopy(view)
        made |= {
            "id": view_id or f"V{next(self._count):08d}",
            "team_id": TEAM,
            "app_id": APP,
            "bot_id": BOT,
            "hash": f"{self._ts()}.hash",
            "blocks": self._with_ids(view["blocks"]),
        }
        self.views[made["id"]] = made
        return made

    def _trigger(self, a: Json) -> str:
        user, issued = self._triggers.get(a.get("trigger_id", ""), ("", 0.0))
        if not user:
            raise ApiError("invalid_trigger_id")
        if issued < 0:
            raise ApiError("exchanged_trigger_id")
        if self.clock() - issued > self.trigger_seconds:
            raise ApiError("expired_trigger_id")
        problems = view_problems(a.get("view"))
        if not problems:
            self._triggers[a["trigger_id"]] = (user, -1.0)
        return user

    async def _response_url(self, request: web.Request) -> web.StreamResponse:
        """What an app says through an interaction's response_url: to the user alone, unless it asks otherwise."""
        link = self._response_urls.get(request.match_info["key"])
        if link is None or link["left"] <= 0:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        link["left"] -= 1
        a = await _arguments(request)
        channel = self.channels[link["channel"]]
        try:
            if a.get("delete_original"):
                channel.messages.remove(channel.find(link["ts"]))
            elif a.get("replace_original"):
                channel.find(link["ts"]).update(self._said(a))
            elif a.get("response_type") == "in_channel":
                channel.messages.append({"type": "message", "bot_id": BOT, "ts": self._ts()} | self._said(a))
            else:
                self._ephemerals[link["user"]].append(self._said(a) | {"channel": channel.id, "ts": self._ts()})
        except ApiError as refused:
            return web.json_response({"ok": False, "error": str(refused.args[0])}, status=400)
        return web.json_response({"ok": True})

    # Helpers of the people ------------------------------------------------------------------------------------------

    def _interaction(self, kind: str, user: str) -> Json:
        facts = self.users[user]
        return {
            "type": kind,
            "user": {"id": user, "username": facts["name"], "name": facts["name"], "team_id": facts["team_id"]},
            "api_app_id": APP,
            "token": "fake",
            "trigger_id": self._new_trigger(user),
            "team": {"id": TEAM, "domain": "elmshire"},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _new_trigger(self, user: str) -> str:
        trigger = f"{next(self._count)}.trigger"
        self._triggers[trigger] = (user, self.clock())
        return trigger

    def _new_response_url(self, user: str, channel: str, ts: str | None) -> str:
        key = f"r{next(self._count)}"
        self._response_urls[key] = {"user": user, "channel": channel, "ts": ts, "left": 5}
        return f"{self.url}/response/{key}"

    def _open_view(self, user: str, view_id: str) -> Json:
        if view_id not in self._stacks[user]:
            raise NotPossible(f"{user} has no open view {view_id}")
        return self.views[view_id]

    def _after_submission(self, user: str, view: Json, response: Json) -> None:
        stack = self._stacks[user]
        view.pop("errors", None)
        match response.get("response_action"):
            case "errors":
                inputs = {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
                if not response.get("errors") or response["errors"].keys() - inputs:
                    raise AssertionError("an error was sent for a field that is no input of the view")
                view["errors"] = response["errors"]
            case "clear":
                stack.clear()
            case "update" | "push" as act:
                made = self._new_view(response, "modal", view["id"] if act == "update" else None)
                if act == "push":
                    stack.append(made["id"])
            case _:
                stack.remove(view["id"])

    def _ts(self) -> str:
        """Every message's time stamp is its id: never the same twice."""
        self._last_ts = max(self.clock(), self._last_ts + 0.000002)
        return f"{self._last_ts:.6f}"

    # From outside the process ---------------------------------------------------------------------------------------

    async def _control(self, request: web.Request) -> web.StreamResponse:
        verb, arguments = request.match_info["verb"], await _arguments(request)
        if verb not in CONTROLS:
            raise web.HTTPNotFound
        act = getattr(self, verb)
        try:
            result = act(**arguments) if callable(act) else act
            if asyncio.iscoroutine(result):
                result = await result
        except NotPossible as refused:
            return web.json_response({"not_possible": str(refused)})
        if isinstance(result, Delivery):
            result = asdict(result) | {"acked": result.acked, "response": result.response}
        elif isinstance(result, list):
            result = [asdict(item) if isinstance(item, Call | Ack) else item for item in result]
        return web.json_response({"result": result})


CONTROLS = frozenset(
    {
        "press",
        "submit_view",
        "close_view",
        "slash",
        "shortcut",
        "message",
        "say",
        "event",
        "messages",
        "ephemerals",
        "open_views",
    }
    | {"called", "calls", "acks", "fail_next", "drop_sockets", "ask_to_reconnect", "wait_connected", "connections"}
    | {"add_user", "add_channel", "homes", "usergroups", "channel_of", "files"}
)


async def _arguments(request: web.Request) -> Json:
    """JSON, form or query; JSON with an empty body is no argument at all (auth.test is sent so)."""
    if request.content_type == "application/json":
        body = await request.read()
        arguments = json.loads(body) if body else {}
    else:
        arguments = dict(request.query) | {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
    for name in ("blocks", "view", "metadata"):
        if isinstance(arguments.get(name), str):
            try:
                arguments[name] = json.loads(arguments[name])
            except ValueError:
                raise web.HTTPBadRequest from None
    return dict(arguments)


def _broken(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _elements(blocks: list[Json], action_id: str) -> Iterator[tuple[Json, Json]]:
    """Interactive elements of that action_id with the blocks that they stand in."""
    for block in blocks:
        for element in (*block.get("elements", ()), block.get("accessory"), block.get("element")):
            if isinstance(element, dict) and element.get("action_id") == action_id:
                yield block, element


def _option(element: Json, value: str) -> Json:
    for option in element["options"]:
        if option["value"] == value:
            return dict(option)
    raise NotPossible(f"{element['action_id']} has no option {value}")


def _state_value(element: Json, given: Any) -> Json:
    """An input's part of ``view.state.values``."""
    kind = element["type"]
    match kind:
        case "plain_text_input":
            value = element.get("initial_value") if given is None else given
            if value is not None and len(value) > element.get("max_length", 3000):
                raise NotPossible(f"{element['action_id']} takes no text that long")
            return {"type": kind, "value": value or None}
        case "static_select" | "radio_buttons":
            chosen = element.get("initial_option") if given is None else _option(element, given)
            return {"type": kind, "selected_option": chosen}
        case "checkboxes" | "multi_static_select":
            several = element.get("initial_options", []) if given is None else [_option(element, v) for v in given]
            return {"type": kind, "selected_options": several}
        case "datepicker":
            return {"type": kind, "selected_date": given or element.get("initial_date")}
        case "timepicker":
            return {"type": kind, "selected_time": given or element.get("initial_time")}
        case "users_select":
            return {"type": kind, "selected_user": given or element.get("initial_user")}
        case "multi_users_select":
            return {"type": kind, "selected_users": given or element.get("initial_users", [])}
    raise NotPossible(f"no way to fill in a {kind}")


async def _serve(port: int, ack_seconds: float) -> None:
    async with FakeSlack(port=port, ack_seconds=ack_seconds) as slack:
        print(json.dumps({"url": slack.url, "api_url": slack.api_url}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake Slack on loopback; prints its URLs, runs until ended.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ack-seconds", type=float, default=3.0)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.port, options.ack_seconds))


if __name__ == "__main__":
    main()
