"""``threadkeep fork``: a new thread that begins as another one did."""

from cli import errors, output
from cli.options import Places
from cli.run import caught_up, with_index
from state.fork import Forked, fork_thread
from state.index import ThreadIndex


def run(
    places: Places,
    reference: str,
    *,
    last_turn: str | None,
    before_turn: str | None,
    as_json: bool,
) -> int:
    """Fork a thread. Gives the exit status."""

    async def work(index: ThreadIndex) -> Forked:
        note = await caught_up(index)
        if note:
            output.say(note)
        return await fork_thread(index, reference, last_turn=last_turn, before_turn=before_turn)

    fork = with_index(places, work)
    if as_json:
        output.data(
            {
                "version": 1,
                "id": fork.thread_id,
                "forkedFromId": fork.source_id,
                "path": str(places.home / fork.path),
                "name": fork.name,
                "indexed": fork.indexed,
            }
        )
    else:
        output.line(fork.thread_id)
        output.say(f"Forked from {fork.source_id}. Go on with it: codex resume {fork.thread_id}")
        if not fork.indexed:
            output.say(errors.NOT_INDEXED)
    return errors.OK
