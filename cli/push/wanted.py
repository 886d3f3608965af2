"""What is to be pushed, and where to: as given, and as the user's file says."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cli import __version__
from cli.errors import WrongUsage
from cli.fleet import config
from state.fleet.push.batch import LEVELS
from state.fleet.push.exclusions import Exclusions
from state.fleet.push.levels import contents_of
from state.fleet.push.push import Pushed, PushOptions

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex

_KINDS: Final = ("folders", "remotes", "sources", "tags")


class Wanted(NamedTuple):
    """What is to be pushed, and where to."""

    address: str
    level: str
    exclusions: Exclusions
    take_over: bool


def wanted(url: str | None, level: str | None, *, take_over: bool) -> Wanted:
    """What the command line and the user's file ask for. Raises WrongUsage."""
    address, found = config.address(url), config.read_config()
    level = level or found.get("level", LEVELS[0])
    if level not in LEVELS:
        raise WrongUsage(f"there is no level {level}", f"take one of {', '.join(LEVELS)}")
    return Wanted(address, level, _exclusions(found.get("exclude", {})), take_over)


def _exclusions(found: Any) -> Exclusions:
    """What the table ``exclude`` says. What is misspelled would be pushed, so it is refused."""
    from state.userdata.folders import spellings

    def wrong(why: str) -> WrongUsage:
        known = ", ".join(_KINDS)
        return WrongUsage(f"{config.path()}: {why}", f"exclude has lists of texts: {known}")

    if not isinstance(found, dict):
        raise wrong("exclude is not a table")
    for name, values in found.items():
        if name not in _KINDS:
            raise wrong(f"exclude has no {name}")
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise wrong(f"{name} is not a list of texts")
    given = {name: tuple(found.get(name, ())) for name in _KINDS}
    folders = (config.expanded(folder) for folder in given["folders"])
    given["folders"] = tuple(dict.fromkeys(each for one in folders for each in spellings(one)))
    return Exclusions(**given)


def redactor() -> Callable[[str], str]:
    """Removes secrets, e-mail addresses and user names from a text, as exports do."""
    from cli.redact.redactor import Redactor

    return Redactor().text


def options_for(index: "ThreadIndex", asked: Wanted) -> PushOptions:
    """How to push from an index."""
    redact = redactor()
    return PushOptions(
        level=asked.level,
        exclusions=asked.exclusions,
        redact=redact,
        contents=contents_of(asked.level, index, redact),
        take_over=asked.take_over,
        version=__version__,
    )


def document(done: Pushed) -> dict[str, Any]:
    """What a push has done, as JSON."""
    return {
        "version": 1,
        "machine": done.machine,
        "everything": done.new_epoch,
        "threads": done.threads,
        "deleted": done.deleted,
        "excluded": done.excluded,
        "refused": [{"threadId": id_, "reason": why} for id_, why in done.refused.items()],
    }


def sentence(done: Pushed) -> str:
    """What a push has done, in words."""
    from cli.terminal.text import plural

    parts = [f"Pushed {plural(done.threads, 'thread')} as {done.machine}"]
    if done.deleted:
        parts.append(f"took {done.deleted:,} back")
    if done.excluded:
        parts.append(f"left {done.excluded:,} out")
    return ", ".join(parts)
