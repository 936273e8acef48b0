"""Keys and signing requests of this machine; the child process that renews its certificate.

In: an identity's files, the controller's address.  Out: `machine.pem`, replaced as a whole; a key never leaves here.

`python -m runtime.signing URL MACHINE AUTHORITY` renews once and ends: what it has loaded goes with it, so that an
agent stays small.
"""

from __future__ import annotations

import http.client
import os
import secrets
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.enrolment import RENEW_PATH, Renewed, RenewRequest
from runtime.model import ErrorBody, decode, encode
from runtime.tls import CONTROLLER, Credentials, client_context

SECONDS = 15.0

Key = ec.EllipticCurvePrivateKey


class ControllerRefused(Exception):
    """The controller said no; the text is its sentence. `status` is that of HTTP, 0 when nobody answered."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def make_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def key_text(key: Key) -> str:
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, layout, serialization.NoEncryption()).decode()


def read_key(text: str) -> Key:
    key = serialization.load_pem_private_key(text.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def signing_request(key: Key) -> str:
    """Return a request that proves the key and says nothing else: who this is, the controller knows."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def keep(files: Credentials, key: Key, certificate: str, authority: str) -> None:
    """Put a certificate in place with its key. Raises ValueError when it is not for that key."""
    if x509.load_pem_x509_certificate(certificate.encode()).public_key() != key.public_key():
        raise ValueError("The certificate that was sent is for another key.")
    if not files.authority.exists() or files.authority.read_text() != authority:
        write_private(files.authority, authority)
    write_private(files.machine, key_text(key) + certificate)


def is_over(files: Credentials) -> bool:
    """Tell whether the certificate has come to its end, or cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(files.machine.read_bytes())
    except (OSError, ValueError):
        return True
    return certificate.not_valid_after_utc < datetime.now(UTC)


def write_private(file: Path, text: str) -> None:
    """Replace a file (mode 0600) so that nobody ever reads half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.rename(file)


def ask(base: str, method: str, path: str, body: bytes, context: ssl.SSLContext) -> bytes:
    """Ask the controller once. Raises ControllerRefused."""
    parts = urlsplit(base)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 443, context=context, timeout=SECONDS
    )
    try:
        connection.request(method, path, body or None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ControllerRefused(f"The controller at {base} does not answer as it should: {error}") from error
    finally:
        connection.close()
    if answer.status >= 300:
        raise ControllerRefused(_sentence(content, answer.status), answer.status)
    return content


def _sentence(content: bytes, status: int) -> str:
    try:
        return decode(content, ErrorBody).message
    except ValueError:
        return f"The controller answered {status}."


def renew(base: str, files: Credentials) -> None:
    """Get a certificate for a new key, with the present one. Raises ControllerRefused, OSError or ValueError."""
    key = make_key()
    body = encode(RenewRequest(request=signing_request(key)))
    answer = ask(base, "POST", RENEW_PATH, body, client_context(files, CONTROLLER))
    renewed = decode(answer, Renewed)
    keep(files, key, renewed.certificate, renewed.authority)


def main(arguments: list[str]) -> int:
    base, machine, authority = arguments
    try:
        renew(base, Credentials(Path(machine), Path(authority)))
    except (ControllerRefused, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
