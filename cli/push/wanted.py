"""What is to be pushed, and where to: as given, and as the user's file says."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cli import __version__
from cli.errors import WrongUsage
from cli.fleet import config
from cli.terminal import output
from cli.terminal.text import plural
from rollout.schema.session_source import SOURCE_KINDS
from state.errors import InvalidMark
from state.fleet.push.batch import LEVELS
from state.fleet.push.exclusions import Exclusions
from state.fleet.push.levels import contents_of, last_level_steps
from state.fleet.push.push import Pushed, PushOptions
from state.userdata.folders import clean_folder, is_windows, spellings
from state.userdata.marks import clean_tag

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex


_KEYS: Final = frozenset({"url", "level", "exclude"})
"""Of the user's file. What is misspelled would have no effect, and be pushed."""


class Wanted(NamedTuple):
    """What is to be pushed, and where to."""

    address: str
    level: str | None
    """That of the last push, if None."""
    exclusions: Exclusions
    take_over: bool
    everything: bool
    usual_level: str | None = None
    """That of the user's file, if another one is asked for."""


def wanted(
    url: str | None, level: str | None, *, take_over: bool = False, everything: bool = False
) -> Wanted:
    """What the command line and the user's file ask for. Raises WrongUsage."""
    address, found = config.address(url), config.read_config()
    if unknown := found.keys() - _KEYS:
        keys = ", ".join(sorted(_KEYS))
        raise WrongUsage(f"{config.path()} has {min(unknown)}, which is unknown", f"it has {keys}")
    usual = found.get("level")
    level = level or usual
    for each in (level, usual):
        if each is not None and each not in LEVELS:
            raise WrongUsage(f"there is no level {each}", f"take one of {', '.join(LEVELS)}")
    exclusions = _exclusions(found.get("exclude", {}))
    other = usual if usual != level else None
    return Wanted(address, level, exclusions, take_over, everything, other)


def _exclusions(found: Any) -> Exclusions:
    """What the table ``exclude`` says. What has no meaning would be pushed, so it is refused."""

    def wrong(why: str) -> WrongUsage:
        known = ", ".join(_KINDS)
        return WrongUsage(f"{config.path()}: {why}", f"exclude has lists of texts: {known}")

    if not isinstance(found, dict):
        raise wrong("exclude is not a table")
    given: dict[str, tuple[str, ...]] = dict.fromkeys(_KINDS, ())
    for name, values in found.items():
        if name not in _KINDS:
            raise wrong(f"exclude has no {name}")
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise wrong(f"{name} is not a list of texts")
        try:
            given[name] = tuple(one for each in values for one in _CHECKED[name](each))
        except (ValueError, InvalidMark) as error:
            raise wrong(str(error)) from None
    return Exclusions(**given)


def _folder(folder: str) -> list[str]:
    whole = config.expanded(folder)
    if not os.path.isabs(whole) and not is_windows(clean_folder(whole)):
        raise ValueError(f"the folder {folder} is not an absolute one")
    return spellings(whole)


def _remote(remote: str) -> list[str]:
    if not remote.strip():
        raise ValueError("a remote is empty")
    return [remote.strip()]


def _source(source: str) -> list[str]:
    if source not in SOURCE_KINDS and not source.startswith(("custom", "internal")):
        raise ValueError(f"there is no source {source}; take {', '.join(SOURCE_KINDS)}")
    return [source]


_CHECKED: Final[dict[str, Callable[[str], list[str]]]] = {
    "folders": _folder,
    "remotes": _remote,
    "sources": _source,
    "tags": lambda tag: [clean_tag(tag)],
}
_KINDS: Final = (*_CHECKED,)


def redactor() -> Callable[[str], str]:
    """Removes secrets, e-mail addresses and user names from a text, as exports do."""
    from cli.redact.redactor import Redactor

    return Redactor().text


async def options_for(index: "ThreadIndex", asked: Wanted) -> PushOptions:
    """How to push from an index."""
    redact = redactor()
    level = asked.level
    if level is None:
        level = await index.database.query(last_level_steps(asked.address))
    return PushOptions(
        level=level,
        exclusions=asked.exclusions,
        redact=redact,
        contents=contents_of(level, index, redact),
        take_over=asked.take_over,
        everything=asked.everything,
        version=__version__,
    )


def document(done: Pushed) -> dict[str, Any]:
    """What a push has done, as JSON."""
    return {
        "version": 1,
        "machine": done.machine,
        "level": done.level,
        "everything": done.new_epoch,
        "anew": done.anew,
        "threads": done.threads,
        "deleted": done.deleted,
        "excluded": done.excluded,
        "lowered": done.lowered,
        "refused": [{"threadId": id_, "reason": why} for id_, why in done.refused.items()],
    }


def sentence(done: Pushed) -> str:
    """What a push has done, in words."""
    if not (done.threads or done.deleted or done.excluded or done.refused):
        return f"Nothing new to push as {done.machine}"
    parts = [f"Pushed {plural(done.threads, 'thread')} as {done.machine} at level {done.level}"]
    if done.deleted:
        parts.append(f"took {done.deleted:,} back")
    if done.excluded:
        parts.append(f"left {done.excluded:,} out")
    return ", ".join(parts)


def say_usual_level(asked: Wanted) -> None:
    """Say that the next push is at another level, if it is."""
    if asked.level is None or asked.usual_level is None:
        return
    lower, higher = sorted((asked.level, asked.usual_level), key=LEVELS.index)
    what = " and ".join(
        name
        for at, name in zip(LEVELS[1:], ("messages", "rollouts"), strict=True)
        if LEVELS.index(lower) < LEVELS.index(at) <= LEVELS.index(higher)
    )
    does = f"takes the {what} back" if asked.level == higher else f"pushes the {what} again"
    output.say(
        f"{config.path()} has level {asked.usual_level}, so the next push without --level {does}."
        f' For {asked.level} each time, put level = "{asked.level}" there.'
    )


def say_lowered(done: Pushed) -> None:
    """Say what a push has removed because its level is lower than the one before."""
    if done.lowered:
        what = "messages" if done.level == LEVELS[0] else "rollouts"
        output.say(
            f"Level lowered to {done.level}: the {what} of {plural(done.lowered, 'thread')} were"
            " removed from the fleet."
        )


def say_anew(done: Pushed) -> None:
    """Say why a push has sent everything again: a copy of a computer, of the same name and in the
    same place, cannot be told from an index that was restored."""
    if done.anew:
        output.say(
            "All threads were pushed anew: the index was restored, rebuilt, copied or pushed into"
            f" another fleet, or {done.machine} was revoked for a time, or the fleet was restored."
        )
        output.say(
            f"If two computers push as {done.machine}, add a machine for one: threadkeep fleet"
            " machine add NAME"
        )
