"""Show what a push would send. Nothing is sent, and no connection is made."""

from cli import errors
from cli.arguments.locations import Locations
from cli.push.wanted import Wanted, options_for
from cli.runtime.open_index import catch_up, with_index
from cli.terminal import output
from cli.terminal.text import amount, one_line, plural
from state.fleet.push.batch import LEVELS
from state.fleet.push.plan import Plan, plan_push
from state.thread_index import ThreadIndex

_LONGEST_TITLE = 60
_MOST_SHOWN = 10


def show_plan(here: Locations, wanted: Wanted, *, as_json: bool) -> int:
    """Show what a push would send. Returns the exit status."""

    async def work(index: ThreadIndex) -> tuple[Plan, str]:
        if note := await catch_up(index, "the next push has the rest"):
            output.say(note)
        options = await options_for(index, wanted)
        return await plan_push(index, wanted.address, options), options.level

    plan, level = with_index(here, work)
    if as_json:
        output.data(
            {
                "version": 1,
                "dryRun": True,
                "level": level,
                "everything": plan.everything,
                "threads": plan.threads,
                "rowBytes": plan.row_bytes,
                "rolloutBytes": plan.rollout_bytes,
                "deleted": plan.gone + plan.taken_back,
                "excluded": plan.excluded,
                "sent": [each._asdict() for each in plan.sent],
            }
        )
    else:
        output.lines(_lines(plan, level, everything=wanted.everything))
    return errors.OK


def _lines(plan: Plan, level: str, *, everything: bool) -> list[str]:
    rows = f"{plural(plan.threads, 'row')} ({amount(plan.row_bytes)}B)"
    rollouts = f"rollouts ({amount(plan.rollout_bytes)}B before they are compressed)"
    sent = {
        LEVELS[0]: rows,
        LEVELS[1]: f"{rows}, and the messages of these threads",
        LEVELS[2]: f"{rows}, and the messages and {rollouts} of these threads",
    }[level]
    lines = []
    if plan.threads:
        lines.append(f"A push would send {sent}.")
    elif not (plan.gone or plan.taken_back):
        lines.append("Nothing new to push.")
    shown = plan.sent[:_MOST_SHOWN]
    if plan.everything and not everything:
        lines.append("This index has not pushed into this fleet yet, or not at this level.")
    lines += [f"  {each.id}  {one_line(each.title)[:_LONGEST_TITLE]}" for each in shown]
    if more := plan.threads - len(shown):
        lines.append(f"  … and {more:,} more, which --json has")
    if plan.gone:
        lines.append(f"{plural(plan.gone, 'thread')} would be marked as deleted.")
    for why, count in sorted(plan.excluded.items()):
        lines.append(f"Left out by {one_line(why)}: {plural(count, 'thread')}.")
    if plan.taken_back:
        lines.append(
            f"What the fleet has of {plan.taken_back:,} of them is taken back by the push."
        )
    return lines
