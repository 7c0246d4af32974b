"""One frozen settings object, from a TOML file and the environment. The sample that ``config example`` prints is the manual.

Every key is also ``INTAKE_BOT_<SECTION>_<KEY>`` in the environment, which wins over the file. Unknown keys are refused in
both, since a misspelt safeguard is no safeguard. Secrets are :class:`pydantic.SecretStr` and are never printed.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, Literal, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from intake_bot.casework.calendar import WorkingCalendar
from intake_bot.casework.clocks import FIELD, Clock, local_clocks
from intake_bot.casework.directory import SHARED_DOMAINS
from intake_bot.casework.duty import DAYS, Routing, SeniorManagers, ServiceManagers, Week, person, reachable
from intake_bot.casework.duty import Rule as RoutingRule
from intake_bot.casework.plan import ReminderPlan
from intake_bot.casework.targets import Rule
from intake_bot.mail.clients import parse_networks
from intake_bot.roles import ALL, Role, told

PREFIX = "INTAKE_BOT_"
MAX_LOCAL_PART = 45
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class SettingsProblem(Exception):
    """The settings cannot be used. The text names each key and what is wrong with it, never its value."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)


class Service(_Section):
    """Who runs this."""

    authority: str = Field("the council", description="The authority's name, as it appears in letters.")
    local_authority_names: tuple[str, ...] = Field(
        (), description="Other names of the authority in lists of schools, so that its own are told from another's."
    )
    name: str = Field(
        "Designated Officer Service",
        pattern=r"^[^\x00-\x1f\x7f]{1,100}$",
        description="The service's name, as it appears in letters; they come from it.",
    )
    reference_prefix: str = Field(
        "LADO", pattern=r"^[A-Z]{2,8}$", description="What every reference begins with, in capitals."
    )
    event_loop: Literal["auto", "asyncio", "uvloop"] = Field(
        "auto",
        description="auto: uvloop where it is installed, which takes mail in about twice as fast, else asyncio's own.",
    )
    node: str = Field(
        "",
        max_length=40,
        description="This node's name where several share a database; empty: the host's name.",
    )
    only: tuple[Role, ...] = Field(
        (),
        description=f"Where several nodes share a PostgreSQL: what this one does, of {told(ALL)}; empty: all of it.",
    )

    @property
    def roles(self) -> frozenset[Role]:
        """What this node does."""
        return frozenset(self.only) or ALL


class Office(_Section):
    """When people answer, and whom a worried referrer can ring. A number that is not set is left out of letters."""

    timezone: str = Field("Europe/London", description="The zone in which people read times.")
    opens: time = Field(time(9, 0), description="Office hours, local time.")
    closes: time = Field(time(17, 0), description="")
    days_off: tuple[date, ...] = Field((), description="One-off closed days, beyond England's bank holidays.")
    days_on: tuple[date, ...] = Field((), description="Days worked although they are weekend days or holidays.")
    duty_phone: str = Field("", description="The duty officer's telephone number.")
    front_door_name: str = Field(
        "Children's Services front door", description="What the authority calls its children's front door."
    )
    front_door_phone: str = Field("", description="The front door's telephone number.")
    emergency_duty_phone: str = Field("", description="The Emergency Duty Team's number, out of hours.")
    secure_form_url: str = Field("", description="The secure referral form, if there is one.")
    privacy_notice_url: str = Field("", description="The service's privacy notice.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is not a time zone name such as Europe/London") from None
        return value

    @model_validator(mode="after")
    def _opens_before_closing(self) -> Office:
        if self.opens >= self.closes:
            raise ValueError("opens must be before closes")
        self.calendar()  # raises ValueError, saying what, where days_off and days_on contradict each other
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def calendar(self) -> WorkingCalendar:
        return WorkingCalendar(
            zone=self.zone,
            opens=self.opens,
            closes=self.closes,
            extra_days_off=frozenset(self.days_off),
            extra_days_on=frozenset(self.days_on),
        )


