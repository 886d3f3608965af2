"""Whose threads the list has: those of this project, or all."""

from dataclasses import replace
from pathlib import Path

from cli.browse.threads.counts import current_folder, project_name, scope_text
from cli.terminal.cells import settled
from state.query.model import Query
from state.query.projects import Project, project_of_folder_steps
from state.thread_index import ThreadIndex


class Scope:
    """This project, or all; ``folder`` is in this project, by default the current folder."""

    def __init__(self, folder: str = "") -> None:
        self.only = False
        """Whether only this project counts."""
        self._folder = folder or current_folder()
        self._project: Project | None = None

    async def look_up(self, index: ThreadIndex) -> None:
        """Ask the index which project the folder is of."""
        if self._folder:
            self._project = await index.read(lambda: project_of_folder_steps(self._folder))

    def change(self) -> None:
        """The other one, if the folder is of any project."""
        self.only = not self.only and self._project is not None

    @property
    def name(self) -> str:
        """What people call this project."""
        name = self._project.name if self._project else self._folder
        return settled(Path(name).name or name) if name else project_name()

    @property
    def text(self) -> str:
        """What is shown, and how to see others."""
        return scope_text(self.name, only=self.only)

    @property
    def query(self) -> Query:
        """All threads of it."""
        every = Query(sort_key="recency_at")
        if self._project is None or not self.only:
            return every
        return replace(every, projects=(self._project.chosen_by,))
