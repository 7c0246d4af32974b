"""Looks the house over and says how to mend what is wrong. Reads only; sends nothing."""

from __future__ import annotations

import asyncio
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Literal

from cryptography import x509
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from intake_bot.casework.desk import Actor, DeliveryFailed
from intake_bot.casework.duty import DAYS
from intake_bot.house import House
from intake_bot.mail.clients import LOOPBACK as LOOPBACK_NETWORKS
from intake_bot.mail.clients import parse_networks
from intake_bot.mail.tls import CertificateProblem, load
from intake_bot.roles import ALL, Role, told
from intake_bot.sandbox import SandboxFailed
from intake_bot.service import SandboxTriager, make_relay_post, make_slack_settings
from intake_bot.settings import LOOPBACK, Mail, Settings, SettingsProblem, Slack
from storage import schema
from storage.engine import Database
from storage.seats import seated
from storage.tables import SIMULATED, Meta

Level = Literal["ok", "note", "bad"]

RELAY_FAULTS = {
    "relay_login_refused": "{} refuses the login: check mail.relay.username and password",
    "relay_certificate_not_verified": "{} has a certificate that is not to be believed: check host and authority_file",
    "relay_refused": "{} refuses us at the greeting: check that it takes mail from this machine",
    "relay_unreachable": "no connection to {}: check host, port and starttls",
}
CERTIFICATE_NOTICE = timedelta(days=14)
MISTYPED = re.compile(r"<?@.*|\S+@\S+|(?i:(?:[a-z0-9]+/)?[uws]\d[a-z0-9]{3,})")
"""What is read as a name at the terminal in the rota, and may have been meant for something of Slack's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``level``: ok; note (works, but somebody should know); bad (does not work)."""

    what: str
    level: Level
    says: str


async def examine(house: House) -> list[Finding]:
    """Everything that can be looked at without changing anything."""
    return [
        *_database(house),
        *_folder(house),
        *_letters(house),
        *_mail(house),
        *await _relay(house),
        *await _slack(house),
        *called_upon(house.settings),
        *await _triage(house),
    ]


def _database(house: House) -> list[Finding]:
    kind = "SQLite" if house.database.is_sqlite else "PostgreSQL"
    with house.database.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        revision = schema.current(connection)
    findings = [Finding("database", "ok", f"{kind}, revision {revision}")]
    with house.database.read() as session:
        simulated = session.get(Meta, SIMULATED)
    if simulated is not None:
        findings.append(
            Finding("database", "note", "this record is a simulated year: take mail with another data folder")
        )
    return [*findings, *_nodes(house), *_keys(house)]


def _nodes(house: House) -> list[Finding]:
    """Who serves from this PostgreSQL now. Whether this configuration would be one of them is seen when it starts."""
    roles = house.settings.service.roles
    if house.database.is_sqlite:
        if roles == ALL:
            return []
        return [
            Finding("nodes", "bad", "service.only needs PostgreSQL (database.url): on SQLite one process does it all")
        ]
    # Anybody may name a connection as ours are named.
    words = {"all", *Role}
    nodes = [node for node in seated(house.database) if words & set(node.roles.split(","))]
    if not nodes:
        return [Finding("nodes", "note", "no node serves from this database now: intake-bot serve")]
    findings = [Finding("nodes", "ok", "; ".join(f"{node.name} does {node.roles}" for node in nodes))]
    done = {role for role in Role for node in nodes if {"all", role} & set(node.roles.split(","))}
    missing = told(ALL - done - _optional(house))
    if missing:
        says = f"nobody does {missing}: start a node with intake-bot serve --only {missing}"
        findings.append(Finding("nodes", "bad", says))
    if len(set(nodes)) < len(nodes):
        findings.append(
            Finding(
                "nodes", "bad", "two nodes have one name: give each a service.node of its own, and start them again"
            )
        )
    return findings


def _optional(house: House) -> frozenset[Role]:
    return frozenset() if house.settings.slack.enabled else frozenset({Role.SLACK})


def _keys(house: House) -> list[Finding]:
    findings = []
    if not house.keys.has_recovery_key:
        findings.append(
            Finding(
                "keys",
                "note",
                "no recovery key has been taken: if the master key is lost, everything is; intake-bot keys recovery",
            )
        )
    if same_server(house.keys.database, house.database):
        findings.append(
            Finding(
                "keys",
                "note",
                "the key store lies on the content's PostgreSQL server: a destroyed key lives on in that server's own "
                "base backups and archives, whichever of its databases it was in, for as long as they are kept; set "
                "keys.store to a database on another server",
            )
        )
    return findings or [Finding("keys", "ok", "the master key opens the key store, and a recovery key was taken")]