class Relay(_Section):
    """The relay that sends for real. With no host, outgoing mail becomes .eml files in DIR/outgoing."""

    host: str = Field("", description="The relay's host name; empty: write .eml files instead.")
    port: int = Field(587, ge=1, le=65535, description="")
    starttls: bool = Field(
        True,
        description="Refuse to send without a verified TLS connection. false: only without a password, or to loopback.",
    )
    authority_file: Path | None = Field(
        None, description="The certificate authority to believe, as PEM, where it is none of the system's."
    )
    username: str = Field("", description="")
    password: SecretStr = Field(SecretStr(""), description="")
    timeout_seconds: float = Field(30, gt=0, description="")

    @model_validator(mode="after")
    def _keeps_the_password_to_itself(self) -> Relay:
        if self.host and self.host not in LOOPBACK and not self.starttls and self.password.get_secret_value():
            raise ValueError(
                "the password would cross the network for all to read: set starttls = true (with authority_file where "
                "the relay's certificate is of your own authority), or take username and password out"
            )
        return self


class Mail(_Section):
    """The listener, and how outgoing mail is addressed."""

    host: str = Field("127.0.0.1", description="Where to listen. Off loopback, recipients and networks must be named.")
    port: int = Field(8025, ge=0, le=65535, description="0 takes any free port.")
    protocol: Literal["smtp", "lmtp"] = Field("smtp", description="lmtp behind a mail server of your own.")
    recipients: tuple[str, ...] = Field(
        (), description="Addresses to accept mail for (their +tag forms too); empty: any, on loopback only."
    )
    address: str = Field(
        "designated.officer@localhost",
        pattern=r"^[^@\s+<>\"]+@[^@\s<>\"]+$",
        description="The service's own address: letters come from it, and replies to its +tag forms find their case.",
    )
    authserv_id: str = Field(
        "",
        description="The name in Authentication-Results by which your own mail server is known; empty: none is read. "
        "unnamed: it names none (Exchange Online), and the topmost field of all is its own.",
    )
    verify_senders: bool = Field(
        False,
        description="true: test SPF, DKIM and DMARC here, of mail from other clients than relays, where no mail server of "
        "yours does. Needs the extra packages of intake-bot[mx] and DNS.",
    )
    max_message_mib: int = Field(50, ge=1, le=150, description="The largest message accepted, in MiB.")
    max_recipients: int = Field(100, ge=1, description="Recipients of one message; more get 452 and come again.")
    networks: tuple[str, ...] = Field(
        (),
        description="Networks whose hosts may connect, as 10.1.0.0/16; loopback always may. Others get 421, and their "
        "mail stays in their queue.",
    )
    relays: tuple[str, ...] = Field(
        ("127.0.0.0/8", "::1"),
        description="Mail servers of your own, which speak for many: the two limits on one client are not theirs.",
    )
    max_connections: int = Field(500, ge=1, description="Connections at once; more get 421 and come again.")
    client_connections: int = Field(20, ge=1, description="The same, of one client (for IPv6: of one /64).")
    client_messages_per_minute: int = Field(
        60, ge=1, description="Messages of one client in a minute; more get 450 and come again."
    )
    tls: Literal["off", "optional", "required"] = Field(
        "off", description="STARTTLS: offered when optional; when required, no mail is taken without."
    )
    tls_certificate: Path | None = Field(
        None, description="The certificate and those above it, as PEM. A new one is taken up without a restart."
    )
    tls_key: Path | None = Field(None, description="Its key, as PEM, without a passphrase.")
    idle_seconds: float = Field(120, gt=0, description="A client silent for longer is let go.")
    acknowledgements_per_address: int = Field(
        10, ge=0, description="Acknowledgements to one address within 24 hours, so that two robots never talk for ever."
    )
    acknowledgements_same_words: int = Field(
        2, ge=0, description="The same, for messages that say the same words each time."
    )
    sender_cards_per_hour: int = Field(
        20,
        ge=1,
        description="Cards of one sender within an hour; the cases beyond are told in one line with their count.",
    )
    shared_domains: tuple[str, ...] = Field(
        SHARED_DOMAINS,
        description="Domains that many share, so that they name no known sender. A star stands for any country's ending.",
    )
    relay: Relay = Field(default_factory=Relay, description="")

    @field_validator("address")
    @classmethod
    def _leaves_room_for_a_tag(cls, value: str) -> str:
        # RFC 5321 section 4.5.3.1.1: 64 for the local part; letters add up to 19 characters to ours.
        if len(value.rpartition("@")[0]) > MAX_LOCAL_PART:
            raise ValueError(
                f"what stands before the @ may have {MAX_LOCAL_PART} characters, since letters add a tag to it"
            )
        return value

    @field_validator("networks", "relays")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        parse_networks(value)
        return value

    @model_validator(mode="after")
    def _closed_off_loopback(self) -> Mail:
        absent = [name for name in ("recipients", "networks") if not getattr(self, name)]
        if self.host not in LOOPBACK and absent:
            raise ValueError(f"{' and '.join(absent)} must be named when host is not a loopback address")
        return self

    @model_validator(mode="after")
    def _tls_has_its_files(self) -> Mail:
        absent = [name for name in ("tls_certificate", "tls_key") if getattr(self, name) is None]
        if self.tls != "off" and absent:
            raise ValueError(f"tls = {self.tls} also needs {' and '.join(absent)}")
        return self


