"""Certificates instead of passwords: who is let in, and what the others are told."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from state import errors
from state.fleet.server.admin.logins import MACHINE, let_in
from tests.state.fleet.test_connect import administer, logged_in
from tests.support.postgres.cluster import Fleet

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="apt-get install openssl")
NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def asked(fleet: Fleet, sql: str) -> Any:
    with psycopg.connect(fleet.admin) as admin:
        return admin.execute(sql).fetchall()[0][0]


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> None:
    openssl(
        folder,
        *("req", "-x509", *NEW, "-subj", f"/CN={name}", "-keyout", f"{name}.key"),
        *("-out", f"{name}.crt"),
    )


def certificate(folder: Path, name: str, subject: str, of: str) -> None:
    openssl(
        folder,
        *("req", *NEW[:-2], "-subj", f"/CN={subject}", "-keyout", f"{name}.key"),
        *("-out", f"{name}.csr"),
    )
    openssl(
        folder,
        *("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-out", f"{name}.crt"),
        *("-CA", f"{of}.crt", "-CAkey", f"{of}.key", "-CAcreateserial"),
    )
    (folder / f"{name}.key").chmod(0o600)


@pytest.fixture
def certified(fleet: Fleet, tmp_path: Path) -> Iterator[Path]:
    """The folder of the certificates by which the machine ``one`` is let in, and of others."""
    data, role = fleet.cluster.folder / "data", f"{fleet.database}_one"
    for name in ("ca", "other"):
        authority(tmp_path, name)
    certificate(tmp_path, "server", "localhost", "ca")
    certificate(tmp_path, "machine", role, "ca")
    certificate(tmp_path, "somebody", "somebody", "ca")
    certificate(tmp_path, "stranger", role, "other")
    owner = data.stat()
    for name in ("server.key", "server.crt", "ca.crt"):
        shutil.copy(tmp_path / name, data / name)
        os.chown(data / name, owner.st_uid, owner.st_gid)
        (data / name).chmod(0o600)
    access = data / "pg_hba.conf"
    before = access.read_text()
    access.write_text(f"hostssl {fleet.database} +threadkeep_machine 127.0.0.1/32 cert\n{before}")
    changes = ("ssl", "ssl_ca_file")
    values = ("'on'", "'ca.crt'")
    administer(
        fleet.admin,
        *(f"ALTER SYSTEM SET {n} = {v}" for n, v in zip(changes, values, strict=True)),
        "SELECT pg_reload_conf()",
    )
    while asked(fleet, "SHOW ssl") != "on":  # new ones alone tell
        pass
    login = let_in(fleet.admin, MACHINE, "one", role=role, has_password=False)
    assert login.pgpass is None
    yield tmp_path
    access.write_text(before)
    administer(
        fleet.admin,
        *(f"ALTER SYSTEM RESET {name}" for name in changes),
        "SELECT pg_reload_conf()",
    )


def test_a_certificate_lets_in(fleet: Fleet, certified: Path) -> None:
    def address(user: str, trusted: str = "ca", host: str = "localhost") -> str:
        files = {"sslrootcert": trusted, "sslcert": user}
        named = " ".join(f"{key}={certified}/{name}.crt" for key, name in files.items())
        return (
            f"host={host} hostaddr=127.0.0.1 port={fleet.cluster.port} dbname={fleet.database}"
            f" user={fleet.database}_one sslmode=verify-full {named} sslkey={certified}/{user}.key"
        )

    assert logged_in(address("machine"))[:2] == (1, 1)
    for wrong, says in (
        (address("machine", trusted="other"), "certificate verify failed"),
        (address("machine", trusted="missing"), "does not exist"),
        (address("machine", host="db.example"), "does not match host name"),
        (address("missing"), "valid client certificate"),
        (address("somebody"), "certificate authentication failed"),
        (address("stranger"), "unknown ca|certificate"),
    ):
        with pytest.raises(errors.FleetCertificateRefused, match=says):
            logged_in(wrong)
    (certified / "machine.key").chmod(0o644)
    with pytest.raises(errors.FleetCertificateRefused, match="has group or world access"):
        logged_in(address("machine"))
