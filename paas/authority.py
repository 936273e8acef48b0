"""The platform's own certificate authority, and the certificates of its machines.

In: the folder `ca`, public keys, identities (`runtime.tls`).  Out: certificates (P-256), files with mode 0600.

A machine's certificate lasts for days and is renewed by its machine; who is taken off the platform is refused at once
all the same, because every request looks for the row.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from paas.secrets import write_private
from runtime.tls import identity_of

CA_DAYS = 3650
MACHINE_LIFETIME = timedelta(days=7)
MACHINE_RENEWAL = timedelta(days=5)  # so much is left when this box' own certificates are made anew
BACK = timedelta(hours=1)  # clocks may be behind

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, repr=False)
class Authority:
    key: Key
    certificate: x509.Certificate

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hex: what a join token knows it by."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


class BadRequestForCertificate(Exception):
    """What was sent is no signing request that can be certified; the text says why."""


def ensure_authority(folder: Path, now: datetime) -> Authority:
    """Return the authority, making it at the first call."""
    key_file, file = folder / "ca.key", folder / "ca.pem"
    if not (key_file.exists() and file.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(key_file, private_text(key))
        write_private(file, text(_self_certify(key, now)))
        file.chmod(0o644)
    return read_authority(folder)


def read_authority(folder: Path) -> Authority:
    """Return the authority. Of several certificates in `ca.pem` the first is the one in use."""
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(key, x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()))


def certify_machine(
    authority: Authority, public_key: ec.EllipticCurvePublicKey, identity: str, now: datetime
) -> x509.Certificate:
    """Certify that whoever has the key is `identity`, as a client and as a server."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.removeprefix("paas://")[:64])])
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    issuer = authority.certificate.subject
    builder = certificate_builder(subject, issuer, public_key, now, MACHINE_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    uri = x509.UniformResourceIdentifier(identity)
    builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    builder = builder.add_extension(issuer_of(authority), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def read_request(pem: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a signing request; only the key counts, never its names. Raises BadRequestForCertificate."""
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        valid, key = request.is_signature_valid, request.public_key()
    except ValueError as error:
        raise BadRequestForCertificate("That is no certificate signing request.") from error
    if not valid:
        raise BadRequestForCertificate("The signing request is not signed by its own key.")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequestForCertificate("The key of a machine must be one of the curve P-256.")
    return key


def ensure_machine(folder: Path, file: Path, identity: str, now: datetime) -> bool:
    """Make the key and certificate of a machine of this box if missing, foreign or old. Returns whether it was made."""
    authority = ensure_authority(folder, now)
    if file.exists() and _lasts(file, authority, identity, now):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = certify_machine(authority, key.public_key(), identity, now)
    write_private(file, private_text(key) + text(certificate))
    return True


def _lasts(file: Path, authority: Authority, identity: str, now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        certificate.verify_directly_issued_by(authority.certificate)
    except Exception:  # whatever is wrong with it, it is made anew
        return False
    return identity == _identity(certificate) and certificate.not_valid_after_utc > now + MACHINE_RENEWAL


def _identity(certificate: x509.Certificate) -> str:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return identity_of({"subjectAltName": [("URI", uri) for uri in uris]})


def _self_certify(key: Key, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"paas {secrets.token_hex(4)}")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = certificate_builder(name, name, key.public_key(), now, timedelta(days=CA_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return builder.sign(key, hashes.SHA256())


def issuer_of(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def certificate_builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - BACK).not_valid_after(now + lifetime)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private_text(key: Key) -> str:
    encoding, layout = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, layout, serialization.NoEncryption()).decode()


def now() -> datetime:
    return datetime.now(UTC)