def same_server(one: Database, other: Database) -> bool:
    """Whether both are databases of one PostgreSQL server, whose base backups and archives then hold both."""
    return not one.is_sqlite and not other.is_sqlite and _server(one) == _server(other)


def _server(database: Database) -> str:
    """The server's own identifier, which is the same under each of its host names; where it is not told, host and port."""
    url = database.engine.url
    try:
        with database.engine.connect() as connection:
            return str(connection.execute(text("SELECT system_identifier FROM pg_control_system()")).scalar_one())
    except SQLAlchemyError:
        return f"{url.host or url.query.get('host', '')}:{url.port or url.query.get('port', 5432)}"


def _folder(house: House) -> list[Finding]:
    mode = stat.S_IMODE(house.data_dir.stat().st_mode)
    if mode & 0o077:
        return [Finding("data folder", "bad", f"others can enter it: chmod 700 {house.data_dir}")]
    return [Finding("data folder", "ok", "only this user can enter it")]


def _letters(house: House) -> list[Finding]:
    office = house.settings.office
    numbers = {
        "office.duty_phone": (office.duty_phone, "whom to ring when nobody has answered"),
        "office.front_door_phone": (office.front_door_phone, "the children's front door"),
        "office.emergency_duty_phone": (office.emergency_duty_phone, "the Emergency Duty Team"),
        "office.privacy_notice_url": (office.privacy_notice_url, "the privacy notice"),
    }
    absent = [
        Finding("letters", "note", f"{key} is not set: acknowledgements leave out {what}")
        for key, (value, what) in numbers.items()
        if not value
    ]
    return [*(absent or [Finding("letters", "ok", "every number and address is set")]), _advice(house)]


def _advice(house: House) -> Finding:
    letters = house.settings.letters
    if not house.practice.advice.way_is_safe:
        return Finding(
            "advice", "note", "mail.relay.starttls is off: no advice leaves (letters.advice_without_tls would let it)"
        )
    if not letters.marking:
        return Finding("advice", "note", "letters.marking is empty: advice bears no protective marking")
    if not (letters.subject_tag or letters.secure_header):
        return Finding(
            "advice", "note", "neither letters.subject_tag nor secure_header tells a mail gateway to encrypt advice"
        )
    return Finding("advice", "ok", f"marked {letters.marking}, and your mail gateway is told to encrypt it")


def _mail(house: House) -> list[Finding]:
    mail = house.settings.mail
    findings = []
    if mail.address.rpartition("@")[2] in LOOPBACK:
        findings.append(
            Finding("mail", "note", "mail.address is not set: letters come from a local address, replies cannot arrive")
        )
    if not mail.recipients:
        findings.append(Finding("mail", "note", "mail.recipients is not set: mail for anybody is taken, on loopback"))
    if not mail.authserv_id:
        findings.append(
            Finding("mail", "note", "mail.authserv_id is not set: no sender's authentication is known to the desk")
        )
    if mail.networks and not set(parse_networks(mail.relays)) - set(LOOPBACK_NETWORKS):
        findings.append(
            Finding("mail", "note", "mail.relays names no mail server of yours: it is limited as any other client is")
        )
    if mail.verify_senders and any(find_spec(name) is None for name in ("authheaders", "dkim", "dns", "spf")):
        findings.append(Finding("mail", "bad", "mail.verify_senders is on: install intake-bot[mx] for it"))
    return [
        *(findings or [Finding("mail", "ok", f"{mail.protocol} on {mail.host}:{mail.port}")]),
        *_certificate(mail, now=datetime.now(UTC)),
    ]


def _certificate(mail: Mail, *, now: datetime) -> list[Finding]:
    """Whether the files as they are now would be taken up, and for how long they hold."""
    if mail.tls == "off":
        if mail.host in LOOPBACK:
            return []
        return [Finding("tls", "note", "mail.tls is off: what your mail server hands over can be read on the way")]
    assert mail.tls_certificate is not None  # noqa: S101 (the settings see to both)
    assert mail.tls_key is not None  # noqa: S101
    try:
        load(mail.tls_certificate, mail.tls_key)
        until = x509.load_pem_x509_certificate(mail.tls_certificate.read_bytes()).not_valid_after_utc
    except CertificateProblem as problem:
        return [
            Finding("tls", "bad", f"{problem}: a running service stays with the pair before, a new one won't start")
        ]
    except (OSError, ValueError):
        return [Finding("tls", "bad", f"{mail.tls_certificate} is no certificate in PEM")]
    if until <= now:
        return [Finding("tls", "bad", f"the certificate ran out on {until:%d %B %Y}: put a new one in its place")]
    if until - now < CERTIFICATE_NOTICE:
        return [Finding("tls", "note", f"the certificate runs out on {until:%d %B %Y}")]
    return [Finding("tls", "ok", f"STARTTLS is {mail.tls}; the certificate holds until {until:%d %B %Y}")]


