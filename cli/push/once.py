"""Push what has changed, and say so."""

import time
from typing import TYPE_CHECKING, Final

from cli import errors
from cli.arguments.locations import Locations
from cli.push.wanted import (
    Wanted,
    document,
    options_for,
    say_anew,
    say_lowered,
    say_usual_level,
    sentence,
)
from cli.runtime.open_index import catch_up, catch_up_fulltext, with_index
from cli.terminal import output
from cli.terminal.progress import progress
from cli.terminal.text import one_line
from state.fleet.push.batch import LEVELS
from state.fleet.push.push import Pushed, push

if TYPE_CHECKING:
    from state.thread_index import ThreadIndex

_MOST_REFUSED: Final = 5


def push_once(here: Locations, wanted: Wanted, *, as_json: bool) -> int:
    """Push what has changed. Returns the exit status."""
    began = time.monotonic()

    async def work(index: "ThreadIndex") -> Pushed:
        if note := await catch_up(index, "the next push has the rest"):
            output.say(note)
        options = await options_for(index, wanted)
        if options.level != LEVELS[0] and (note := await catch_up_fulltext(index)):
            output.say(note)
        with progress("push", "threads") as shown:
            return await push(index, wanted.address, options, shown)

    try:
        done = with_index(here, work)
    except KeyboardInterrupt:
        output.say("Interrupted. What was pushed is kept; threadkeep push goes on from there.")
        return errors.INTERRUPTED
    seconds = time.monotonic() - began
    if as_json:
        output.data({**document(done), "seconds": round(seconds, 3)})
    else:
        output.say(f"{sentence(done)}, in {seconds:.2f} s.")
        say_lowered(done)
        say_anew(done)
        say_usual_level(wanted)
    for id_, reason in [*done.refused.items()][:_MOST_REFUSED]:
        output.say(f"PostgreSQL does not take {id_}: {one_line(reason)}.")
    if done.refused:
        output.say(f"{len(done.refused):,} of them wait for the next push.")
    return errors.SOME_UNREADABLE if done.refused else errors.OK
