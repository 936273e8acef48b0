"""Values encrypted at rest with the installation's keys (MultiFernet: new keys encrypt, old ones still decrypt).

In: bytes or a mapping of config vars.  Out: the encrypted form for a BinaryField, and back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


@cache
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key.encode()) for key in settings.SECRETS.encryption_keys])


def encrypt(data: bytes) -> bytes:
    return _fernet().encrypt(data)


def decrypt(data: bytes | memoryview) -> bytes:
    """Raises cryptography.fernet.InvalidToken when the key that encrypted it is not among the installation's."""
    return _fernet().decrypt(bytes(data))


def encrypt_config(values: Mapping[str, str]) -> bytes:
    return encrypt(json.dumps(dict(values), sort_keys=True).encode())


def decrypt_config(data: bytes | memoryview) -> dict[str, str]:
    values: dict[str, str] = json.loads(decrypt(data)) if data else {}
    return values