async def _relay(house: House) -> list[Finding]:
    relay = house.settings.mail.relay
    if not relay.host:
        return [Finding("relay", "note", f"none set: outgoing mail is written to {house.outgoing_dir}")]
    try:
        post = make_relay_post(relay.model_copy(update={"timeout_seconds": min(relay.timeout_seconds, 10)}))
        await post.check()
    except SettingsProblem as problem:
        return [Finding("relay", "bad", str(problem))]
    except DeliveryFailed as failure:
        where = f"{relay.host}:{relay.port}"
        return [
            Finding("relay", "bad", RELAY_FAULTS.get(failure.code, RELAY_FAULTS["relay_unreachable"]).format(where))
        ]
    await post.close()
    if not relay.starttls and relay.host not in LOOPBACK:
        return [Finding("relay", "note", "mail.relay.starttls is off: letters can be read on the way to the relay")]
    return [Finding("relay", "ok", f"{relay.host}:{relay.port} answers" + (" over TLS" if relay.starttls else ""))]


async def _slack(house: House) -> list[Finding]:
    if not house.settings.slack.enabled:
        return [Finding("slack", "note", "no tokens set: the duty desk is the terminal that serve runs in")]
    from intake_bot.slack.desk import SlackDesk

    findings = [Finding("slack", "bad", says) for says in await SlackDesk(make_slack_settings(house.settings)).check()]
    return findings or [Finding("slack", "ok", "the tokens work and the duty channel is private")]


def called_upon(settings: Settings) -> list[Finding]:
    """Whether those whom the rota and the routing rules name may act, as far as the settings say so: nobody is asked."""
    routing = settings.routing.routing()
    named: dict[Actor, list[str]] = {}
    for key, people in (
        *((f"rota.{day}", people) for day, people in zip(DAYS, settings.rota.week().days, strict=True)),
        *(("routing.rules", rule.people) for rule in routing.rules),
        ("routing.share_among", routing.share_among),
    ):
        for one in people:
            named.setdefault(one, []).append(key)
    findings = []
    for one, keys in named.items():
        if (wrong := _cannot_act(settings.slack, one)) is not None:
            level, says = wrong
            findings.append(Finding("rota", level, f"{one.id} ({', '.join(dict.fromkeys(keys))}) {says}"))
    if findings or not named:
        return findings
    unknown = f"; who is in {', '.join(_groups(settings.slack))} is not looked up" if _groups(settings.slack) else ""
    return [Finding("rota", "ok", f"everybody whom the rota and the routing rules name may act{unknown}")]


def _cannot_act(slack: Slack, one: Actor) -> tuple[Level, str] | None:
    """Why somebody may be called upon in vain, and what to do about it; None where nothing says so."""
    if one.kind != "slack":
        if not MISTYPED.fullmatch(one.id):
            return None
        return "note", (
            "is read as a name at the terminal; if somebody in Slack is meant, write U0123456789 or TEAM/U0123456789, in "
            "capitals and without an @ (a user group or a mail address cannot be called upon)"
        )
    if not slack.enabled:
        return (
            "note",
            "is a Slack user, and there is no desk in Slack: set up [slack], or name somebody at the terminal",
        )
    user = one.id.rpartition("/")[2]
    if user in {named.rpartition("/")[2] for named in (*slack.officers, *slack.managers)} or _groups(slack):
        return None
    return "bad", "may not claim a case: add them to slack.officers or slack.managers, or take them out there"


def _groups(slack: Slack) -> list[str]:
    """The user groups that may act: who is in them only Slack knows."""
    return sorted({named for named in (*slack.officers, *slack.managers) if named.startswith("S")})


async def _triage(house: House) -> list[Finding]:
    if not house.settings.triage.enabled:
        return [Finding("triage", "note", "switched off: cards come without a suggestion")]
    triager = SandboxTriager(60)
    try:
        suggestion = await triager.suggest("A check that triage works.", subject="", sender=None)
    except SandboxFailed as failure:
        return [Finding("triage", "bad", f"it does not start ({failure.code}): install again with make demo")]
    finally:
        await asyncio.shield(triager.stop())
    return [Finding("triage", "ok", f"{suggestion.engine} {suggestion.version}")]
