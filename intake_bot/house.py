"""Opening the house: the data folder, the key, the database at this version's schema, and the practice of this authority."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from intake_bot.casework.directory import DirectoryRules
from intake_bot.casework.letters import Letterhead, LetterProblem, Letters
from intake_bot.casework.practice import AdviceRules, ChaserRules, DigestRules, FeedbackRules, Practice, RetentionRules
from intake_bot.mail.addresses import is_plain
from intake_bot.settings import LOOPBACK, Settings, SettingsProblem
from storage import backup, faults, keys, keystore, schema
from storage.engine import Database, sqlite_url
from storage.keystore import KeyStore
from storage.vault import Vault, WrongKey

DATABASE_FILE = "intake.db"
KEY_STORE = Path("keys") / "keystore.db"
"""In the data folder, but in a folder of its own: no backup of the content takes it along."""


class DatabaseAway(SettingsProblem):
    """The database does not answer: nothing is wrong with the settings, and starting again may do."""


@dataclass(frozen=True, slots=True)
class House:
    """What every command works with."""

    settings: Settings
    data_dir: Path
    database: Database
    practice: Practice

    @property
    def outgoing_dir(self) -> Path:
        return self.data_dir / "outgoing"

    @property
    def keys(self) -> KeyStore:
        return self.practice.vault.keys

    def close(self) -> None:
        self.keys.give_back()
        self.keys.database.dispose()
        self.database.dispose()


def open_house(
    settings: Settings, data_dir: Path, environ: Mapping[str, str] = os.environ, *, keys_ahead: int = 1
) -> House:
    """Make what is missing, check what is there. Raises SettingsProblem with a text that says what to mend.

    ``keys_ahead`` is how many data keys are made in one commit: many for a service, one for a command.
    """
    # Nobody else may read what is written from here on.
    os.umask(0o077)
    database = open_database(settings, data_dir)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = _open_keys(
            settings, data_dir, environ, is_known=schema.fingerprint(database) is not None, ahead=keys_ahead
        )
    except keys.KeyProblem as problem:
        database.dispose()
        raise SettingsProblem(str(problem)) from None
    except OSError as fault:
        raise SettingsProblem(f"the data folder or the master key cannot be used ({fault.strerror})") from None
    except SQLAlchemyError as fault:
        kind = DatabaseAway if _is_away(database, fault) else SettingsProblem
        raise kind(f"the database or the key store cannot be opened ({faults.in_words(fault)})") from None
    vault = Vault(store)
    try:
        practice = make_practice(settings, vault)
        schema.upgrade(database)
        with database.write() as session:
            schema.check_key(session, vault)
    except (WrongKey, schema.NewerSchema, SettingsProblem) as problem:
        database.dispose()
        raise SettingsProblem(str(problem)) from None
    except SQLAlchemyError as fault:
        database.dispose()
        raise SettingsProblem(f"the database cannot be opened ({faults.in_words(fault)})") from None
    return House(settings, data_dir, database, practice)


def _is_away(database: Database, fault: SQLAlchemyError) -> bool:
    """Whether a server does not answer; a wrong password or name says so in its answer, and stays wrong."""
    return not database.is_sqlite and isinstance(fault, OperationalError) and _code_of(fault) is None


def _code_of(fault: OperationalError) -> str | None:
    """PostgreSQL's code where its server gave one, save that it is starting or stopping (class 57)."""
    code = getattr(fault.orig, "sqlstate", None)
    return None if code is None or str(code).startswith("57") else str(code)


def open_database(settings: Settings, data_dir: Path) -> Database:
    """The configured database, or SQLite in the data folder. Raises SettingsProblem for an unknown kind of url."""
    url = settings.database.url.get_secret_value() or sqlite_url(data_dir / DATABASE_FILE)
    try:
        return Database(url)
    except (ValueError, SQLAlchemyError):
        raise SettingsProblem("database.url: must begin with sqlite:/// or postgresql://") from None


def _open_keys(
    settings: Settings, data_dir: Path, environ: Mapping[str, str], *, is_known: bool, ahead: int
) -> KeyStore:
    """Open the key store. It is made, and a master key for it, only where the database does not know of one (``is_known``).

    A new one opens nothing of what is stored, and would stand in the way of the one that does. Raises KeyProblem.
    """
    database = open_key_database(settings, data_dir)
    try:
        there = backup.has_rows(database, keystore.metadata.sorted_tables)
        if is_known and not there:
            where = "as [keys] store names it" if settings.keys.store.get_secret_value() else str(data_dir / KEY_STORE)
            raise keys.KeyProblem(
                f"the key store is missing ({where}), and a new one would open nothing. Put it back, or bring it back with "
                "intake-bot restore --keys-only FILE.keys"
            )
        source = master_source(settings, data_dir, environ, make=not (is_known or there))
        store = KeyStore(database, source, ahead=ahead)
        store.open()
    except BaseException:
        # Nothing of ours stays open in a file that somebody is about to put back.
        database.dispose()
        raise
    return store


