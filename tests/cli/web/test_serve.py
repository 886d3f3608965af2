"""``threadkeep web`` as a person starts it and ends it."""

import signal
import socket
import sys
from pathlib import Path

import pytest

from cli.commands import web as command
from tests.cli.web.server import Server
from tests.cli.web.support import small_home
from tests.support.command import Cli, Inside, Within, plain_user, write_rollout

__all__ = ["plain_user"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    here = small_home(tmp_path)
    return Cli(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)})


def test_it_prints_an_address_that_shows_threads_until_it_is_interrupted(cli: Cli) -> None:
    with Server(cli) as server:
        answer = server.get("/")
        assert answer.status == 200
        assert "prompt 2" in answer.text
        assert server.get("/", headers={}).status == 401
        with Server(cli) as second:
            assert second.port != server.port
            assert "prompt 2" in second.get("/").text
            assert server.get("/", headers=second.headers).status == 401
            assert second.end(signal.SIGTERM) == (0, SAID)
        assert "prompt 2" in server.get("/").text
        assert server.end() == (0, SAID)


SAID = "Only you can open this address. Ctrl-C ends it.\n"


def test_ports_and_addresses_that_cannot_be_listened_on(cli: Cli) -> None:
    inside = Inside(cli.home, cli.base, cli.extra)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = inside.run("web", "--no-open", "--port", port, status=2)
        assert f"another program listens on {port}" in ran.err
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        ran = inside.run("web", "--no-open", "--host", host, status=2)
        assert "THREADKEEP_TOKEN" in ran.err
    secret = {"THREADKEEP_TOKEN": "a1" * 16}
    for host in ("192.0.2.1", "no host", "nobody.invalid"):
        ran = inside.run("web", "--no-open", "--host", host, "--port", "0", status=2, env=secret)
        assert "is no address of this machine" in ran.err
    for token in ("short", "with blanks in it, though it is long", "é" * 20):
        ran = inside.run("web", "--no-open", status=2, env={"THREADKEEP_TOKEN": token})
        assert "can be guessed" in ran.err
    ran = inside.run("--home", str(cli.base / "none"), "web", "--no-open", status=3)
    assert "no Codex home" in ran.err


def test_a_token_of_the_user_stays(cli: Cli) -> None:
    secret = "a1" * 16
    with Server(cli, "--port", "0", env={"THREADKEEP_TOKEN": secret}) as server:
        assert server.token == secret
        assert server.get("/").status == 200


def test_an_index_that_cannot_be_written_is_read(cli: Cli, plain_user: Within) -> None:
    write_rollout(cli.home, 4, "too new")
    folder = cli.index.parent
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for path in (*before, folder):
        path.chmod(0o500 if path == folder else 0o400)
    try:
        with Server(cli, "--port", "0", prefix=plain_user) as server:
            page = server.get("/").text
            assert "prompt 2" in page
            assert "too new" not in page
            assert "What is shown may be out of date: the index" in page
            assert server.end()[0] == 0
    finally:
        folder.chmod(0o700)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def browser(folder: Path, status: int) -> dict[str, str]:
    """The environment with a browser that notes what it is to open."""
    program = folder / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" >> {folder}/opened\nexit {status}\n')
    program.chmod(0o700)
    return {"BROWSER": str(program)}


def test_a_browser_is_opened_and_where_it_fails_pages_are_served(cli: Cli, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    for status in (0, 1):
        with Server(cli, "--port", "0", env=browser(tmp_path, status), opens=True) as server:
            assert "prompt 2" in server.get("/").text
            said = SAID
            if status:
                said += "No browser could be started: open the address above in yours.\n"
            assert server.process.stderr
            begun = b"".join(server.process.stderr.readline() for _ in said.splitlines())
            assert begun.decode() == said
            while not opened.exists():
                pass
            assert server.end() == (0, "")
            assert opened.read_text() == server.address + "\n"
            opened.unlink()


def test_no_browser_is_opened_where_nobody_would_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("WSL_DISTRO_NAME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert not command._has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert command._has_display()
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22")
    assert not command._has_display()
