"""The commands. Names, options and JSON are what scripts and other systems hold on to: fields are added, never changed.

Exit status: 0 done; 1 the thing asked for failed or does not hold; 2 the command line or the configuration is wrong. Heavy
imports are put off into the commands, so that ``serve`` says that it is starting before it loads anything.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import select
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intake_bot import (
    advice_commands,
    backup_commands,
    casework_commands,
    import_commands,
    keys_commands,
    model_commands,
    new_commands,
    report_commands,
    retention_commands,
    rota_commands,
    search_commands,
    senders_commands,
)
from intake_bot.command import (
    DEFAULT_DATA,
    EXIT_FAILED,
    SERVICE_KEYS_AHEAD,
    ByOption,
    CaseArgument,
    ConfigOption,
    DataOption,
    JsonOption,
    acting,
    case_id_of,
    failed,
    found_case,
    load_settings,
    moment_of,
    now_utc,
    opened_house,
    print_json,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from intake_bot.casework.acts import Act
    from intake_bot.house import House
    from intake_bot.roles import Role

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
config_app = typer.Typer(no_args_is_help=True, help="The configuration.")
slack_app = typer.Typer(no_args_is_help=True, help="The duty desk in Slack.")
app.add_typer(config_app, name="config")
app.add_typer(slack_app, name="slack")
advice_commands.add_to(app)
backup_commands.add_to(app)
casework_commands.add_to(app)
new_commands.add_to(app)
keys_commands.add_to(app)
model_commands.add_to(app)
retention_commands.add_to(app)
search_commands.add_to(app)
senders_commands.add_to(app)
report_commands.add_to(app)
rota_commands.add_to(app)
import_commands.add_to(app)


def main() -> None:
    """The program's entry point."""
    try:
        app()
    except Exception as fault:  # a fault nobody foresaw: where it happened, but not its words, which may be content
        from intake_bot.logs import ContentFreeFormatter

        print(ContentFreeFormatter().formatException((type(fault), fault, fault.__traceback__)), file=sys.stderr)
        sys.exit(EXIT_FAILED)


@app.command()
def serve(
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="ROLES",
            help="One node of several: what it does, of mail,worker,clock,slack; default: all.",
        ),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Run the service until SIGTERM, which drains it and leaves nothing half-done."""
    # Until the service runs there is nothing to drain: a stop that comes so early ends with 0 all the same.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    print("intake-bot is starting ...", flush=True)
    from intake_bot import logs, roles
    from intake_bot.terminal import PRINTING

    try:
        wanted = roles.parse(only) if only is not None else None
    except ValueError as problem:
        wrong(str(problem))
    listener = logs.set_up()
    # Whatever way it ends; a reader who does not read keeps nobody from ending.
    atexit.register(listener.stop)
    with (
        opened_house(config, data, keys_ahead=SERVICE_KEYS_AHEAD) as house,
        asyncio.Runner(loop_factory=_loop_factory(house.settings.service.event_loop)) as runner,
    ):
        runner.run(_serve(house, wanted))
    if any(thread.name == PRINTING for thread in threading.enumerate()):
        # It waits for a reader who has stopped reading, and Python's own end would wait with it. All is closed.
        listener.stop()
        os._exit(0)


def _loop_factory(wanted: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the service's event loop; None for asyncio's own."""
    if wanted == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        if wanted == "uvloop":
            wrong("service.event_loop: uvloop is not installed; install intake-bot[uvloop], or say auto")
        return None
    return uvloop.new_event_loop


async def _serve(house: House, wanted: frozenset[Role] | None) -> None:
    from rich.console import Console

    from intake_bot.roles import ALL, Role, told
    from intake_bot.service import Service
    from intake_bot.settings import SettingsProblem

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        service = Service(house, console=Console(), roles=wanted)
        await service.start()
    except SettingsProblem as problem:
        wrong(str(problem))
    except OSError as fault:
        mail = house.settings.mail
        wrong(f"cannot listen on {mail.host}:{mail.port} ({fault.strerror or type(fault).__name__})")
    settings = house.settings
    if Role.MAIL in service.roles:
        print(f"taking mail: {settings.mail.protocol} on {settings.mail.host}:{service.mail.port}", flush=True)
    if Role.WORKER in service.roles:
        print(f"outgoing mail: {settings.mail.relay.host or house.outgoing_dir}", flush=True)
        print(f"duty desk: {'Slack' if settings.slack.enabled else 'this terminal'}", flush=True)
    if service.roles != ALL:
        print(f"this node does: {told(service.roles)}", flush=True)
    await stop.wait()
    _say("stopping: finishing what is in hand ...")
    await service.stop()
    _say("stopped")


