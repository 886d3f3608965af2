"""What is moved when threads are archived, unarchived or deleted together, or why it is not."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from rollout.errors import RolloutError
from rollout.files.layout import is_archived
from rollout.files.move import (
    Move,
    MoveGroup,
    archive_path,
    occupied_target,
    session_path,
)
from rollout.files.trash import TrashRecord
from state.edit.lineage import Dependency, LineageNode, file_ids, with_descendants
from state.errors import (
    AlreadyArchived,
    HasDependents,
    NotArchived,
    StateError,
    TargetExists,
    ThreadNotFound,
    file_errors,
)


class Action(StrEnum):
    """What is done with threads."""

    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    DELETE = "delete"
    """Into the trash folder of the home."""
    PURGE = "purge"
    """For good, with names and user data."""

    @property
    def deletes(self) -> bool:
        """Whether the threads are gone from the home after it."""
        return self in (Action.DELETE, Action.PURGE)


@dataclass(slots=True)
class MoveOutcome:
    """The result for one thread that was asked for."""

    thread_id: str
    group: MoveGroup | None = None
    """What was moved, or would be; None if it went along with an earlier thread."""
    error: StateError | RolloutError | None = None
    """Why nothing was moved."""


class MovePlan:
    """A batch of threads with what is moved for each."""

    def __init__(
        self,
        home: Path,
        action: Action,
        thread_ids: Sequence[str],
        moved: set[str],
        trash: str | None,
        back: Mapping[str, str] | None = None,
    ) -> None:
        """``moved`` are the threads that earlier batches have moved; ``trash`` is the folder that
        deleted ones go to; ``back`` is where each file was before what is undone."""
        self.action = action
        self.outcomes = [MoveOutcome(id_) for id_ in thread_ids]
        self._home = home
        self._moved = moved
        self._trash = trash
        self._back = back

    @property
    def going(self) -> list[tuple[MoveOutcome, MoveGroup]]:
        """The outcomes without an error, with what is moved for them."""
        return [(o, o.group) for o in self.outcomes if o.group and not o.error]

    def make(self, nodes: dict[str, LineageNode], dependencies: Sequence[Dependency]) -> None:
        """Plan what is moved for each thread, or why it cannot be. Errors of an earlier plan
        stay."""
        self._make_groups(nodes)
        while self._refuse_needed(dependencies):
            self._make_groups(nodes)  # threads that were to go with a refused one go by themselves

    def note(self, records: Mapping[str, TrashRecord]) -> None:
        """Have the trash note of the threads what ``records`` has."""
        for outcome, group in self.going:
            known = (records.get(id_, TrashRecord(id_)) for id_ in group.thread_ids)
            outcome.group = replace(group, records=tuple(known))

    def forget_records(self) -> None:
        """Drop what :meth:`note` has added: the trash has it now."""
        for outcome in self.outcomes:
            outcome.group = outcome.group and replace(outcome.group, records=())

    def fail(self, errors: Mapping[str, StateError | RolloutError]) -> None:
        """Note the groups that could not be moved, by the thread that each is for."""
        stayed = {
            id_: errors[group.thread_id]
            for _, group in self.going
            if group.thread_id in errors
            for id_ in group.thread_ids
        }
        for outcome in self.outcomes:
            outcome.error = outcome.error or stayed.get(outcome.thread_id)

    def _make_groups(self, nodes: dict[str, LineageNode]) -> None:
        claimed = set(self._moved)
        for outcome in self.outcomes:
            outcome.group = None
            if outcome.error is None and outcome.thread_id not in claimed:
                try:
                    outcome.group = self._group(outcome.thread_id, nodes, claimed)
                except StateError as error:
                    outcome.error = error
                else:
                    claimed.update(outcome.group.thread_ids)

    def _group(self, thread_id: str, nodes: dict[str, LineageNode], claimed: set[str]) -> MoveGroup:
        """The moves for a thread, those of its deepest descendants first."""
        if thread_id not in nodes:
            raise ThreadNotFound(thread_id)
        archived = nodes[thread_id].archived
        if self.action is Action.ARCHIVE and archived:
            raise AlreadyArchived(thread_id)
        if self.action is Action.UNARCHIVE and not archived:
            raise NotArchived(thread_id)
        trash, back = self._trash, self._back
        moves = []
        members = with_descendants(thread_id, nodes) if back is None else [thread_id]
        for id_ in reversed(members):
            if id_ in claimed or (nodes[id_].archived != archived and not trash):
                continue
            for path, size in nodes[id_].files.items():
                if back is not None:
                    if path in back:
                        moves.append(Move(id_, path, back[path], size))
                elif trash:
                    moves.append(Move(id_, path, f"{trash}/{path}", size))
                elif is_archived(path) == archived:
                    created_ms = nodes[id_].created_at_ms
                    target = session_path(path, created_ms) if archived else archive_path(path)
                    moves.append(Move(id_, path, target, size))
        with file_errors(self._home):
            taken = occupied_target(self._home, moves)
        if taken is not None:
            rivals = [move.source for move in moves if move.target == taken]
            raise TargetExists(thread_id, self._home / taken, rivals if len(rivals) > 1 else ())
        return MoveGroup(
            thread_id,
            tuple(moves),
            touch_ns=time.time_ns() if self.action is Action.UNARCHIVE and back is None else None,
            trash=trash,
            purge=self.action is Action.PURGE,
        )

    def _refuse_needed(self, dependencies: Sequence[Dependency]) -> bool:
        """Refuse the groups that threads which stay depend on. Gives whether there were any."""
        by_thread: defaultdict[str, list[Dependency]] = defaultdict(list)
        for dependency in dependencies:
            by_thread[dependency.thread_id].append(dependency)
        owners = {
            id_: (outcome, group)
            for outcome, group in self.going
            for move in group.moves
            for id_ in file_ids(move)
        }
        leaving = {id_ for _, group in self.going for id_ in group.thread_ids}
        gone = leaving | self._moved  # after a dry run they are still in the index
        waiting = [each for each in dependencies if each.thread_id not in gone]
        refused = False
        for dependency in waiting:
            outcome, group = owners.get(dependency.what, (None, None))
            if outcome is None or group is None or outcome.error:
                continue
            outcome.error = HasDependents(outcome.thread_id, dependency.thread_id, dependency.how)
            refused = True
            if len(group.thread_ids) == 1:  # it stays for certain, and so does what it depends on
                waiting += by_thread.get(outcome.thread_id, ())
        return refused
