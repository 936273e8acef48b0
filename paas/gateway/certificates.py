"""The platform's own certificate authority, and the certificate of its gateway.

In: a folder and the names that users reach the platform by.  Out: `ca.pem`, `ca.key`, `gateway.pem`, `gateway.key`
there (P-256, keys 0600). Used at set-up only: the gateway itself never loads this module.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from paas.secrets import write_private

CA_DAYS = 3650
DAYS = 397  # the longest that clients accept of a server
RENEW_DAYS = 60
_BACK = timedelta(hours=1)  # clocks of clients may be behind

Key = ec.EllipticCurvePrivateKey


def ensure(folder: Path, names: Iterable[str]) -> bool:
    """Make what is missing, for other names, or about to expire. Returns whether the certificate is new."""
    now, wanted = datetime.now(UTC), tuple(dict.fromkeys(names))
    key, authority = _ensure_authority(folder, now)
    file = folder / "gateway.pem"
    if file.exists() and (folder / "gateway.key").exists() and _is_good(file, authority, wanted, now):
        return False
    own = ec.generate_private_key(ec.SECP256R1())
    certificate = _certify(own, wanted, key, authority, now)
    write_private(folder / "gateway.key", _private_text(own))
    write_private(file, _text(certificate) + _text(authority))
    return True


def names_of(public_host: str, domain: str) -> tuple[str, ...]:
    """Return the names and addresses that a certificate of this platform is for."""
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", public_host, domain, f"*.{domain}")))


def _ensure_authority(folder: Path, now: datetime) -> tuple[Key, x509.Certificate]:
    key_file, file = folder / "ca.key", folder / "ca.pem"
    if not (key_file.exists() and file.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(key_file, _private_text(key))
        write_private(file, _text(_self_certify(key, now)))
        file.chmod(0o644)
    loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded, x509.load_pem_x509_certificate(file.read_bytes())


def _is_good(file: Path, authority: x509.Certificate, names: tuple[str, ...], now: datetime) -> bool:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    lasts = certificate.not_valid_after_utc > now + timedelta(days=RENEW_DAYS)
    return lasts and certificate.issuer == authority.subject and set(found) == set(_alternatives(names))


def _alternatives(names: tuple[str, ...]) -> list[x509.GeneralName]:
    return [_alternative(name) for name in names]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _self_certify(key: Key, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"paas {secrets.token_hex(4)}")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = _builder(name, name, key, now, CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return builder.sign(key, hashes.SHA256())


def _certify(
    own: Key, names: tuple[str, ...], key: Key, authority: x509.Certificate, now: datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = _builder(subject, authority.subject, own, now, DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(issuer_id, critical=False)
    return builder.sign(key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime, days: int
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _BACK).not_valid_after(now + timedelta(days=days))
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False)


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_text(key: Key) -> str:
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, layout, serialization.NoEncryption()).decode()