def _say(text: str) -> None:
    """Print, unless whoever reads has stopped reading: no stop waits for a pager."""
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [sys.stdout], [], 0)[1]:
            print(text, flush=True)


@app.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the throw-away folder behind and say where it is.")
    ] = False,
    config: ConfigOption = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Use this folder instead.")] = None,
) -> None:
    """The whole story in a throw-away folder, on loopback, with a clock that the demo moves."""
    from intake_bot.demo import run
    from intake_bot.settings import SettingsProblem

    try:
        raise typer.Exit(asyncio.run(run(config, data, keep=keep)))
    except SettingsProblem as problem:
        wrong(str(problem))


@app.command()
def doctor(json_: JsonOption = False, config: ConfigOption = None, data: DataOption = DEFAULT_DATA) -> None:
    """Check configuration, database, keys, relay, Slack and model, and say how to mend what is wrong."""
    from rich.console import Console
    from rich.markup import escape

    from intake_bot.doctor import examine

    with opened_house(config, data) as house:
        findings = asyncio.run(examine(house))
    console = Console()
    for finding in findings:
        if json_:
            print_json({"what": finding.what, "level": finding.level, "says": finding.says})
        else:
            mark = {"ok": "[green]ok  [/]", "note": "[yellow]note[/]", "bad": "[red]bad [/]"}[finding.level]
            # What it says may name a section, which rich would take for a style.
            console.print(f"{mark} {finding.what}: {escape(finding.says)}", highlight=False)
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def status(json_: JsonOption = False, config: ConfigOption = None, data: DataOption = DEFAULT_DATA) -> None:
    """How much waits: accepted, outgoing, reminders due, parked, unfiled."""
    from intake_bot.casework import views

    with opened_house(config, data) as house, house.database.read() as session:
        counts = views.status_json(session, now=now_utc())
    if json_:
        print_json(counts)
    else:
        for name, count in counts.items():
            print(f"{name.replace('_', ' '):18} {'never' if count is None else count}")


