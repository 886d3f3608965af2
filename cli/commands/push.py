"""``threadkeep push``."""

from typing import Annotated

import typer

from cli.arguments.options import DryRunOption, JsonOption, locations
from cli.fleet.options import UrlArgument


def command(
    context: typer.Context,
    url: UrlArgument = None,
    level: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL",
            help="What is pushed of a thread: metadata, text (its messages, too) or raw (its"
            " rollout, too). [default: level in fleet.toml, else that of the last push, at first"
            " metadata]",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Push what changes, until Ctrl-C.")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Push although another index has pushed as this machine; what it has pushed is"
            " taken back.",
        ),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Push all threads, also those that have not changed, as after fleet prune has"
            " removed too much.",
        ),
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> int:
    """Push threads that have changed into a fleet. Ctrl-C is safe: the next push goes on."""
    from functools import partial

    from cli.push.wanted import wanted

    here = locations(context)
    read = partial(wanted, url, level, take_over=take_over, everything=everything)
    asked = read()
    if dry_run:
        from cli.push.plan import show_plan

        return show_plan(here, asked, as_json=as_json)
    if watch:
        from cli.push.watch import push_and_watch

        return push_and_watch(here, read, as_json=as_json)
    from cli.push.once import push_once

    return push_once(here, asked, as_json=as_json)
