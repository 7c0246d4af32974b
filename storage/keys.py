"""The master key: where it comes from, and what it is called without being told.

It wraps every other key and opens nothing by itself. A source gives the current master key and, while a rotation runs, the
ones before it: one key a line, 64 hexadecimal digits each, the current one first.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

KEY_BYTES = 32
KEY_FILE = "master.key"
COMMAND_SECONDS = 30


class KeyProblem(Exception):
    """The master key cannot be used; the text says what to mend and never holds the key."""


@dataclass(frozen=True, slots=True, repr=False)
class MasterKeys:
    """The current master key, and those that may still be needed to open what they wrapped."""

    current: bytes
    previous: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"MasterKeys({len(self.previous)} previous)"

    def named(self, name: str) -> bytes | None:
        """The key of that name, or None."""
        return next((key for key in (self.current, *self.previous) if name_of(key) == name), None)


class MasterSource(Protocol):
    """Where the master keys are kept."""

    def load(self) -> MasterKeys:
        """Raises KeyProblem."""
        ...

    def replace(self, keys: MasterKeys) -> None:
        """Keep these instead. Raises KeyProblem where this source can only be changed by whoever looks after it."""
        ...


def name_of(key: bytes) -> str:
    """Names a key without telling it: 16 hexadecimal digits."""
    return hmac.new(key, b"intake-bot/master/name", hashlib.sha256).hexdigest()[:16]


def key_path(configured: Path | None, environ: Mapping[str, str]) -> Path:
    """The configured file, else systemd's credential folder, else the user's configuration folder."""
    if configured is not None:
        return configured
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials:
        return Path(credentials) / KEY_FILE
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "intake-bot" / KEY_FILE


class FileSource:
    """A file of its own (0600), made on the first start, never inside the data folder."""

    def __init__(self, path: Path, *, data_dir: Path, is_credential: bool = False, make: bool = True) -> None:
        """``is_credential``: systemd's, readable by the service's own user alone whatever its mode, and never written.

        ``make``: a file that is missing is made; not so where a key is needed that was there before.
        """
        self._path = path
        self._make = make
        self._data_dir = data_dir
        self._is_credential = is_credential

    def load(self) -> MasterKeys:
        if self._path.resolve().is_relative_to(self._data_dir.resolve()):
            raise KeyProblem("the master key must not lie inside the data folder: set [keys] file to a path outside it")
        try:
            return self._read()
        except FileNotFoundError:
            if self._is_credential:
                raise KeyProblem(f"systemd gave no credential {KEY_FILE}: see LoadCredential= in the unit") from None
            if not self._make:
                raise KeyProblem(
                    f"the master key is missing: there is none at {self._path}, and a new one would open nothing. Put it "
                    "back, or recover it with intake-bot restore --keys-only FILE.keys --recovery-key-file FILE"
                ) from None
        self._write(MasterKeys(secrets.token_bytes(KEY_BYTES)), first=True)
        return self._read()

    def replace(self, keys: MasterKeys) -> None:
        if self._is_credential:
            raise KeyProblem("a systemd credential is changed by whoever made it: see docs/keys.md")
        self._write(keys, first=False)

    def _read(self) -> MasterKeys:
        text = self._path.read_bytes()
        if not self._is_credential and self._path.stat().st_mode & 0o077:
            raise KeyProblem(f"the master key can be read by others: chmod 600 {self._path}")
        return parse(text, str(self._path))

    def _write(self, keys: MasterKeys, *, first: bool) -> None:
        """Written beside and put into place: a crash leaves no half key, and of two first starts one wins."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if not first and self._path.exists():
                # Whoever rotates it (root, perhaps) must leave it to the service's own user.
                owner = self._path.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.write(descriptor, "".join(f"{key.hex()}\n" for key in (keys.current, *keys.previous)).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if first:
            try:
                os.link(beside, self._path)
            except FileExistsError:
                pass
            finally:
                beside.unlink()
        else:
            beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class FixedSource:
    """Keys handed over by the environment (or a test)."""

    def __init__(self, text: str, *, named: str = "INTAKE_BOT_KEYS_MASTER") -> None:
        self._text = text
        self._named = named

    def load(self) -> MasterKeys:
        return parse(self._text.encode(), self._named)

    def replace(self, keys: MasterKeys) -> None:
        raise KeyProblem(f"{self._named} is changed by whoever sets it: see docs/keys.md")


class CommandSource:
    """An external command that prints the keys, such as a secrets manager's client. Run without a shell."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)

    def load(self) -> MasterKeys:
        try:
            done = subprocess.run(  # noqa: S603 (the administrator's own command, no shell)
                self._command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise KeyProblem(f"[keys] command did not run ({type(fault).__name__})") from None
        if done.returncode != 0:
            raise KeyProblem(f"[keys] command ended with {done.returncode}")
        return parse(done.stdout, "what [keys] command printed")

    def replace(self, keys: MasterKeys) -> None:
        raise KeyProblem("the key that a command prints is changed where the command gets it: see docs/keys.md")


def parse(text: bytes, named: str) -> MasterKeys:
    """One or more keys from lines of hexadecimal digits. Raises KeyProblem, which names ``named`` and no key."""
    try:
        keys = tuple(bytes.fromhex(line) for line in text.decode("ascii").split())
    except ValueError:
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise KeyProblem(f"{named} is not a master key (64 hexadecimal digits a line)")
    return MasterKeys(keys[0], keys[1:])
