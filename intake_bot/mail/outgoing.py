"""The way out for mail: a folder of .eml files by default, a relay where one is set."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiosmtplib

from intake_bot.casework.desk import DeliveryFailed

IDLE_SECONDS = 30.0
"""A relay lets a silent client go after minutes (RFC 5321 section 4.5.3.2.7: five); we go first."""
MESSAGES_A_CONNECTION = 100
"""Some relays allow no more, and each of several behind one name gets its share."""
GOODBYE_SECONDS = 2.0


class Post(Protocol):
    """Sends one message. Raises :class:`DeliveryFailed`."""

    async def send(self, raw: bytes, *, name: str, envelope_from: str, to: str) -> None:
        """``name`` is the outbox row's id; the same name is the same message."""
        ...

    async def close(self) -> None:
        """Let go of what is held open. Sending afterwards opens it again."""
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

    async def close(self) -> None:
        """A folder holds nothing open."""

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
    """Where the relay is. With a TLS context nothing is said before a verified TLS connection stands."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str
    password: str
    timeout_seconds: float


def verified_tls(authority: Path | None) -> ssl.SSLContext:
    """A client's context that believes the system's certificate authorities, or the one in a PEM file instead.

    Raises OSError where the file cannot be used.
    """
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class RelayPost:
    """Sends through a relay, message after message over one connection, which is closed after a while without any."""

    def __init__(self, relay: RelayAddress) -> None:
        self._relay = relay
        self._client: aiosmtplib.SMTP | None = None
        self._sent = 0
        self._turn = asyncio.Lock()
        self._goodbye: asyncio.TimerHandle | None = None

    async def send(self, raw: bytes, *, name: str, envelope_from: str, to: str) -> None:
        async with self._turn:
            self._stay()
            kept = self._client is not None and self._client.is_connected and self._sent < MESSAGES_A_CONNECTION
            try:
                if kept:
                    await self._hand_over_again(raw, envelope_from, to)
                else:
                    await self._connect()
                    await self._hand_over(raw, envelope_from, to)
            except BaseException:
                # Whatever was said last, the next message begins with a greeting.
                self._drop()
                raise
            self._sent += 1
            self._goodbye = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._drop)

    async def close(self) -> None:
        """Say goodbye where a connection stands."""
        async with self._turn:
            self._stay()
            client, self._client = self._client, None
            if client is not None and client.is_connected:
                with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                    await client.quit(timeout=GOODBYE_SECONDS)
                client.close()

    async def check(self) -> None:
        """Connect and log in, and no more. Raises :class:`DeliveryFailed`."""
        async with self._turn:
            await self._connect()

    async def _connect(self) -> None:
        self._drop()
        relay = self._relay
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            start_tls=relay.tls is not None,
            timeout=relay.timeout_seconds,
            tls_context=relay.tls,
        )
        try:
            await client.connect()
            if relay.username:
                await client.login(relay.username, relay.password)
        except ssl.SSLError:
            raise DeliveryFailed("relay_certificate_not_verified") from None
        except aiosmtplib.SMTPAuthenticationError:
            # An administrator mends this; the row waits.
            raise DeliveryFailed("relay_login_refused") from None
        except aiosmtplib.SMTPResponseException:
            # It refuses us, not this message.
            raise DeliveryFailed("relay_refused") from None
        except (aiosmtplib.SMTPException, OSError) as fault:
            code = "relay_certificate_not_verified" if _is_tls(fault) else "relay_unreachable"
            raise DeliveryFailed(code) from None
        self._client, self._sent = client, 0

    async def _hand_over_again(self, raw: bytes, envelope_from: str, to: str) -> None:
        """Over a connection that has stood for a while: where the relay has closed it meanwhile, over a new one."""
        try:
            await self._hand_over(raw, envelope_from, to)
        except _Gone:
            await self._connect()
            await self._hand_over(raw, envelope_from, to)

    async def _hand_over(self, raw: bytes, envelope_from: str, to: str) -> None:
        """One transaction. Raises DeliveryFailed, or its kind :class:`_Gone` where it had not begun."""
        assert self._client is not None  # noqa: S101 (connected before)
        client = self._client
        begun = data = False
        try:
            await client.mail(envelope_from)
            begun = True
            await client.rcpt(to)
            data = True
            await client.data(raw)
        except aiosmtplib.SMTPResponseException as refused:
            if refused.code == _CLOSING and not begun:
                raise _Gone("relay_refused") from None
            code = "recipient_refused" if begun and not data else "relay_refused"
            if refused.code in _LOGIN_CODES:
                raise DeliveryFailed("relay_login_refused") from None
            raise DeliveryFailed(code, permanent=refused.code >= 500) from None
        except (aiosmtplib.SMTPException, OSError):
            if not begun:
                raise _Gone("relay_unreachable") from None
            # When the connection dies after the dot nobody knows; the Message-ID stays the same on the next try.
            raise DeliveryFailed("relay_unreachable", uncertain=data) from None
        except ValueError:  # an address that the library will not put into a command: trying again cannot help
            raise DeliveryFailed("not_addressable", permanent=True) from None

    def _stay(self) -> None:
        if self._goodbye is not None:
            self._goodbye.cancel()
            self._goodbye = None

    def _drop(self) -> None:
        self._stay()
        if self._client is not None:
            self._client.close()
            self._client = None


class _Gone(DeliveryFailed):
    """The connection was closed before the transaction had begun."""


_CLOSING = 421
_LOGIN_CODES = {530, 534, 535, 538}
"""RFC 4954 section 6: what an administrator mends, and no fault of the letter."""


def _is_tls(fault: BaseException) -> bool:
    """Whether a TLS fault lies behind the library's own exception."""
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
