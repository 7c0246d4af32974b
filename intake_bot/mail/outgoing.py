"""The way out for mail: a folder of .eml files by default, a relay where one is set."""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiosmtplib

from intake_bot.casework.desk import DeliveryFailed


class Post(Protocol):
    """Sends one message. Raises :class:`DeliveryFailed`."""

    async def send(self, raw: bytes, *, name: str, envelope_from: str, to: str) -> None:
        """``name`` is the outbox row's id; the same name is the same message."""
        ...


class FolderPost:
    """Writes ``NAME.eml`` whole or not at all; the same message again replaces itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, raw: bytes, *, name: str, envelope_from: str, to: str) -> None:
        try:
            await asyncio.to_thread(self._write, raw, name)
        except OSError:
            raise DeliveryFailed("folder_not_writable") from None

    def _write(self, raw: bytes, name: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._folder / f".{name}.part"
        with open(beside, "wb", opener=_private) as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._folder / f"{name}.eml")
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where the relay is. With ``starttls`` nothing is said before a verified TLS connection stands."""

    host: str
    port: int
    starttls: bool
    username: str
    password: str
    timeout_seconds: float


class RelayPost:
    """Sends through a relay, one connection for each message."""

    def __init__(self, relay: RelayAddress) -> None:
        self._relay = relay

    async def send(self, raw: bytes, *, name: str, envelope_from: str, to: str) -> None:
        relay = self._relay
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            start_tls=relay.starttls,
            timeout=relay.timeout_seconds,
            tls_context=ssl.create_default_context() if relay.starttls else None,
        )
        handed_over = False
        try:
            async with client:
                if relay.username:
                    await client.login(relay.username, relay.password)
                handed_over = True
                await client.sendmail(envelope_from, [to], raw)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            codes = [error.code for error in refused.recipients]
            raise DeliveryFailed("recipient_refused", permanent=all(code >= 500 for code in codes)) from None
        except aiosmtplib.SMTPAuthenticationError:
            # An administrator mends this; the row waits.
            raise DeliveryFailed("relay_login_refused") from None
        except aiosmtplib.SMTPResponseException as refused:
            raise DeliveryFailed("relay_refused", permanent=handed_over and refused.code >= 500) from None
        except (aiosmtplib.SMTPException, OSError):
            # When the connection dies after the dot nobody knows; the Message-ID stays the same on the next try.
            raise DeliveryFailed("relay_unreachable", uncertain=handed_over) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
