"""The line that is being typed: which option or argument is at the cursor."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Line:
    """The words before the cursor, as far as they are known options and arguments."""

    command: Any
    name: str = ""
    """The words of the command."""
    arguments: list[str] = field(default_factory=list)
    given: dict[str, list[str]] = field(default_factory=dict)
    """The options, by the names of their parameters, with their values."""
    root: dict[str, list[str]] = field(default_factory=dict)
    """Those before the command."""
    awaiting: Any = None
    """The option whose value is at the cursor."""
    options_ended: bool = False

    def take(self, word: str) -> bool:
        """Take the next word. Returns whether the rest can be completed."""
        if self.awaiting is not None:
            self.given[self.awaiting.name].append(word)
            self.awaiting = None
        elif word == "--" and not self.options_ended:
            self.options_ended = True
        elif word.startswith("-") and word != "-" and not self.options_ended:
            self._take_option(word)
        elif not self.arguments and (inner := self.commands().get(word)) is not None:
            if not self.name:
                self.root = self.given
            self.name = f"{self.name} {word}".lstrip()
            self.command, self.given = inner, {}
        elif self.commands() and not self.parameters("argument"):
            return False
        else:
            self.arguments.append(word)
        return True

    def _take_option(self, word: str) -> None:
        name, joined, value = word.partition("=")
        if not word.startswith("--"):
            name, joined, value = word[:2], word[2:], word[2:]
        option = self.option(name)
        if option is None:
            return
        self.given.setdefault(option.name, [])
        if joined:
            self.given[option.name].append(value)
        elif not option.is_flag:
            self.awaiting = option

    def option(self, name: str) -> Any:
        """The option of the command that is called so."""
        every = self.parameters("option")
        return next((each for each in every if name in (*each.opts, *each.secondary_opts)), None)

    def parameters(self, kind: str) -> list[Any]:
        """The options or arguments of the command."""
        found = self.command.params
        return [each for each in found if each.param_type_name == kind and not each.hidden]

    def commands(self) -> Any:
        """The commands below the command."""
        return getattr(self.command, "commands", {})
