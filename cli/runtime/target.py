"""Check where a command is asked to write a file."""

import os
from pathlib import Path

import typer

from cli.arguments.locations import Locations
from cli.terminal.save_file import check_replaceable
from state.db.location import journal_path
from state.userdata.folders import check_current_folder


def check_target(here: Locations, target: Path | None, *, folder: bool = False) -> None:
    """Refuse to write into the home or over the index, into a missing folder, or over what is no
    file and not the ``folder`` that is named. Raises NoRegularFile if something else than a file is
    there, and typer.BadParameter if the place is refused."""
    if target is None:
        return
    check_current_folder(target)
    if not target.parent.is_dir():
        raise typer.BadParameter(
            f"there is no folder {target.parent}\ncreate it first: mkdir -p {target.parent}"
        )
    real, home, index = (Path(os.path.realpath(path)) for path in (target, here.home, here.index))
    if real == home or real.is_relative_to(home):
        raise typer.BadParameter(
            f"{target} is in the Codex home, where nothing may be written\nname a file elsewhere"
        )
    ours = real.parent == index.parent and real.name.startswith(index.name)
    if ours or real == Path(os.path.realpath(journal_path(here.index))):
        raise typer.BadParameter(f"{target} belongs to the index\nname another file")
    if not folder:
        check_replaceable(target)
