"""A machine that holds a thread, and does not let go, keeps that one from others, and no more."""

from pathlib import Path

import psycopg

from state.fleet.push.push import Pushed, PushOptions, push
from tests.samples.homes import thread_id, write
from tests.support.indexes import in_index, rows, sync
from tests.support.postgres.cluster import Fleet
from tests.support.postgres.pushed import held, kept


def test_a_thread_that_another_machine_holds_is_left_for_the_next_push(
    home: Path, index_path: Path, fleet: Fleet
) -> None:
    for number in range(4):
        write(home, number)
    sync(home, index_path)
    addresses = {name: fleet.machine(name) for name in ("one", "two")}
    role = psycopg.conninfo.conninfo_to_dict(addresses["one"])["user"]

    def pushed(name: str) -> Pushed:
        options = PushOptions(everything=True, take_over=True)
        done: Pushed = in_index(
            home, index_path, lambda index: push(index, addresses[name], options)
        )
        return done

    pushed("two")
    with fleet.administered() as admin:
        admin.execute(f"ALTER ROLE \"{role}\" SET lock_timeout = '20ms'")
    with psycopg.connect(fleet.admin) as holder:
        holder.execute("SELECT FROM threadkeep.threads WHERE id = %s FOR UPDATE", [thread_id(2)])
        done = pushed("one")
        assert [*done.refused] == [thread_id(2)]
        assert "another machine holds a copy of it" in done.refused[thread_id(2)]
        assert done.threads == 3
        waiting = rows(index_path, "SELECT thread_id FROM fleet_outbox")
        assert waiting == [{"thread_id": thread_id(2)}]
    assert pushed("one").refused == {}
    assert held(fleet, "one") == kept(index_path)
