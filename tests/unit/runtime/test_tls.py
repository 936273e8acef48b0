"""Mutual TLS in memory: two contexts shake hands over buffers, and each side says what it thinks of the other."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from paas import authority
from runtime import signing, tls
from runtime.tls import CONTROLLER, Credentials, host_identity

pytestmark = pytest.mark.unit
ONE, TWO = host_identity("one"), host_identity("two")
Make = Callable[..., Credentials]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Certify an identity: by `ca`, `days` from now."""

    def certify(identity: str, ca: str = "ca", days: float = 0) -> Credentials:
        name = identity.rpartition("/")[2]
        files = Credentials(tmp_path / f"{name}-{ca}-{days}.pem", tmp_path / ca / "ca.pem")
        then = datetime.now(UTC) + timedelta(days=days)
        authority.ensure_authority(tmp_path / ca, datetime.now(UTC))
        authority.ensure_machine(tmp_path / ca, files.machine, identity, then)
        return files

    return certify


def shake(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends after a handshake and one byte each way, which shows what the server thinks."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(back, there, server_hostname="anything"),
        server.wrap_bio(there, back, server_side=True),
    )
    left = list(ends)
    for _ in range(10):
        for end in tuple(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not left
    ends[1].write(b"x")
    assert ends[0].read(1) == b"x"
    return ends


def test_each_side_learns_who_the_other_is(make: Make) -> None:
    client, server = shake(tls.client_context(make(ONE), CONTROLLER), tls.server_context(make(CONTROLLER)))
    assert client.version() == server.version() == "TLSv1.3"
    assert tls.identity_of(server.getpeercert()) == ONE
    assert tls.identity_of(client.getpeercert()) == CONTROLLER


def test_a_machine_of_the_platform_that_is_not_the_one_asked_for(make: Make) -> None:
    with pytest.raises(tls.WrongPeer, match="paas://host/two, not paas://controller"):
        shake(tls.client_context(make(ONE), CONTROLLER), tls.server_context(make(TWO)))


def test_certificates_of_another_authority_are_refused_on_both_sides(make: Make) -> None:
    foreign = Credentials(make(ONE, "other").machine, make(ONE).authority)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tls.client_context(foreign, CONTROLLER), tls.server_context(make(CONTROLLER)))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tls.client_context(make(ONE), CONTROLLER), tls.server_context(make(CONTROLLER, "other")))


@pytest.mark.parametrize("days", [-8, 1])
def test_a_certificate_out_of_its_time_is_refused(make: Make, days: float) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="expired|not yet valid"):
        shake(tls.client_context(make(ONE, days=days), CONTROLLER), tls.server_context(make(CONTROLLER)))


def test_a_clock_that_is_half_an_hour_behind_does_no_harm(make: Make) -> None:
    shake(tls.client_context(make(ONE, days=0.5 / 24), CONTROLLER), tls.server_context(make(CONTROLLER)))


def test_without_a_certificate_only_a_port_for_strangers_answers(make: Make) -> None:
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname = False
    stranger.load_verify_locations(make(ONE).authority)
    _, server = shake(stranger, tls.server_context(make(CONTROLLER), strangers=True))
    assert tls.identity_of(server.getpeercert()) == ""
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake(stranger, tls.server_context(make(CONTROLLER)))


def test_an_older_version_of_tls_is_refused(make: Make) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.load_verify_locations(make(ONE).authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake(old, tls.server_context(make(CONTROLLER), strangers=True))


def test_contexts_follow_files_that_are_replaced(make: Make) -> None:
    mine, server = make(ONE), tls.server_context(make(CONTROLLER))
    client = tls.client_context(mine, CONTROLLER)
    assert tls.identity_of(shake(client, server)[1].getpeercert()) == ONE
    make(TWO).machine.replace(mine.machine)
    assert tls.identity_of(shake(client, server)[1].getpeercert()) == TWO


@pytest.mark.parametrize(
    "names",
    [(), (("DNS", "x"),), (("URI", "https://x"),), (("URI", "paas://host/a"), ("URI", "paas://host/b"))],
)
def test_no_single_identity_is_none(names: tuple[tuple[str, str], ...]) -> None:
    assert tls.identity_of({"subjectAltName": names}) == ""
    assert tls.identity_of(None) == ""


def test_this_box_certificates_are_kept_while_they_last(tmp_path: Path) -> None:
    folder, file, now = tmp_path / "ca", tmp_path / "agent.pem", datetime.now(UTC)
    assert authority.ensure_machine(folder, file, ONE, now)
    assert file.stat().st_mode & 0o077 == 0
    assert not authority.ensure_machine(folder, file, ONE, now)
    assert authority.ensure_machine(folder, file, TWO, now)
    assert authority.ensure_machine(folder, file, TWO, now + timedelta(days=3))
    file.write_text("damaged")
    assert authority.ensure_machine(folder, file, TWO, now)
    (folder / "ca.key").unlink()
    assert authority.ensure_machine(folder, file, TWO, now)


def test_only_requests_that_prove_their_key_are_certified() -> None:
    key = signing.make_key()
    assert authority.read_request(signing.signing_request(key)) == key.public_key()
    for text in ("", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"):
        with pytest.raises(authority.BadRequestForCertificate):
            authority.read_request(text)
    for other in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(authority.BadRequestForCertificate, match="P-256"):
            authority.read_request(signing.signing_request(other))  # type: ignore[arg-type]


def test_a_certificate_for_another_key_is_not_kept(tmp_path: Path, make: Make) -> None:
    files = Credentials(tmp_path / "new.pem", tmp_path / "new-ca.pem")
    with pytest.raises(ValueError, match="another key"):
        signing.keep(files, signing.make_key(), make(ONE).machine.read_text(), "")
    assert not files.machine.exists()