class LettersSection(_Section):
    """The words of letters, and what marks advice, which holds content (docs/letters.md)."""

    folder: Path | None = Field(
        None, description="Templates of your own: a file takes the place of ours of the same name. Default: ours."
    )
    marking: str = Field(
        "OFFICIAL-SENSITIVE",
        description="The protective marking of advice, in its subject and as its first and last line; empty: none.",
    )
    subject_tag: str = Field("", description="What in a subject has your mail gateway encrypt advice, as [SECURE].")
    secure_header: str = Field(
        "", description="The header field that has your mail gateway encrypt advice, as X-Encrypt: yes."
    )
    advice_without_tls: bool = Field(
        False, description="true: send advice although mail.relay.starttls is off and the relay is another machine."
    )

    @field_validator("marking", "subject_tag")
    @classmethod
    def _stands_in_a_subject(cls, value: str) -> str:
        if not _MARK.fullmatch(value):
            raise ValueError("may have 60 letters, digits, spaces and . : / ( ) [ ] _ - of ASCII")
        return value

    @field_validator("secure_header")
    @classmethod
    def _is_a_header_field(cls, value: str) -> str:
        if value and not _HEADER_FIELD.fullmatch(value):
            raise ValueError("must be one header field in ASCII, as X-Encrypt: yes")
        if _TAKEN_FIELDS.fullmatch(value.partition(":")[0]):
            raise ValueError("names a header field that letters have already, or that says who sent them")
        return value

    def secure_field(self) -> tuple[str, str] | None:
        """Name and value of the field, or None."""
        name, colon, value = self.secure_header.partition(": ")
        return (name, value) if colon else None


