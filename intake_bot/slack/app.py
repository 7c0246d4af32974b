"""What officers do in Slack, as a Bolt app.

An act with an effect (a claim, a decision) is checked and committed before Bolt sends anything back, in the middleware that
runs ahead of everything else; what cannot be committed is not acknowledged, and Slack tells the officer. Performing it is
the intake worker's business. Looking at a case and opening the form have no effect: they are acknowledged, then answered
within the three seconds that a trigger lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext, AsyncRespond
from slack_bolt.error import BoltUnhandledRequestError
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from intake_bot.casework.acts import Act, Claim, Note, Refused
from intake_bot.casework.desk import Actor, CaseCard
from intake_bot.casework.queue import Which
from intake_bot.casework.vocabulary import UNDECIDED
from intake_bot.slack import act_forms, cards, consult, figures, forms, home, modals, rota
from intake_bot.slack.acts import pack
from intake_bot.slack.catch_up import CatchUp
from intake_bot.slack.client import (
    FAILURES,
    TIMEOUT_SECONDS,
    TRIGGER_GONE,
    TURNED,
    error_code,
    failure,
    library_logger,
    make_client,
    tell_one,
)
from intake_bot.slack.escape import clean, mrkdwn, unescaped
from intake_bot.slack.forms import Form, Kind, Prepared, Subject
from intake_bot.slack.officers import Officers, Role
from intake_bot.slack.ports import Ports, SlackSettings

log = logging.getLogger(__name__)

Body = dict[str, Any]

NOT_AN_OFFICER = "Sorry, only the duty officers can do this. Ask the officer on duty, who sees the same card."
PRESS_AGAIN = "That took too long and nothing was done: please press again."
TROUBLE = "Something went wrong here: please try again."
NO_SUCH_CASE = "There is no such case any more."
ANSWER = "The duty desk's answer"
COMMAND = "/lado"
NOT_NOW = "That does not fit where the case stands any more: see its card."
NO_FILES = "This desk sends no files in Slack: see intake-bot attachment, at the terminal."
AT_THE_TERMINAL = "This desk takes no words in Slack: do it with intake-bot, at the terminal."
DECIDED_ALREADY = "This case is already decided: see View."

FOLLOWED, FOLLOWED_EVERY_SECONDS = 20, 0.1
"""How often it is looked whether an act from the Home tab is performed, before the tab is shown as it is."""
NOTES_GO = (
    "A kind word: what is typed here stays in Slack and is no part of the case. Notes go under More ..., Add a note."
)
NOTED_HERE = "Kept as a note on the case. These words stay in Slack too, for as long as it keeps messages."
HINTS = 1000
"""How many hints are remembered, so that each thread gives each person one."""

_TYPED = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""The kinds of messages that somebody typed; others say that something was edited, deleted or pinned."""
_REFUSED = "intake_bot_refused"


def build_app(settings: SlackSettings, ports: Ports) -> AsyncApp:
    """The Bolt app. It talks to nobody until a connection hands it something."""
    return build_desk(settings, ports)[0]


def build_desk(settings: SlackSettings, ports: Ports) -> tuple[AsyncApp, CatchUp]:
    """The Bolt app, and what reads back what it missed."""
    interactions = _Interactions(settings, ports)
    app = AsyncApp(
        name="slack_bolt.intake",
        logger=library_logger(),
        client=interactions.client,
        # Socket Mode has no signatures.
        request_verification_enabled=bool(settings.signing_secret),
        signing_secret=settings.signing_secret or None,
        before_authorize=interactions.keep_before_ack,
        # Only so that the handler below can acknowledge what we do not use, instead of a warning that quotes it.
        raise_error_for_unhandled_request=True,
    )
    app.action(cards.CLAIM)(interactions.refused)
    app.action(cards.VIEW)(interactions.show_case)
    app.action(cards.DECIDE)(interactions.show_form)
    app.action(cards.MORE)(interactions.show_more)
    app.action(modals.FILES)(interactions.show_files)
    app.action(modals.PREVIOUS)(interactions.turn_page)
    app.action(modals.NEXT)(interactions.turn_page)
    app.action(home.REFRESH)(interactions.show_home)
    app.action(home.FILTER)(interactions.show_home)
    app.action(home.SECTOR)(interactions.show_home)
    app.action(re.compile(rf"{home.TURN}:\d+"))(interactions.show_home)
    app.action(rota.AWAY)(interactions.show_rota_form)
    app.event("app_home_opened")(interactions.home_opened)
    app.action(figures.FIGURES)(interactions.show_figures)
    app.action(home.CONSULT)(interactions.show_consultation)
    app.shortcut(home.CONSULT)(interactions.show_consultation)
    app.shortcut(consult.LOG_MESSAGE)(interactions.show_consultation)
    app.command(COMMAND)(interactions.command)
    app.error(interactions.trouble)
    catch_up = CatchUp(interactions.client, settings, ports, interactions.hear)
    interactions.not_kept = catch_up.begin
    return app, catch_up