@app.command()
def messages(
    json_: JsonOption = False,
    since: Annotated[str | None, typer.Option(metavar="T", help="RFC 3339; only from then on.")] = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Every message, in and out, oldest first."""
    from intake_bot.casework import views

    moment = moment_of(since) if since else None
    with opened_house(config, data) as house:
        _record_reading(house, "messages")
        with house.database.read() as session:
            for message in views.messages_json(session, house.practice, since=moment):
                if json_:
                    print_json(message)
                else:
                    where = "parked" if message["parked"] else message["case"] or "unfiled"
                    arrow = "in " if message["direction"] == "in" else "out"
                    print(f"{message['received_at']}  {arrow}  {where:16}  {message['id']}")


@app.command()
def cases(
    json_: JsonOption = False,
    status: Annotated[str | None, typer.Option(metavar="S", help="Only those with this status.")] = None,
    due_before: Annotated[
        str | None, typer.Option(metavar="T", help="RFC 3339; with an open target due before.")
    ] = None,
    officer: Annotated[str | None, typer.Option(metavar="O", help="Only those of this officer.")] = None,
    by: ByOption = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """The cases, oldest first; of restricted ones those that whoever asks may see."""
    from intake_bot.casework import views
    from intake_bot.casework.vocabulary import Status

    if status is not None and status not in set(Status):
        wrong(f"--status must be one of {', '.join(Status)}")
    moment = moment_of(due_before) if due_before else None
    with opened_house(config, data) as house, house.database.read() as session:
        for case in views.cases_json(session, status=status, due_before=moment, officer=officer, reader=acting(by)):
            if json_:
                print_json(case)
            else:
                print(f"{case['case']:16} {case['status']:12} {case['received_at']}  {case['officer'] or '-'}")


@app.command()
def show(
    case: CaseArgument, json_: JsonOption = False, config: ConfigOption = None, data: DataOption = DEFAULT_DATA
) -> None:
    """One case with everything on it. The access goes on the record."""
    from intake_bot.casework import views
    from intake_bot.terminal import print_case

    with opened_house(config, data) as house:
        with found_case(house, case) as (session, row):
            views.record_access(session, row, acting(None), "show", now=now_utc())
            shown = views.show_json(session, house.practice, row) if json_ else None
            view = None if json_ else views.whole(session, house.practice, row)
        if shown is not None:
            print_json(shown)
        if view is not None:
            print_case(view, house.settings.office.zone)


@app.command()
def attachment(
    case: CaseArgument,
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="Which one, counted from 1.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it; must not exist yet.")],
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Write an original file of a case, as it came. It has not been scanned. The access goes on the record."""
    from intake_bot.casework import views
    from intake_bot.casework.files import NOT_SCANNED
    from intake_bot.mail.limits import Limits
    from intake_bot.mail.reading import attachment_bytes

    with opened_house(config, data) as house, found_case(house, case) as (session, row):
        found = views.attachment(session, house.practice, row, number)
        if found is None:
            failed(f"{row.reference} has no attachment {number}")
        views.record_access(session, row, acting(None), f"attachment/{number}", now=now_utc())
    meta, raw = found
    index, sha256 = meta["part_index"], meta["sha256"]
    content = raw if index < 0 else attachment_bytes(raw, index, Limits(), sha256=sha256)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as fault:
        failed(f"{out}: {fault.strerror}")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    print(f"{len(content)} bytes, {NOT_SCANNED}", file=sys.stderr)


@app.command()
def triage(
    source: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="A text or an .eml file; - is standard input.")
    ] = "-",
    json_: JsonOption = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Many: JSON Lines in on stdin, JSON Lines out.")] = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """The suggestion for one text or .eml, or for many. Nothing is stored."""
    from triage import engine

    mail = load_settings(config).mail
    loaded = engine.load()
    if jsonl:
        for number, line in enumerate(sys.stdin, 1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                subject, body = item.get("subject") or "", item.get("body") or ""
                suggestion = loaded.suggest(body, subject=subject, sender=item.get("from"))
            except (ValueError, AttributeError, TypeError):
                failed(f'line {number} is not an object with "id", "subject" and "body"')
            print_json({"id": item.get("id")} | suggestion.to_json())
        return
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as fault:
        failed(f"{source}: {fault.strerror}")
    subject, text, sender = _text_of(
        raw, is_mail=source.lower().endswith(".eml"), own_addresses={mail.address, *mail.recipients}
    )
    suggestion = loaded.suggest(text, subject=subject, sender=sender)
    if json_:
        print_json(suggestion.to_json())
    else:
        from rich.console import Console

        from intake_bot.terminal import suggestion_text

        Console().print(suggestion_text(suggestion, text))


@app.command()
def claim(
    case: CaseArgument, by: ByOption = None, config: ConfigOption = None, data: DataOption = DEFAULT_DATA
) -> None:
    """Take a case."""
    from intake_bot.casework.acts import Claim

    with opened_house(config, data) as house:
        _perform(house, Claim(case_id_of(house, case), acting(by)))


@app.command()
def release(
    case: CaseArgument, by: ByOption = None, config: ConfigOption = None, data: DataOption = DEFAULT_DATA
) -> None:
    """Give a case back."""
    from intake_bot.casework.acts import Release

    with opened_house(config, data) as house:
        _perform(house, Release(case_id_of(house, case), acting(by)))


@app.command()
def decide(
    case: CaseArgument,
    decision: Annotated[str, typer.Option(help="referral, consultation, transferred or no_further_action.")],
    category: Annotated[str, typer.Option(help="physical, emotional, sexual, neglect, conduct, private_life or none.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    criteria: Annotated[str, typer.Option(help="The harm-threshold criteria met, such as 1,3.")] = "",
    by: ByOption = None,
    at: Annotated[str | None, typer.Option(metavar="T", help="RFC 3339; when it was decided, if not now.")] = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Record an officer's decision."""
    from intake_bot.casework import officer
    from intake_bot.casework.acts import Decide
    from intake_bot.casework.vocabulary import DecisionKind
    from triage.vocabulary import Category, Criterion

    try:
        kind = DecisionKind(decision)
    except ValueError:
        wrong(f"--decision must be one of {', '.join(DecisionKind)}")
    try:
        nature = Category(category)
    except ValueError:
        wrong(f"--category must be one of {', '.join(Category)}")
    try:
        met = tuple(sorted({Criterion(int(part)) for part in criteria.split(",") if part.strip()}))
    except ValueError:
        wrong("--criteria must be numbers from 1 to 4, such as 1,3")
    moment = moment_of(at) if at else None
    with opened_house(config, data) as house:
        act = Decide(case_id_of(house, case), acting(by), kind, nature, met, reason)
        problems = officer.problems(act)
        if problems:
            wrong(" ".join(problems.values()))
        _perform(house, act, at=moment)


