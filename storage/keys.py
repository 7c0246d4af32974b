"""Where the master key is kept: a file of its own (0600), never inside the data folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

KEY_BYTES = 32
KEY_FILE = "master.key"


class KeyProblem(Exception):
    """The master key cannot be used; the text says what to mend and never holds the key."""


def key_path(configured: Path | None, environ: Mapping[str, str]) -> Path:
    """The configured file, else systemd's credential folder, else the user's configuration folder."""
    if configured is not None:
        return configured
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials:
        return Path(credentials) / KEY_FILE
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "intake-bot" / KEY_FILE


def load_or_create(path: Path, *, data_dir: Path) -> bytes:
    """The 32 bytes of the key, made on the first start. Raises KeyProblem."""
    if path.resolve().is_relative_to(data_dir.resolve()):
        raise KeyProblem("the master key must not lie inside the data folder: set [keys] file to a path outside it")
    try:
        return _load(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written beside and linked into place: a crash leaves no half key, and of two first starts one wins.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return _load(path)


def _load(path: Path) -> bytes:
    text = path.read_bytes()
    # systemd's credentials are readable by the service's own user alone, whatever their mode says.
    if path.stat().st_mode & 0o077 and "CREDENTIALS_DIRECTORY" not in os.environ:
        raise KeyProblem(f"the master key can be read by others: chmod 600 {path}")
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyProblem(f"{path} is not a master key (64 hexadecimal digits)")
    return key
