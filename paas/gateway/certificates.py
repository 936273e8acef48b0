"""The certificate of the platform's gateway, by the platform's own authority.

In: a folder and the names that users reach the platform by.  Out: `gateway.pem` and `gateway.key` there (P-256, keys
0600), beside the authority's. Used at set-up only: the gateway itself never loads this module.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from paas import authority
from paas.authority import Authority
from paas.secrets import write_private

DAYS = 397  # the longest that clients accept of a server
RENEW_DAYS = 60


def ensure(folder: Path, names: Iterable[str]) -> bool:
    """Make what is missing, for other names, or about to expire. Returns whether the certificate is new."""
    now, wanted = authority.now(), tuple(dict.fromkeys(names))
    own = authority.ensure_authority(folder, now)
    file = folder / "gateway.pem"
    if file.exists() and (folder / "gateway.key").exists() and _is_good(file, own, wanted, now):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certify(key, wanted, own, now)
    write_private(folder / "gateway.key", authority.private_text(key))
    write_private(file, authority.text(certificate) + authority.text(own.certificate))
    return True


def names_of(public_host: str, domain: str) -> tuple[str, ...]:
    """Return the names and addresses that a certificate of this platform is for."""
    return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", public_host, domain, f"*.{domain}")))


def _is_good(file: Path, own: Authority, names: tuple[str, ...], now: datetime) -> bool:
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    lasts = certificate.not_valid_after_utc > now + timedelta(days=RENEW_DAYS)
    return lasts and certificate.issuer == own.certificate.subject and set(found) == set(_alternatives(names))


def _alternatives(names: tuple[str, ...]) -> list[x509.GeneralName]:
    return [_alternative(name) for name in names]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _certify(
    key: ec.EllipticCurvePrivateKey, names: tuple[str, ...], own: Authority, now: datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    lifetime = timedelta(days=DAYS)
    builder = authority.certificate_builder(subject, own.certificate.subject, key.public_key(), now, lifetime)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(authority.issuer_of(own), critical=False)
    return builder.sign(own.key, hashes.SHA256())