@app.command()
def tick(
    now: Annotated[str | None, typer.Option(metavar="T", help="RFC 3339; sweep as at this time.")] = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """One sweep of the clocks: what is due is really sent, and printed."""
    from intake_bot.casework.views import rfc3339
    from intake_bot.service import tick as run_tick

    moment = moment_of(now) if now else now_utc()
    with opened_house(config, data) as house:
        sweep, undelivered = asyncio.run(run_tick(house, now=moment))
        for sent in sweep:
            line = {
                "case": sent.case,
                "deadline": sent.deadline,
                "kind": sent.kind,
                "to": sent.to,
                "due_at": rfc3339(sent.due_at),
                "state": sent.state,
                "sent_at": rfc3339(sent.sent_at),
            }
            if json_:
                print_json(line)
            else:
                print(f"{line['case']}  {line['deadline']}/{line['kind']}  due {line['due_at']}  {line['state']}")
    if undelivered:
        failed(f"{undelivered} of them could not be delivered yet: they wait in the outbox, or are parked")


@app.command()
def explain(
    case: CaseArgument,
    target: Annotated[str | None, typer.Argument(metavar="[TARGET]", help="One target; default: all.")] = None,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """How each deadline of a case was reached, step by step."""
    from intake_bot.casework import deadlines

    with opened_house(config, data) as house, found_case(house, case, write=False) as (session, row):
        found = [one for one in deadlines.of_case(session, row.id) if target in (None, one.target)]
        if not found:
            kept = target is None or target in house.practice.clocks
            why = "" if kept else ": the settings keep no such clock"
            failed(f"{row.reference} has no deadline {target or ''}".rstrip() + why)
    for one in found:
        print(f"{one.target} ({one.state}): rule {one.rule}, calendar {one.calendar}")
        for sentence in deadlines.explained(one):
            print(f"  {sentence}")


@app.command()
def parked(
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show what came under that id, to whoever may see content.")
    ] = None,
    json_: JsonOption = False,
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """What could not be dealt with, coming in or going out. Nothing of it is lost: see replay and file.

    With an ID: the thing itself as it came, unread and not scanned. The look goes on the record.
    """
    from intake_bot.casework import views

    if identity is not None:
        _show_parked(identity.upper(), config, data)
        return
    with opened_house(config, data) as house, house.database.read() as session:
        lines = views.parked_json(session)
    for line in lines:
        if json_:
            print_json(line)
        else:
            print(f"{line['id']}  {line['channel']:6}  {line['received_at']}  {line['error']}  {line['case'] or ''}")


def _show_parked(identity: str, config: Path | None, data: Path) -> None:
    from storage import audit, spool
    from storage.claims import PARKED

    with opened_house(config, data) as house, house.database.write() as session:
        arrival = spool.get(session, house.practice.vault, identity)
        if arrival is None or spool.state_of(session, identity) != PARKED:
            failed("nothing that came in is parked under that id")
        audit.record(
            session,
            audit.SERVICE_CHAIN,
            at=now_utc(),
            actor=str(acting(None)),
            act="parked_seen",
            detail={"arrival": identity},
        )
    # What a terminal would obey is none of an officer's: shown, not sent.
    shown = arrival.raw.decode("utf-8", "backslashreplace")
    print("".join(one if one.isprintable() or one in "\n\t" else f"\\x{ord(one):02x}" for one in shown))


@app.command()
def replay(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The id that parked prints.")],
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Put something parked back in the queue; the service takes it within a second."""
    from storage import audit, outbox, spool

    with opened_house(config, data) as house, house.database.write() as session:
        now = now_utc()
        replayed = spool.replay(session, identity.upper(), now=now) or outbox.replay(session, identity.upper(), now=now)
        if not replayed:
            failed("nothing is parked under that id")
        audit.record(
            session,
            audit.SERVICE_CHAIN,
            at=now,
            actor=str(acting(None)),
            act="replayed",
            detail={"arrival": identity.upper()},
        )
    print("back in the queue")


@app.command("file")
def file_unread(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The id that parked prints.")],
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """File something parked under a new case as it is, unread; the original is its attachment 1."""
    from intake_bot.intake import file_parked

    with opened_house(config, data) as house, house.database.write() as session:
        reference = file_parked(session, house.practice, identity.upper(), by=acting(None), now=now_utc())
        if reference is None:
            failed("no mail or consultation is parked under that id")
    print(reference)


@app.command()
def verify(config: ConfigOption = None, data: DataOption = DEFAULT_DATA) -> None:
    """Prove that the record is whole: audit chains, signed heads, keys, and every sealed value. Names what does not hold."""
    from storage.verify import faults

    broken = False
    with opened_house(config, data) as house, house.database.read() as session:
        for fault in faults(session, house.practice.vault):
            broken = True
            print(fault, flush=True)
    if broken:
        raise typer.Exit(EXIT_FAILED)
    print("the audit chains, the signed heads, the keys and every sealed value hold")


@app.command()
def migrate(config: ConfigOption = None, data: DataOption = DEFAULT_DATA) -> None:
    """Bring the database to this version's schema (serve does so by itself)."""
    from storage import schema

    with opened_house(config, data) as house:
        print(f"the database is at revision {schema.upgrade(house.database)}")


@config_app.command("example")
def config_example() -> None:
    """Print the commented sample configuration, which is the manual."""
    from intake_bot.settings import example

    print(example(), end="")


@slack_app.command("manifest")
def slack_manifest(
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="For HTTP: where Slack reaches this service, https://...")
    ] = None,
    send_files: Annotated[
        bool, typer.Option("--send-files", help="With the scope that [slack] send_files needs, and nothing else does.")
    ] = False,
) -> None:
    """Print the app manifest, with exactly the scopes that are used: paste it where Slack asks for one."""
    from intake_bot.slack.manifest import manifest

    # No settings are read: the tokens that they want come from the app that is made of this.
    print(json.dumps(manifest(http_url=url, send_files=send_files), indent=2))


def _perform(house: House, act: Act, *, at: datetime | None = None) -> None:
    from intake_bot.casework import officer

    # As with tick, a time ahead of the clock means "as at": nothing on the record then lies after its own present.
    now = max(now_utc(), at) if at else now_utc()
    with house.database.write() as session:
        result = officer.perform(session, house.practice, act, now=now, at=at)
    if isinstance(result, officer.Refused):
        failed(result.said)
    print(result.said)


def _record_reading(house: House, what: str) -> None:
    from storage import audit

    with house.database.write() as session:
        audit.record(session, audit.SERVICE_CHAIN, at=now_utc(), actor=str(acting(None)), act="content_seen", code=what)


def _text_of(raw: bytes, *, is_mail: bool, own_addresses: set[str]) -> tuple[str, str, str | None]:
    """Subject, text and sender of a file: a mail where its name or its first lines say so, else plain text.

    Of a mail it is what would be read if the mail opened a case.
    """
    head = raw[:2000].lower()
    if not is_mail and not (b"\nfrom:" in b"\n" + head and (b"\nsubject:" in head or b"\nmime-version:" in head)):
        return "", raw.decode("utf-8", "replace"), None
    from intake_bot.casework.text_read import FULL_TEXT, NEW_WORDS, is_shortened, parts_read, text_read
    from intake_bot.mail.limits import Limits, ReadingFault
    from intake_bot.mail.reading import read

    try:
        reading = read(
            raw, envelope_from="", envelope_to=(), authserv_id=None, own_addresses=own_addresses, limits=Limits()
        )
    except ReadingFault as fault:
        failed(f"the mail cannot be read ({fault})")
    documents = [{"filename": item.filename, "text": item.text} for item in reading.documents]
    texts = (reading.body_text, reading.full_text, reading.signature_text)
    which = FULL_TEXT if is_shortened(*texts) and not reading.history_by_us else NEW_WORDS
    return reading.subject, text_read(*parts_read(which, *texts, documents)), reading.sender
