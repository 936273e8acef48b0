"""The secrets of one installation: made once, kept in one file that only its owner can read.

In: the data folder.  Out: a frozen `Secrets`.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from cryptography.fernet import Fernet

# Tokens that machines showed each other before they had certificates; a set-up throws them away.
REPLACED = ("agent_token", "router_token", "machine_token")


@dataclass(frozen=True, repr=False)
class Secrets:
    """Keys of the installation. `encryption_keys`: Fernet keys, newest first (older ones still decrypt)."""

    django_key: str
    encryption_keys: tuple[str, ...]
    gateway_key: str  # the controller signs tickets for attached runs with it, gateways check them


def secrets_file(home: Path) -> Path:
    return home / "secrets.json"


def make_secrets(home: Path) -> Secrets:
    """Return the installation's secrets, making them at the first call. Safe to call from several processes at once."""
    file = secrets_file(home)
    if not file.exists():
        made = Secrets(
            django_key=secrets.token_urlsafe(48),
            encryption_keys=(Fernet.generate_key().decode(),),
            gateway_key=secrets.token_urlsafe(32),
        )
        write_private(file, json.dumps(asdict(made)), exclusive=True)
    return read_secrets(home)


def read_secrets(home: Path) -> Secrets:
    """Return the secrets. Raises FileNotFoundError when the platform was never set up in `home`."""
    values = json.loads(secrets_file(home).read_text())
    values["encryption_keys"] = tuple(values["encryption_keys"])
    # An installation that is older than the gateway has no key for it: one that only this file's owner can derive.
    derived = hashlib.sha256(f"gateway:{values['django_key']}".encode()).hexdigest()
    values.setdefault("gateway_key", derived)
    return Secrets(**{name: value for name, value in values.items() if name not in REPLACED})


def drop_replaced(home: Path) -> None:
    """Take out of the file what is no secret any more."""
    values = json.loads(secrets_file(home).read_text())
    kept = {name: value for name, value in values.items() if name not in REPLACED}
    if kept != values:
        write_private(secrets_file(home), json.dumps(kept))


def write_private(file: Path, text: str, *, exclusive: bool = False) -> None:
    """Write a file with mode 0600 atomically. With `exclusive` an existing file stays as it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        if exclusive:
            os.link(temporary, file)
        else:
            temporary.rename(file)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)


@cache
def installation_secrets(home: Path) -> Secrets:
    """Return the secrets of this installation, read once per process."""
    return read_secrets(home)
