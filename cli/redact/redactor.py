"""Removes from a thread what should not be shared: secrets, e-mail addresses, home folders and user
names."""

import getpass
import re
from collections.abc import Iterator
from typing import Final

from cli.redact.homes import home_pattern, homes_of, is_home, own_homes
from cli.redact.remover import SecretRemover, in_name
from cli.redact.secrets import lowered, replaced_at

_USER: Final = r"(?P<user>[^\s/\\\"'`:;,<>|*?&()\[\]{}$]+)"
_HOME: Final = re.compile(r"(?P<before>/home/|/Users/|[A-Za-z]:[\\/]+Users[\\/]+)" + _USER)
_LINUX_HOME: Final = re.compile("(?P<before>/home/)" + _USER)
_ROOT: Final = re.compile(r"(?<![\w./-])/root(?![\w-])")
_AT: Final = re.compile("@|%(?:25){0,3}40")  # as in URLs, and in URLs within URLs
_EMAIL: Final = re.compile(
    r"(?<![\w.+-])(?!git@)[\w.+%-]{1,64}(?:"
    + _AT.pattern
    + r")[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[a-zA-Z]{2,24}\b"
)
_LONGEST_LOCAL: Final = 64
_COMMON: Final = frozenset(
    {"root", "user", "users", "home", "admin", "dev", "ubuntu", "runner", "shared", "public", "me"}
)
"""User names that are also words; they are removed from paths only."""
_SHORTEST_NAME: Final = 3


class Redactor(SecretRemover):
    """Removes what should not be shared, and counts it."""

    def __init__(self) -> None:
        super().__init__()
        self._names: set[str] = set()
        self._homes: set[str] = set()
        self._home_names: set[str] = set()
        self._name_pattern: re.Pattern[str] | None = None
        self._home_pattern: re.Pattern[str] | None = None
        self._user = _own_name()
        self._learn(self._user)
        for home in own_homes():
            self._learn_home(home)

    def look_at(self, *folders: str) -> None:
        """Learn user names and homes from folders. Texts that were cleaned before keep them."""
        for folder in folders:
            for found in _HOME.finditer(folder):
                self._learn(found["user"])
            for home, name in homes_of(folder, self._user if self._user in self._names else ""):
                self._learn_home(home)
                self._learn(name)

    def _plain(self, text: str) -> str:
        text = super()._plain(text)
        if "@" in text or "%" in text:
            text = replaced_at(_EMAIL, text, _locals(text), self._mark("e-mail"))
        if self._home_pattern and self._may_be_home(text):
            text = self._home_pattern.sub(
                lambda found: self._out("home folder", "/home/user", found[0]), text
            )
        if "Users" in text:
            text = _HOME.sub(self._folder, text)
        elif "/home/" in text:
            text = _LINUX_HOME.sub(self._folder, text)
        if "/root" in text:
            text = _ROOT.sub(lambda found: self._out("home folder", "/home/user", found[0]), text)
        if self._name_pattern and self._may_name(text):
            text = self._name_pattern.sub(
                lambda found: self._out("user name", "user", found[0]), text
            )
        return text

    def _may_be_home(self, text: str) -> bool:
        return any(name in text for name in self._home_names)

    def _may_name(self, text: str) -> bool:
        if not text.isascii():
            return True
        low = text.lower()
        return any(lowered(name) in low for name in self._names)

    def _folder(self, found: "re.Match[str]") -> str:
        if found["user"] == "user":
            return found[0]
        self._learn(found["user"])
        return self._out("home folder", f"{found['before']}user", found[0])

    def _learn(self, name: str) -> None:
        if len(name) < _SHORTEST_NAME or name.lower() in _COMMON or name in self._names:
            return
        self._names.add(name)
        self._clean.clear()
        words = "|".join(re.escape(each) for each in sorted(self._names, key=len, reverse=True))
        self._name_pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def _learn_home(self, home: str) -> None:
        known = home in self._homes or _HOME.fullmatch(home) or _ROOT.fullmatch(home)
        if known or not is_home(home):
            return
        self._homes.add(home)
        self._home_names = {re.split(r"[\\/]", each)[-1] for each in self._homes}
        self._clean.clear()
        self._home_pattern = home_pattern(self._homes)

    def report(self) -> Iterator[str]:
        """Sentences on what was removed and what was not searched."""
        found = [f"{count:,} × {kind}" for kind, count in sorted(self.counts.items())]
        removed = ", ".join(found) or "nothing"
        yield f"Redacted: {removed}. Please review the file before you share it."
        if self.unseen:
            yield f"Not searched: {self.unseen:,} images and other runs of base64."


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return ""


def _locals(text: str) -> Iterator[int]:
    """Where e-mail addresses may begin."""
    for hit in _AT.finditer(text):
        at, least = hit.start(), max(hit.start() - _LONGEST_LOCAL, 0)
        found = []
        while at > least and (in_name(text[at - 1]) or text[at - 1] in "+%"):
            at -= 1
            if at == 0 or not (in_name(text[at - 1]) or text[at - 1] == "+"):
                found.append(at)
        yield from reversed(found)