class _Interactions:
    def __init__(self, settings: SlackSettings, ports: Ports) -> None:
        self._settings = settings
        self._ports = ports
        self.client = make_client(settings)
        named = {
            Role.OFFICER: settings.officers,
            Role.MANAGER: settings.managers,
            Role.SUPPORT: settings.support,
            Role.READER: settings.readers,
        }
        self.not_kept: Callable[[], None] = lambda: None
        self._hinted: set[tuple[str, str]] = set()
        self._refused: set[tuple[str, str]] = set()
        self._own_user = ""
        self._whispering: set[asyncio.Task[None]] = set()
        self._forms = act_forms.offered_at(show_content=settings.show_content)
        self._officers = Officers(named, self.client, ports.now)
        self._following: set[asyncio.Task[None]] = set()

    async def keep_before_ack(
        self, body: Body, context: AsyncBoltContext, next_: Callable[[], Awaitable[Any]]
    ) -> BoltResponse | None:
        """Check and commit an act with an effect. Whatever raises here leaves it unacknowledged.

        It answers by itself, ahead of Bolt's authorisation, because that acknowledges what it cannot authorise.
        """
        match _kind(body):
            case ("block_actions", cards.CLAIM):
                actor = _actor(body)
                if await self._allowed(actor, cards.CLAIM):
                    return await self._keep(Claim(_case_id(body), actor), body, body["actions"][0]["action_ts"])
                context[_REFUSED] = True
            case ("view_submission", consult.CONSULTATION):
                return await self._consultation(body)
            case ("message", _):
                try:
                    return await self.hear(body)
                except Exception:  # Slack sends it again a few times at most: from here on it is to be read back
                    self.not_kept()
                    raise
            case ("view_submission", rota.AWAY):
                return await self._rota_form(body)
            case ("view_submission", modals.DECIDE):
                return await self._decision(body)
            case ("view_submission", str(callback)) if callback.startswith(forms.FORM):
                return await self._form(body, callback.removeprefix(forms.FORM))
            case _:
                pass
        await next_()
        return None

    async def hear(self, body: Body) -> BoltResponse:
        """What somebody typed, to the service or under a card: an event, or read back after the line was down."""
        match _kind(body):
            case ("message", "im") if not await self._is_ours(body["event"]):
                return await self._talk(body)
            case ("message", _) if _is_in_a_thread(body["event"], self._settings.channel):
                return await self._under_a_card(body)
            case _:
                return BoltResponse(status=200, body="")

    async def refused(self, ack: AsyncAck, body: Body) -> None:
        """A claim comes this far only when it was refused."""
        await ack()
        await self._tell(body, NOT_AN_OFFICER)

    async def show_case(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._show_case(body), body)

    async def show_form(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._show_form(body), body)

    async def show_more(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._show_more(body), body)

    async def show_files(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._show_files(body), body)

    async def show_consultation(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._open(body, self._consult_modal(_words_of(body))), body)

    async def turn_page(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._turn_page(body), body)

    async def show_home(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._publish(_actor(body), home.Chosen.after(body)), body)

    async def show_figures(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._show_figures(body), body)

    async def home_opened(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        if body["event"].get("tab", "home") == "home":
            await self._answer(self._publish(_actor(body), home.Chosen()), body)

    async def show_rota_form(self, ack: AsyncAck, body: Body) -> None:
        await ack()
        await self._answer(self._show_rota_form(body), body)

    async def command(self, ack: AsyncAck, body: Body, respond: AsyncRespond) -> None:
        await ack()
        try:
            said = await self._command(body)
        except Exception as error:
            log.error("a command in Slack failed: %s", _code(error))
            said = TROUBLE
        if said is not None:
            blocks = said if isinstance(said, list) else [cards.section(mrkdwn(said, 2000)).to_dict()]
            await respond(text=ANSWER, blocks=blocks, response_type="ephemeral")

    async def trouble(self, error: Exception, body: Body) -> BoltResponse | None:
        """The last stop of everything that raised. The error's words stay here: they may quote what was being done."""
        if isinstance(error, BoltUnhandledRequestError):
            if body.get("type") == "event_callback":
                return BoltResponse(status=200, body="")
            log.warning("something was pressed or called in Slack that this version does not know")
            return None
        await self._report(error, body)
        return None

    async def _answer(self, answer: Awaitable[None], body: Body) -> None:
        """Do what an acknowledged press asks for."""
        try:
            await answer
        except Exception as error:  # Bolt takes the acknowledgement back where a listener raises right after it
            await self._report(error, body)

    async def _report(self, error: Exception, body: Body) -> None:
        log.error("an interaction in Slack failed: %s", _code(error))
        if body.get("type") == "block_actions":
            await self._tell(body, TROUBLE)

    async def _show_figures(self, body: Body) -> None:
        actor = _actor(body)
        if not await self._sees_figures(actor):
            await self._tell(body, figures.MANAGERS_ALONE)
            return
        await self._open(body, figures.modal(await self._ports.figures(actor)))

    async def _sees_figures(self, actor: Actor) -> bool:
        """Managers do; where the settings name none, officers do their work."""
        return await self._officers.may(actor, figures.FIGURES if self._settings.managers else cards.DECIDE)

    async def _show_case(self, body: Body) -> None:
        actor = _actor(body)
        if not await self._allowed(actor, cards.VIEW):
            await self._tell(body, NOT_AN_OFFICER)
            return
        view = await self._view(_case_id(body), actor)
        if view is None:
            await self._tell(body, NO_SUCH_CASE)
            return
        await self._open(body, view)

    async def _view(self, case_id: str, actor: Actor, page: int = 1) -> dict[str, Any] | None:
        """What *View* shows of a case; None where there is none for ``actor``."""
        zone = self._settings.zone
        if not self._settings.show_content:
            card = await self._ports.card(case_id, actor)
            return modals.bare_modal(card, zone) if card is not None else None
        view = await self._ports.open_case(case_id, actor, page)
        if view is None:
            return None
        sends = self._settings.send_files and await self._officers.may(actor, act_forms.SEND_FILE.name)
        # What came may be megabytes.
        return await asyncio.to_thread(modals.view_modal, view, zone, page, sends_files=sends)

    async def _turn_page(self, body: Body) -> None:
        """Show another page of the case in the view that is open. Who may not see it any more is told so."""
        actor, shown = _actor(body), body["view"]
        view = None
        if await self._allowed(actor, cards.VIEW):
            view = await self._view(modals.case_of(shown), actor, int(body["actions"][0]["value"]))
        if view is None:
            await self._tell(body, NO_SUCH_CASE)
            return
        try:
            await self.client.views_update(view_id=shown["id"], hash=shown["hash"], view=view)
        except SlackApiError as error:
            # Closed meanwhile, or turned already by a press before this one.
            if error_code(error) not in TURNED:
                raise

    async def _show_form(self, body: Body) -> None:
        if not await self._allowed(_actor(body), cards.DECIDE):
            await self._tell(body, NOT_AN_OFFICER)
            return
        if not self._settings.show_content:
            await self._tell(body, AT_THE_TERMINAL)
            return
        card = await self._ports.card(_case_id(body), _actor(body))
        if card is None or card.status not in UNDECIDED:
            await self._tell(body, NO_SUCH_CASE if card is None else DECIDED_ALREADY)
            return
        await self._open(body, modals.decide_modal(card))

    async def _show_more(self, body: Body) -> None:
        name, _, case_id = str(body["actions"][0]["selected_option"]["value"]).partition(":")
        actor, form = _actor(body), self._forms.get(name)
        if name not in act_forms.BY_NAME or not await self._allowed(actor, name):
            await self._tell(body, NOT_AN_OFFICER)
            return
        if form is None:
            await self._tell(body, AT_THE_TERMINAL)
            return
        card = await self._ports.card(case_id, actor)
        if card is None or not form.offered(card):
            await self._tell(body, NO_SUCH_CASE if card is None else NOT_NOW)
            return
        await self._show_act(body, form, card, actor)

    async def _show_files(self, body: Body) -> None:
        """The form that has a file sent, on top of the case that is open."""
        actor, form = _actor(body), act_forms.SEND_FILE
        if not await self._allowed(actor, form.name):
            await self._tell(body, NOT_AN_OFFICER)
            return
        card = await self._ports.card(_case_id(body), actor)
        if card is None or not self._settings.send_files:
            await self._tell(body, NO_SUCH_CASE if card is None else NO_FILES)
            return
        await self._show_act(body, form, card, actor, on_top=True)

    async def _show_act(self, body: Body, form: Form, card: CaseCard, actor: Actor, *, on_top: bool = False) -> None:
        """The form of an act, of which it is known that it may be filled in. ``on_top``: of the modal that is open."""
        prepared = await self._prepared(form, card, actor)
        if isinstance(prepared, str):
            await self._tell(body, prepared)
            return
        modal = forms.form_modal(
            form,
            card,
            now=self._ports.now(),
            zone=self._settings.zone,
            given=prepared.given,
            shown=prepared.shown,
            fields=prepared.fields,
        )
        await self._open(body, modal, on_top=on_top)

    async def _prepared(self, form: Form, card: CaseCard, actor: Actor) -> Prepared | str:
        """What a form begins from, or why it cannot be filled in."""
        match form.name:
            case "accept":
                return forms.prepared_acceptance(form, card)
            case "end_clock":
                return forms.prepared_clocks(form, card)
            case "close_action":
                return forms.prepared_actions(form, await self._ports.open_actions(card.case_id, actor))
            case act_forms.SEND_FILE.name:
                return forms.prepared_files(form, await self._ports.files(card.case_id, actor))
            case "ask" | "advise" | "action":
                writing = await self._ports.writing(card.case_id, actor)
                return NO_SUCH_CASE if writing is None else forms.prepared_writing(form, writing, self._settings.zone)
            case _:
                return forms.Prepared(form.fields)

    async def _form(self, body: Body, name: str) -> BoltResponse:
        actor, view, form = _actor(body), body["view"], act_forms.SUBMITTED.get(name)
        subject = forms.subject_of(view)
        if form is None or not await self._allowed(actor, name):
            return _errors({_first_field(view): NOT_AN_OFFICER})
        if not self._settings.show_content and view["state"]["values"].keys() & {
            f.name for f in form.fields if f.is_content
        }:
            # It was opened before the setting was made.
            return _errors({_first_field(view): AT_THE_TERMINAL})
        values, wrong = forms.read_values(form, view["state"]["values"], self._settings.zone)
        if not wrong:
            wrong = await self._looked_up(form, values, subject, actor)
        if wrong:
            return _errors(wrong)
        return await self._keep(form.make(subject.case_id, actor, values), body, view["id"])

    async def _looked_up(self, form: Form, values: dict[str, Any], subject: Subject, actor: Actor) -> dict[str, str]:
        """Put in what a form names by its own words: addresses, other cases, colleagues; and say what is wrong with them."""
        values |= {name: value for name, value in subject.given.items() if name == "version"}
        for one in form.fields:
            value = values.get(one.name)
            if not value:
                continue
            match one.kind:
                case Kind.PERSON | Kind.PEOPLE:
                    people = [value] if one.kind is Kind.PERSON else list(value)
                    for user in people:
                        if not await self._officers.may(forms.colleague(actor, user), "view"):
                            return {one.name: "Only the desk's own people can be chosen."}
                case Kind.LINE if one.name == "other":
                    other = await self._ports.case_called(value, actor)
                    if other is None:
                        return {one.name: "There is no such case."}
                    values[one.name] = other
                case Kind.CHOICE if one.name == "to":
                    writing = await self._ports.writing(subject.case_id, actor)
                    known = {each.key: each for each in writing.recipients} if writing else {}
                    if value not in known:
                        return {one.name: "That address does not take part in the case any more."}
                    # What was known of the sender when the form was opened: casework refuses where that has changed.
                    values |= {"to": known[value].address, "trust": subject.given.get(value, "")}
        return {}

    async def _consultation(self, body: Body) -> BoltResponse:
        """Anybody of the workspace may consult: what they fill in becomes a case as a mail does."""
        parsed = consult.parse_consultation(body["view"]["state"]["values"], _actor(body))
        if isinstance(parsed, dict):
            return _errors(parsed)
        payload = parsed.pack()
        key = _identity("form", str(_actor(body)), body["view"]["id"], payload)
        new = await self._ports.consult(key, payload)
        log.info("accepted from Slack: a consultation%s", "" if new else ", for the second time")
        self._see_it_done(body, key)
        return BoltResponse(status=200, body="")

    async def _talk(self, body: Body) -> BoltResponse:
        said, team = body["event"], str(body["team_id"])
        kept = {name: said[name] for name in ("user", "text", "ts", "channel", "thread_ts") if name in said}
        if said.get("files"):
            kept["files"] = len(said["files"])
        # Slack may send one message under several event ids: it is the same by where and when it was said.
        key = _identity("talk", team, str(said["channel"]), str(said["ts"]))
        new = await self._ports.talk(key, json.dumps(kept | {"team": team}, sort_keys=True).encode())
        log.info("accepted from Slack: a message%s", "" if new else ", for the second time")
        return BoltResponse(status=200, body="")

    async def _is_ours(self, said: Body) -> bool:
        """Whether it shows a file that we shared: of that Slack need not say that a bot did."""
        if not said.get("files"):
            return False
        if not self._own_user:
            self._own_user = str((await self.client.auth_test())["user_id"])
        return bool(said["user"] == self._own_user)

    async def _under_a_card(self, body: Body) -> BoltResponse:
        """Words in a card's thread: a note where the settings say so; else a word on where notes go."""
        said, actor, done = body["event"], _actor(body), BoltResponse(status=200, body="")
        channel, card = str(said["channel"]), str(said["thread_ts"])
        case_id = await self._ports.case_of_card(channel, card, actor)
        if case_id is None:
            return done
        if not self._settings.thread_notes:
            if (actor.id, card) not in self._hinted:
                if len(self._hinted) >= HINTS:
                    self._hinted.clear()
                self._hinted.add((actor.id, card))
                self._whisper(actor, card, NOTES_GO)
            return done
        if (channel, str(said["ts"])) in self._refused:
            return done  # read back: they were told, and it is on the record
        if not await self._allowed(actor, "note"):
            if len(self._refused) >= HINTS:
                self._refused.clear()
            self._refused.add((channel, str(said["ts"])))
            self._whisper(actor, card, NOT_AN_OFFICER)
            return done
        words = unescaped(str(said["text"]))
        if said.get("files"):
            words = f"{words}\n[{len(said['files'])} attached in Slack, and not here]".strip()
        payload = pack(Note(case_id, actor, words))
        key = _identity("note", str(body["team_id"]), channel, str(said["ts"]))
        new = await self._ports.accept(key, payload, case_id)
        log.info("accepted from Slack: a note%s", "" if new else ", for the second time")
        if new:
            self._whisper(actor, card, NOTED_HERE)
        return done

    def _whisper(self, actor: Actor, card: str, text: str) -> None:
        """Say something under a card to one person. The acknowledgement does not wait for it."""

        async def say() -> None:
            try:
                await self.client.chat_postEphemeral(
                    channel=self._settings.channel, user=actor.id.rpartition("/")[2], thread_ts=card, text=text
                )
            except FAILURES as error:
                log.warning("somebody could not be told: %s", failure(error).code)

        task = asyncio.create_task(say())
        self._whispering.add(task)
        task.add_done_callback(self._whispering.discard)

    async def _publish(self, actor: Actor, chosen: home.Chosen) -> None:
        user = actor.id.rpartition("/")[2]
        if not await self._officers.may(actor, "queue"):
            await self.client.views_publish(user_id=user, view=home.visitors_home())
            return
        board = await self._ports.board(actor, chosen.lists, chosen.limit, offset=chosen.offset, sector=chosen.sector)
        acts = await self._officers.may(actor, cards.CLAIM)
        view = home.home(
            board,
            chosen=chosen,
            now=self._ports.now(),
            zone=self._settings.zone,
            acts=acts,
            show_content=self._settings.show_content,
        )
        if await self._sees_figures(actor):
            view = figures.with_button(view)
        await self.client.views_publish(user_id=user, view=view)

    def _see_it_done(self, body: Body, key: str) -> None:
        """After an act from the Home tab, or from a modal that was opened there: show the tab anew once it is performed,
        which is another's business."""
        chosen = home.Chosen.of_act(body)
        if chosen is not None:
            task = asyncio.create_task(self._shown_when_done(body, key, chosen))
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    async def _shown_when_done(self, body: Body, key: str, chosen: home.Chosen) -> None:
        try:
            for _ in range(FOLLOWED):
                await asyncio.sleep(FOLLOWED_EVERY_SECONDS)
                if not await self._ports.waits(key):
                    break
            await self._publish(_actor(body), chosen)
        except Exception as error:  # nothing was asked for here: what they did is kept, whatever Home shows
            log.warning("a Home tab was not shown anew: %s", _code(error))

    async def _rota_form(self, body: Body) -> BoltResponse:
        """Who is away goes on the rota before the form is acknowledged; the same form again changes nothing."""
        actor = _actor(body)
        if not await self._allowed(actor, "away"):
            return _errors({rota.PERSON: NOT_AN_OFFICER})
        said = rota.read_form(body["view"]["state"]["values"])
        if isinstance(said, dict):
            return _errors(said)
        person, cover = forms.colleague(actor, said.person), forms.colleague(actor, said.cover) if said.cover else None
        if cover is not None and not await self._officers.may(cover, "view"):
            return _errors({rota.COVER: "Only the desk's own people can be chosen."})
        if said.first is None:
            result = await self._ports.back(actor, person)
        else:
            result = await self._ports.away(actor, person, first=said.first, last=said.last, cover=cover)
        if isinstance(result, Refused):
            return _errors({rota.PERSON: mrkdwn(result.said, 150)})
        log.info("accepted from Slack: a change of the rota%s", "" if result.changed else ", for the second time")
        shown = [cards.section(mrkdwn(result.said, 2000)).to_dict(), *await self._rota_now(button=False)]
        view = {"type": "modal", "title": {"type": "plain_text", "text": "Duty rota"}, "blocks": shown}
        return BoltResponse(status=200, body={"response_action": "update", "view": view})

    async def _rota_now(self, *, button: bool = True) -> list[dict[str, Any]]:
        days = await self._ports.rota()
        return rota.rota_blocks(days, button=button) if days else [cards.section(rota.NO_ROTA).to_dict()]

    async def _show_rota_form(self, body: Body) -> None:
        actor = _actor(body)
        if not await self._allowed(actor, "away"):
            await self._tell(body, NOT_AN_OFFICER)
            return
        now = self._ports.now().astimezone(self._settings.zone)
        await self._open(body, rota.away_modal(actor.id.rpartition("/")[2], now))

    async def _command(self, body: Body) -> str | list[dict[str, Any]] | None:
        """What to answer to a slash command, for one person's eyes; None where a modal opened instead."""
        actor = _actor(body)
        word, _, rest = str(body.get("text") or "").strip().partition(" ")
        word, rest = word.lower(), rest.strip()
        if word in ("", "help"):
            return [cards.section(home.HELP).to_dict()]
        if word == "new":
            await self._open(body, self._consult_modal(clean(rest)))
            return None
        if not await self._allowed(actor, "queue"):
            return NOT_AN_OFFICER
        match word:
            case "queue" | "due" | "mine":
                return await self._listed(actor, word)
            case "show":
                return await self._shown(body, actor, rest)
            case "search":
                return await self._searched(actor, rest)
            case "rota":
                # The form opens in place of an answer.
                return await (self._show_rota_form(body) if rest.lower() == "away" else self._rota_now())
            case "report":
                return await self._reported(actor)
            case _:
                return f"There is no {word}. Say help to see what there is."

    async def _reported(self, actor: Actor) -> list[dict[str, Any]]:
        if await self._sees_figures(actor):
            return figures.answer(await self._ports.figures(actor))
        board = await self._ports.board(actor, (), 0)
        return [cards.section(home.month_said(board.overview)).to_dict()]

    async def _listed(self, actor: Actor, word: str) -> list[dict[str, Any]]:
        which = {"queue": (Which.OPEN,), "mine": (Which.MINE,), "due": (Which.OVERDUE, Which.DUE_TODAY)}[word]
        board = await self._ports.board(actor, which, home.SHOWN)
        blocks: list[dict[str, Any]] = []
        for one in which:
            total = board.overview.counts[one]
            blocks += home.cases_blocks(one, board.lists[one], total=total, zone=self._settings.zone)
        return blocks

    async def _shown(self, body: Body, actor: Actor, reference: str) -> str | None:
        case_id = await self._ports.case_called(reference, actor) if reference else None
        view = await self._view(case_id, actor) if case_id else None
        if view is None:
            return NO_SUCH_CASE
        await self._open(body, view)
        return None

    def _consult_modal(self, words: str) -> dict[str, Any]:
        if self._settings.show_content:
            return consult.consult_modal(words=words)
        return consult.elsewhere_modal(self._settings.address)

    async def _searched(self, actor: Actor, words: str) -> str:
        if not self._settings.show_content:
            return AT_THE_TERMINAL
        found = await self._ports.search(words.split(), actor)
        if found is None:
            return "Give from one to twenty words to look for."
        more = "" if found.whole else " There may be more: the rest of the record was not looked through in time."
        if not found.references:
            return f"Nothing was found.{more}"
        return f"Found in {', '.join(found.references)}.{more} Say show with a reference to open one."

    async def _decision(self, body: Body) -> BoltResponse:
        actor, view = _actor(body), body["view"]
        if not await self._allowed(actor, cards.DECIDE):
            return _errors({modals.REASON: NOT_AN_OFFICER})
        if not self._settings.show_content:
            return _errors({modals.REASON: AT_THE_TERMINAL})
        parsed = modals.parse_decision(view["state"]["values"], modals.case_of(view), actor)
        if isinstance(parsed, dict):
            return _errors(parsed)
        return await self._keep(parsed, body, view["id"])

    async def _keep(self, act: Act, body: Body, occasion: str) -> BoltResponse:
        """Commit an act under what makes it this one: who, on which press or form, doing what.

        The words belong to it, so that a form sent again with other reasons, after an acknowledgement that got lost, is not
        swallowed. The key is a hash over all of it; the occasion is kept nowhere, so the hash gives no words away.
        """
        payload = pack(act)
        key = _identity(_team(body), str(act.by), occasion, payload)
        new = await self._ports.accept(key, payload, act.case_id)
        log.info("accepted from Slack: %s%s", type(act).__name__, "" if new else ", for the second time")
        self._see_it_done(body, key)
        return BoltResponse(status=200, body="")

    async def _allowed(self, actor: Actor, what: str) -> bool:
        """Whether they may; a refusal goes on the record."""
        if await self._officers.may(actor, what):
            return True
        await self._ports.refuse(actor, what)
        log.warning("refused in Slack: %s is for officers", what)
        return False

    async def _open(self, body: Body, view: dict[str, Any], *, on_top: bool = False) -> None:
        trigger, view = body["trigger_id"], home.opened_from(body, view)
        try:
            if on_top:
                await self.client.views_push(trigger_id=trigger, view=view)
            else:
                await self.client.views_open(trigger_id=trigger, view=view)
        except FAILURES as error:
            late = isinstance(error, SlackApiError) and error_code(error) in TRIGGER_GONE
            log.warning("a modal was not opened: %s", "trigger_gone" if late else failure(error).code)
            await self._tell(body, PRESS_AGAIN if late else TROUBLE)

    async def _tell(self, body: Body, text: str) -> None:
        """Say something to whoever acted, seen by nobody else: where they acted, else in the duty channel, else in their own
        conversation with the app. If even that fails there is nobody left to tell."""
        user, said = str(body["user_id"] if "user_id" in body else body["user"]["id"]), mrkdwn(text, 2000)
        try:
            if await _answered_there(str(body.get("response_url") or ""), said):
                return
            await tell_one(self.client, self._settings.channel, user, said)
        except FAILURES as error:
            log.warning("an officer could not be told: %s", failure(error).code)


async def _answered_there(response_url: str, said: str) -> bool:
    """Whether it could be said where they pressed, which works in channels that the app is not in."""
    if not response_url:
        return False
    webhook = AsyncWebhookClient(response_url, timeout=TIMEOUT_SECONDS, logger=library_logger(), retry_handlers=[])
    answer = await webhook.send(text=said, response_type="ephemeral", replace_original=False)
    return answer.status_code == 200


def _identity(*parts: str | bytes) -> str:
    """What makes something kept this one: a hash that gives nothing away."""
    told = json.dumps([part.decode() if isinstance(part, bytes) else part for part in parts])
    return f"slack:{hashlib.sha256(told.encode()).hexdigest()}"


def _code(error: Exception) -> str:
    return failure(error).code if isinstance(error, SlackApiError) else type(error).__name__


def _words_of(body: Body) -> str:
    """The words of the message that a shortcut was chosen on, for the form; of anything else none."""
    message = body.get("message") if body.get("type") == "message_action" else None
    return clean(str(message.get("text") or "")) if isinstance(message, dict) else ""


def _kind(body: Body) -> tuple[str, str]:
    match body:
        case {
            "type": "event_callback",
            "event": {"type": "message", "channel_type": str(kind), "user": str(), "text": str()} as said,
        }:
            typed = said.get("subtype") in _TYPED and not said.keys() & {"bot_id", "hidden"}
            return ("message", kind) if typed else ("", "")
        case {"type": "block_actions", "actions": [{"action_id": str(action_id)}, *_]}:
            return "block_actions", action_id
        case {"type": "view_submission", "view": {"callback_id": str(callback_id)}}:
            return "view_submission", callback_id
    return "", ""


def _is_in_a_thread(said: Body, channel: str) -> bool:
    """Whether it was said under a post of that channel."""
    return said["channel"] == channel and said.get("thread_ts") not in (None, said["ts"])


def _actor(body: Body) -> Actor:
    if "command" in body:
        return Actor("slack", f"{body['team_id']}/{body['user_id']}")
    if "event" in body:
        return Actor("slack", f"{body['team_id']}/{body['event']['user']}")
    user = body["user"]
    return Actor("slack", f"{user.get('team_id') or _team(body)}/{user['id']}")


def _team(body: Body) -> str:
    """The workspace; for an app that a whole organisation installed, the organisation."""
    return str((body.get("team") or body["enterprise"])["id"])


def _case_id(body: Body) -> str:
    return str(body["actions"][0]["value"])


def _first_field(view: Body) -> str:
    """Where an error is shown that belongs to no field."""
    return next((str(block["block_id"]) for block in view["blocks"] if block["type"] == "input"), "form")


def _errors(errors: dict[str, str]) -> BoltResponse:
    return BoltResponse(status=200, body={"response_action": "errors", "errors": errors})