def open_key_database(settings: Settings, data_dir: Path) -> Database:
    """The key store's database: the configured one, else a file of its own beside a SQLite, else the PostgreSQL itself."""
    url = settings.keys.store.get_secret_value() or settings.database.url.get_secret_value()
    if not url or (url.startswith("sqlite:") and not settings.keys.store.get_secret_value()):
        path = data_dir / KEY_STORE
        path.parent.mkdir(mode=0o700, exist_ok=True)
        url = sqlite_url(path)
    try:
        return Database(url)
    except (ValueError, SQLAlchemyError):
        raise SettingsProblem("keys.store: must begin with sqlite:/// or postgresql://") from None


def master_source(
    settings: Settings, data_dir: Path, environ: Mapping[str, str], *, make: bool = True
) -> keys.MasterSource:
    """Where the master key comes from: the environment, a command, a file, or a systemd credential, in this order.

    ``make``: a file that is missing is made.
    """
    if master := settings.keys.master.get_secret_value():
        return keys.FixedSource(master)
    if settings.keys.command:
        return keys.CommandSource(settings.keys.command)
    path = keys.key_path(settings.keys.file, environ)
    is_credential = settings.keys.file is None and "CREDENTIALS_DIRECTORY" in environ
    return keys.FileSource(path, data_dir=data_dir, is_credential=is_credential, make=make)


def make_practice(settings: Settings, vault: Vault) -> Practice:
    """The practice that the settings describe. Raises SettingsProblem."""
    office = settings.office
    return Practice(
        vault=vault,
        calendar=office.calendar(),
        clocks=settings.clocks(),
        unclaimed_after=timedelta(minutes=settings.reminders.unclaimed_minutes) or None,
        nudges_in_office_hours=settings.reminders.in_office_hours,
        chasers=ChaserRules(**settings.chasers.model_dump(exclude={"enabled"})) if settings.chasers.enabled else None,
        answers_in_slack=settings.slack.show_content,
        largest_file_sent=settings.slack.largest_file_mib * 1024 * 1024 if settings.slack.send_files else None,
        feedback=FeedbackRules(**settings.feedback.model_dump(exclude={"enabled"}))
        if settings.feedback.enabled
        else None,
        digests=DigestRules(**settings.digests.model_dump()),
        week=settings.rota.week(),
        routing=settings.routing.routing(),
        seniors=settings.senior_managers.seniors(),
        letters=make_letters(settings),
        reference_prefix=settings.service.reference_prefix,
        address=settings.mail.address,
        acknowledgements_per_address=settings.mail.acknowledgements_per_address,
        acknowledgements_same_words=settings.mail.acknowledgements_same_words,
        recipients=settings.mail.recipients,
        sender_cards_per_hour=settings.mail.sender_cards_per_hour,
        sign_off_below_threshold=settings.casework.sign_off_below_threshold,
        directory=DirectoryRules(
            ours=(settings.service.authority, *settings.service.local_authority_names),
            shared=settings.mail.shared_domains,
        ),
        retention=RetentionRules(**settings.retention.model_dump()),
        advice=AdviceRules(
            way_is_safe=advice_way_is_safe(settings),
            can_write_to=is_plain,
            secure_field=settings.letters.secure_field(),
        ),
    )


def advice_way_is_safe(settings: Settings) -> bool:
    """Whether advice may leave: over verified TLS, to this machine (the folder is on it too), or as a setting allows."""
    relay = settings.mail.relay
    return relay.starttls or not relay.host or relay.host in LOOPBACK or settings.letters.advice_without_tls


def make_letters(settings: Settings) -> Letters:
    """The letters of this authority, each template of them tried. Raises SettingsProblem, naming the file at fault."""
    office = settings.office
    head = Letterhead(
        service=settings.service.name,
        authority=settings.service.authority,
        duty_phone=office.duty_phone,
        front_door_name=office.front_door_name,
        front_door_phone=office.front_door_phone,
        emergency_duty_phone=office.emergency_duty_phone,
        secure_form_url=office.secure_form_url,
        privacy_notice_url=office.privacy_notice_url,
        zone=office.zone,
        marking=settings.letters.marking,
        subject_tag=settings.letters.subject_tag,
    )
    try:
        return _checked(head, settings.letters.folder) if settings.letters.folder else _own_letters(head)
    except LetterProblem as problem:
        raise SettingsProblem(f"letters: {problem}") from None


def _checked(head: Letterhead, folder: Path | None) -> Letters:
    letters = Letters(head, folder)
    letters.check()
    return letters


@lru_cache(maxsize=8)
def _own_letters(head: Letterhead) -> Letters:
    """Our own templates change only with the program: a process that opens many houses tries them once."""
    return _checked(head, None)
