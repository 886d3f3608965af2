"""A terminal in tmux, for tests of what people see and type."""

import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.effort import PATIENCE_S


class Tmux:
    """A shell in a terminal of 80 columns and 24 lines."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def run(self, *words: str) -> str:
        """What a command of tmux prints."""
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        """Press keys, as tmux calls them: ``Enter``, ``C-t``."""
        self.run("send-keys", *keys)

    def write(self, text: str) -> None:
        """Type a text."""
        self.run("send-keys", "-l", text)

    @property
    def screen(self) -> str:
        """What is on the screen."""
        return self.run("capture-pane", "-p")

    def until(self, *texts: str, gone: str = "") -> str:
        """The screen once it has some texts, and no longer another one."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            screen = self.screen
            if all(text in screen for text in texts) and not (gone and gone in screen):
                return screen
            ended = gone and re.search(rf"^{gone} \d", screen, re.MULTILINE)
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"no {texts} on:\n{screen}")
            time.sleep(0.02)

    def command(self, words: Sequence[str]) -> None:
        """Have the shell run a command, which says when it has ended: ``ended 0``."""
        self.write(f"{shlex.join(words)}; echo ended $?")
        self.press("Enter")

    def check_whole(self) -> None:
        """Check that the terminal is as a shell needs it."""
        modes = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"
        assert self.run("display-message", "-p", modes).split() == ["0", "1", "0"]
        self.write("stty -a | tr ' ' '\\n' | grep -cx -e echo -e icanon -e isig -e icrnl -e opost")
        self.press("Enter")
        self.until("\n5\n")


@contextmanager
def terminal(folder: Path, environment: Mapping[str, str]) -> Iterator[Tmux]:
    """A terminal whose shell has just this environment."""
    tmux = Tmux(folder / "tmux")
    variables = [word for item in environment.items() for word in ("-e", "=".join(item))]
    shell = shlex.join(["env", "-i", *map("=".join, environment.items()), "sh"])
    size = ("-x", "80", "-y", "24")
    tmux.run("new-session", "-d", *size, *variables, f"TERM=tmux-256color exec {shell}")
    try:
        yield tmux
    finally:
        tmux.run("kill-server")