# Python's own classes, as \s, would let line ends in.
_MARK = re.compile(r"(?:[A-Za-z0-9.:/()\[\]_-](?:[A-Za-z0-9 .:/()\[\]_-]{0,58}[A-Za-z0-9.:/()\[\]_-])?)?")
_HEADER_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,59}: [\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")
_TAKEN_FIELDS = re.compile(
    r"(?i)from|to|cc|bcc|sender|reply-to|subject|date|message-id|in-reply-to|references|mime-version|content-.*|received|"
    r"return-path|resent-.*|list-.*|auto-submitted|precedence|authentication-results|arc-.*|dkim-signature|"
    r"disposition-notification-to|return-receipt-to|x-intake-bot|x-auto-response-suppress"
)


class Slack(_Section):
    """The duty desk in Slack, over Socket Mode or signed HTTP. Without tokens the desk is the terminal."""

    bot_token: SecretStr = Field(SecretStr(""), description="xoxb-...")
    app_token: SecretStr = Field(SecretStr(""), description="xapp-... with connections:write")
    signing_secret: SecretStr = Field(
        SecretStr(""),
        description="For HTTP instead of Socket Mode: the app's signing secret; app_token is not needed then.",
    )
    http_host: str = Field("127.0.0.1", description="Where Slack's requests are taken, behind a proxy that ends TLS.")
    http_port: int = Field(3000, ge=0, le=65535, description="")
    channel: str = Field("", description="The private duty channel's id, such as C0123456789.")
    officers: tuple[str, ...] = Field(
        (), description="Who may see and act: user ids (U...), TEAM/USER, or user groups (S...). Nobody else."
    )
    managers: tuple[str, ...] = Field((), description="The same, for managers: they may do what officers may.")
    support: tuple[str, ...] = Field((), description="Business support: they see cases and keep the record.")
    readers: tuple[str, ...] = Field((), description="They see cases, and change nothing.")
    show_content: bool = Field(
        True,
        description="false: no content at all goes to Slack. Cards stay; cases are read and words written at the terminal.",
    )
    thread_notes: bool = Field(
        False,
        description="true: what an officer types under a card becomes a note on its case. Those words stay in Slack too.",
    )
    send_files: bool = Field(
        False,
        description="true: an officer may have a file of a case sent to their own conversation with the app, not scanned; "
        "it is deleted there after an hour. Needs the scope files:write (docs/slack-setup.md).",
    )
    largest_file_mib: int = Field(25, ge=1, le=100, description="The largest file that is sent so, in MiB.")
    api_url: str = Field("", description="Another Web API than Slack's own (tests).")

    @model_validator(mode="after")
    def _whole_or_nothing(self) -> Slack:
        given = {
            "bot_token": bool(self.bot_token.get_secret_value()),
            "app_token": bool(self.app_token.get_secret_value() or self.signing_secret.get_secret_value()),
            "channel": bool(self.channel),
        }
        if any(given.values()) and not all(given.values()):
            absent = ", ".join(name for name, there in given.items() if not there)
            raise ValueError(f"the Slack desk also needs {absent}")
        if self.thread_notes and not self.show_content:
            raise ValueError("thread_notes takes content in Slack, and show_content = false forbids it")
        if self.send_files and not self.show_content:
            raise ValueError("send_files puts content in Slack, and show_content = false forbids it")
        return self

    @property
    def enabled(self) -> bool:
        return bool(self.channel)


class DatabaseSection(_Section):
    """Where rows are kept."""

    url: SecretStr = Field(
        SecretStr(""), description="sqlite:///PATH or postgresql://...; empty: intake.db in the data folder."
    )


class Keys(_Section):
    """The master key, which wraps every other key, and the store of those others (docs/keys.md)."""

    file: Path | None = Field(
        None,
        description="The master key's file, outside the data folder; made on the first start. Default: master.key in "
        "$CREDENTIALS_DIRECTORY, else in $XDG_CONFIG_HOME/intake-bot/.",
    )
    master: SecretStr = Field(
        SecretStr(""), description="The master key itself, for the environment only: INTAKE_BOT_KEYS_MASTER."
    )
    command: tuple[str, ...] = Field((), description="Or a command, with its arguments, that prints the master key.")
    store: SecretStr = Field(
        SecretStr(""),
        description="The key store: sqlite:///PATH or postgresql://...; empty: keys/keystore.db in the data folder, or "
        "tables in the PostgreSQL of the content (then destroyed keys live on in that server's own backups).",
    )
    keep_days: int = Field(30, ge=1, le=365, description="A backup of the key store is kept no longer than this.")


class Retention(_Section):
    """How long a concluded case is kept before it is listed for review, in years (docs/adr/0006). No clock destroys."""

    substantiated: int = Field(100, ge=1, description="By outcome, from the conclusion.")
    unsubstantiated: int = Field(100, ge=1, description="")
    unfounded: int = Field(10, ge=1, description="")
    false: int = Field(10, ge=1, description="")
    malicious: int = Field(10, ge=1, description="")
    below_threshold: int = Field(6, ge=1, description="What was decided otherwise than referral.")
    unfiled: int = Field(
        1, ge=1, description="Mail that belongs to no case (bounces, vacation replies), from its receipt."
    )
    strip_below_threshold: bool = Field(
        False,
        description="true: what closes below the threshold loses its content at once (no-names consultations always do).",
    )
    unattended_purge: bool = Field(
        False, description="true: what is due for review is purged without a manager's word. Think twice."
    )


class Backup(_Section):
    """Backups of the content, and apart from them of the key store. Both are encrypted and taken while the service runs."""

    folder: Path | None = Field(
        None, description="Where scheduled backups go, on another disk than the data. Default: none are taken."
    )
    keys_folder: Path | None = Field(
        None, description="Where the key store's backups go, apart from the content's. Default: keys/ in folder."
    )
    at: time = Field(time(2, 0), description="When, each day, local time.")
    keep: int = Field(14, ge=1, description="How many backups of the content are kept.")


class MonitoringSection(_Section):
    """/healthz, /readyz and Prometheus's /metrics: counts and ages alone (docs/operations.md)."""

    enabled: bool = Field(True, description="false: nothing listens.")
    host: str = Field("127.0.0.1", description="Where. It asks for no password: let only your monitoring reach it.")
    port: int = Field(8026, ge=0, le=65535, description="0: any that is free.")


class ReportsSection(_Section):
    """Figures (docs/reports.md)."""

    folder: Path | None = Field(
        None,
        description="Where each month's dataset (codes and times as CSV) is written once it is over. Default: nowhere.",
    )


class FeedbackSection(_Section):
    """A short survey by email when a case is concluded, answered by replying to it (docs/reports.md)."""

    enabled: bool = Field(False, description="true: whoever opened the case by a message is asked, but never a parent.")
    employer: bool = Field(
        True, description="The employer's contact too, where officers asked one for something by email."
    )
    days_between: int = Field(
        30, ge=1, le=3650, description="One address has no more than one such letter in so many days."
    )


class CaseworkSection(_Section):
    """How officers work."""

    sign_off_below_threshold: bool = Field(
        False, description="true: a decision below the threshold stands only with a second officer's sign-off."
    )


class Targets(_Section):
    """The clocks, each by a rule of docs/targets.md: working_days 5. An empty rule is no clock; triage has one always."""

    triage: str = Field("working_24h", description="First response and threshold decision, from receipt.")
    sign_off: str = Field("working_days 1", description="A second officer's sign-off, where it is asked for.")
    advice: str = Field("working_days 5", description="Advice, where a consultation was decided; from receipt.")
    first_meeting: str = Field("working_days 5", description="The first meeting on a referral, from receipt.")
    one_month: str = Field("calendar_months 1", description="Conclusion of a referral, from receipt.")
    three_months: str = Field("calendar_months 3", description="The same.")
    twelve_months: str = Field("calendar_months 12", description="The same.")
    foster_investigation: str = Field(
        "elapsed_days 21", description="The investigation of a foster carer, from receipt."
    )
    employer_report: str = Field(
        "working_days 10", description="The employer's report, from the opening of its inquiry."
    )
    local: tuple[str, ...] = Field(
        (),
        description="An authority's own: panel: working_days 15 from referral (receipt, consultation, foster, employer).",
    )

    @field_validator(*(name for name in FIELD if name != "triage"))
    @classmethod
    def _known_rule(cls, value: str) -> str:
        if value:
            Rule.parse(value)
        return value

    @field_validator("triage")
    @classmethod
    def _a_rule(cls, value: str) -> str:
        Rule.parse(value)
        return value

    @field_validator("local")
    @classmethod
    def _known_clocks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        local_clocks(value)
        return value


class Reminders(_Section):
    """When the desk is nudged, as offsets from the due time: -4h, 0, +1h, -7d; or somebody else: +1h manager, -1d owner."""

    triage: tuple[str, ...] = Field(("-4h", "0", "+1h manager"), description="")
    sign_off: tuple[str, ...] = Field(("-4h", "0"), description="")
    advice: tuple[str, ...] = Field(("-1d", "0"), description="")
    first_meeting: tuple[str, ...] = Field(("-1d", "0"), description="")
    one_month: tuple[str, ...] = Field(("-7d", "0", "+7d"), description="")
    three_months: tuple[str, ...] = Field(("-14d", "0"), description="")
    twelve_months: tuple[str, ...] = Field(("-28d", "0"), description="")
    foster_investigation: tuple[str, ...] = Field(("-3d", "0"), description="")
    employer_report: tuple[str, ...] = Field(("-1d", "0"), description="")
    local: tuple[str, ...] = Field(("-1d", "0"), description="For each of an authority's own clocks.")
    in_office_hours: bool = Field(
        True, description="They come when somebody is there, save what is urgent; false: by day and by night."
    )
    unclaimed_minutes: int = Field(
        60, ge=0, le=10_000, description="Office minutes after which the manager hears of an unclaimed case; 0: never."
    )

    @field_validator(*FIELD, "local")
    @classmethod
    def _known_offsets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        ReminderPlan.parse(value)
        return value


class Chasers(_Section):
    """Reminders to whoever owes something on a case, in working days around the day that it is due (docs/targets.md)."""

    enabled: bool = Field(True, description="false: nobody is chased.")
    before_days: int = Field(1, ge=0, le=20, description="A letter so many days before; 0: none before.")
    after_days: int = Field(2, ge=1, le=60, description="One on the day itself, and one so many days after it.")
    telephone_days: int = Field(
        4, ge=0, le=60, description="So many days after it the officer is asked to telephone instead; 0: never."
    )


class Digests(_Section):
    """What the desk is told each working morning, and the managers each week, in numbers."""

    daily: bool = Field(True, description="To the desk: what is new, due today, overdue, waits for others, is parked.")
    weekly: bool = Field(
        True, description="To the managers, on the first working day of a week: the targets of the week before."
    )
    at: time | None = Field(None, description="Local time. Default: when the office opens.")


_PEOPLE = "Who is on duty: user ids (U...), TEAM/USER, or names at the terminal."


class RotaSection(_Section):
    """Who is on duty, day by day: they are mentioned on new and unclaimed cases, where anybody is named (docs/rota.md)."""

    handover: time = Field(time(9, 0), description="When duty passes on, local time; a day's duty lasts to the next's.")
    monday: tuple[str, ...] = Field((), description=_PEOPLE)
    tuesday: tuple[str, ...] = Field((), description="")
    wednesday: tuple[str, ...] = Field((), description="")
    thursday: tuple[str, ...] = Field((), description="")
    friday: tuple[str, ...] = Field((), description="")
    saturday: tuple[str, ...] = Field((), description="")
    sunday: tuple[str, ...] = Field((), description="Bank holidays and days_off in the week go by this day too.")

    @field_validator(*DAYS)
    @classmethod
    def _names_people(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            person(one)
        return value

    def week(self) -> Week:
        return Week(tuple(tuple(person(one) for one in getattr(self, day)) for day in DAYS), self.handover)


class RoutingSection(_Section):
    """Whom a new case is proposed to on its card; it is theirs only once they claim it (docs/rota.md)."""

    rules: tuple[str, ...] = Field(
        (),
        description="The first that fits counts: Education: U0SAM; or Education urgent: U0SAM; U0ALEX. any is every sector.",
    )
    share_among: tuple[str, ...] = Field((), description="Where no rule fits: whoever of these has fewest open cases.")
    most_open: int = Field(0, ge=0, description="Whoever has so many open cases has no room; 0: no limit.")

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            RoutingRule.parse(one)
        return value

    @field_validator("share_among")
    @classmethod
    def _names_people(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            person(one)
        return value

    def routing(self) -> Routing:
        rules = tuple(RoutingRule.parse(one) for one in self.rules)
        return Routing(rules, tuple(person(one) for one in self.share_among), self.most_open)


class SeniorManagersSection(_Section):
    """Who is told, without content and once for each reason, of escalated cases and of those of their service."""

    escalated: tuple[str, ...] = Field(
        (), description="Of every escalated case: user ids (U...), TEAM/USER, or mail addresses."
    )
    services: tuple[str, ...] = Field(
        (),
        description="Of what is decided a referral or a consultation in a sector: Fostering: U0HEAD; head@council.example.",
    )

    @field_validator("escalated")
    @classmethod
    def _can_be_told(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            reachable(one)
        return value

    @field_validator("services")
    @classmethod
    def _are_services(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            ServiceManagers.parse(one)
        return value

    def seniors(self) -> SeniorManagers:
        return SeniorManagers(
            tuple(reachable(one) for one in self.escalated), tuple(ServiceManagers.parse(one) for one in self.services)
        )


class Triage(_Section):
    """The suggestion."""

    enabled: bool = Field(True, description="false: cards come without a suggestion.")
    timeout_seconds: float = Field(10, gt=0, description="After this the card comes without a suggestion.")
    rules_alone_beyond: int = Field(
        100,
        ge=0,
        description="While more messages than this wait, the rules alone read them; the full reading follows later.",
    )
    export_texts: bool = Field(
        False,
        description="true: model export also takes along texts, but only those that an officer has redacted one by one.",
    )


class Intake(_Section):
    """Bounds on reading."""

    reading_timeout_seconds: float = Field(30, gt=0, description="Reading one message may take this long.")
    sandbox_memory_mib: int = Field(1024, ge=256, description="Memory for the process that reads messages.")
    lease_seconds: float = Field(60, ge=5, description="How long a node may be silent before another takes its work.")
    tick_seconds: float = Field(15, gt=0, description="How often clocks are looked at.")


class Settings(_Section):
    """Everything that can be set. Defaults run with no file at all."""

    service: Service = Field(default_factory=Service)
    office: Office = Field(default_factory=Office)
    mail: Mail = Field(default_factory=Mail)
    letters: LettersSection = Field(default_factory=LettersSection)
    slack: Slack = Field(default_factory=Slack)
    database: DatabaseSection = Field(default_factory=DatabaseSection)
    keys: Keys = Field(default_factory=Keys)
    retention: Retention = Field(default_factory=Retention)
    backup: Backup = Field(default_factory=Backup)
    casework: CaseworkSection = Field(default_factory=CaseworkSection)
    targets: Targets = Field(default_factory=Targets)
    reminders: Reminders = Field(default_factory=Reminders)
    chasers: Chasers = Field(default_factory=Chasers)
    digests: Digests = Field(default_factory=Digests)
    feedback: FeedbackSection = Field(default_factory=FeedbackSection)
    rota: RotaSection = Field(default_factory=RotaSection)
    routing: RoutingSection = Field(default_factory=RoutingSection)
    senior_managers: SeniorManagersSection = Field(default_factory=SeniorManagersSection)
    reports: ReportsSection = Field(default_factory=ReportsSection)
    monitoring: MonitoringSection = Field(default_factory=MonitoringSection)
    triage: Triage = Field(default_factory=Triage)
    intake: Intake = Field(default_factory=Intake)

    def clocks(self) -> dict[str, Clock]:
        """Every clock that is kept, by name."""
        kept = {}
        for name, usual in FIELD.items():
            rule = getattr(self.targets, name)
            if rule:
                kept[name] = Clock(Rule.parse(rule), ReminderPlan.parse(getattr(self.reminders, name)), usual.start)
        return kept | local_clocks(self.targets.local, ReminderPlan.parse(self.reminders.local))


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of ``path`` (or the defaults) with the environment over them. Raises SettingsProblem."""
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as fault:
            raise SettingsProblem(f"{path}: cannot be read ({fault.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            where = str(fault) if isinstance(fault, tomllib.TOMLDecodeError) else "not UTF-8"
            raise SettingsProblem(
                f"{path}: is not TOML ({where.partition('(')[2].rstrip(')') or 'see its end'})"
            ) from None
    _overlay_environment(data, environ)
    try:
        return Settings.model_validate(data)
    except ValidationError as fault:
        lines = []
        for error in fault.errors(include_input=False, include_url=False, include_context=False):
            key = ".".join(str(part) for part in error["loc"]) or "settings"
            what = (
                "is not a setting" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
            )
            lines.append(f"{key}: {what}")
        raise SettingsProblem("; ".join(lines)) from None


def example() -> str:
    """The commented sample configuration. Every value in it is the default."""
    lines = [
        "# intake-bot's settings. Every value here is the default; change what you need and delete the rest.",
        "# Each key can also be given in the environment as INTAKE_BOT_<SECTION>_<KEY>, which wins over this file.",
    ]
    for name, section in _sections(Settings):
        lines += ["", f"# {(section.__doc__ or '').strip()}", f"[{name}]"]
        for key, field in section.model_fields.items():
            if _section_type(field) is not None:
                continue
            lines += [f"# {field.description}"] if field.description else []
            default = field.get_default(call_default_factory=True)
            # A path without a default is shown, but not set.
            lines.append(f'# {key} = "/path/to/{key}"' if default is None else f"{key} = {_toml(default)}")
    return "\n".join(lines) + "\n"


def environment_names() -> dict[str, tuple[str, ...]]:
    """``INTAKE_BOT_...`` names and the path of the key that each one sets."""
    return {
        PREFIX + "_".join((*section.split("."), key)).upper(): (*section.split("."), key)
        for section, model in _sections(Settings)
        for key, field in model.model_fields.items()
        if _section_type(field) is None
    }


def _overlay_environment(data: dict[str, Any], environ: Mapping[str, str]) -> None:
    known = environment_names()
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            raise SettingsProblem(f"{name}: is not a setting")
        *sections, key = known[name]
        model: type[BaseModel] = Settings
        table = data
        for section in sections:
            nested = _section_type(model.model_fields[section])
            assert nested is not None  # noqa: S101 (the names come from the same walk)
            model = nested
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise SettingsProblem(f"{section}: is a section, not a value")
        many = get_origin(model.model_fields[key].annotation) is tuple
        table[key] = [part.strip() for part in text.split(",") if part.strip()] if many else text


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        section = _section_type(field)
        if section is not None:
            yield f"{prefix}{name}", section
            yield from _sections(section, f"{prefix}{name}.")


def _section_type(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, _Section) else None


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case SecretStr():
            return _toml(value.get_secret_value())
        case time():
            return f'"{value:%H:%M}"'
        case tuple():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
