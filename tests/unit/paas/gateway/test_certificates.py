"""The platform's authority: made once; the gateway's certificate follows its names and its age."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from paas.gateway import certificates

pytestmark = pytest.mark.unit


def test_the_authority_stays_and_the_certificate_follows_the_names(tmp_path: Path) -> None:
    assert certificates.ensure(tmp_path, ("localhost", "127.0.0.1"))
    authority, own = (tmp_path / "ca.pem").read_bytes(), (tmp_path / "gateway.pem").read_bytes()
    assert not certificates.ensure(tmp_path, ("localhost", "127.0.0.1"))
    assert (tmp_path / "gateway.pem").read_bytes() == own
    assert certificates.ensure(tmp_path, ("localhost", "paas.example.org"))
    assert (tmp_path / "ca.pem").read_bytes() == authority
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("ca.key", "gateway.key")} == {0o600}
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
        tmp_path / "gateway.pem", tmp_path / "gateway.key"
    )


def test_a_certificate_near_its_end_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates.ensure(tmp_path, ("localhost",))
    monkeypatch.setattr(certificates, "RENEW_DAYS", certificates.DAYS + 1)
    assert certificates.ensure(tmp_path, ("localhost",))


def test_names() -> None:
    names = certificates.names_of("localhost", "localhost")
    assert names == ("localhost", "127.0.0.1", "::1", "*.localhost")
