"""What a Codex is driven through: each kind of thing that leaves something in a rollout, most of
them in both history modes."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.codex.client import NoAnswer
from tests.codex.drive import PLAIN_MODEL, Drive
from tests.codex.model.deeds import PIXEL

MODES: Final = ("paginated", "legacy")


@dataclass(frozen=True)
class Scenario:
    """A thing to do."""

    name: str
    play: Callable[[Drive], None]


SCENARIOS: Final[list[Scenario]] = []


def once(play: Callable[[Drive], None]) -> Callable[[Drive], None]:
    """A scenario that has no mode of its own."""
    SCENARIOS.append(Scenario(play.__name__, play))
    return play


def in_both_modes(play: Callable[[Drive, str], None]) -> Callable[[Drive, str], None]:
    """A scenario that is played in each history mode."""

    def in_mode(mode: str) -> Scenario:
        return Scenario(f"{play.__name__} {mode}", lambda drive: play(drive, mode))

    SCENARIOS.extend(map(in_mode, MODES))
    return play


@once
def run(drive: Drive) -> None:
    """``codex exec``, resumed and forked."""
    thread = drive.execute("a plain prompt")
    drive.execute("resume", thread, "a second prompt #shell")
    drive.execute("fork", thread, "a forked prompt")


@once
def run_with_tools(drive: Drive) -> None:
    drive.execute("a prompt #shell #bad_shell #patch #view #web #image #mcp #think")
    drive.execute("-i", "px.png", "--", "a prompt with an image")
    drive.execute("--ephemeral", "a prompt that leaves nothing")


@once
def run_a_review(drive: Drive) -> None:
    drive.execute("review", "--uncommitted")


@in_both_modes
def tools(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    server = drive.server
    server.turn(thread, f"the first in {mode} #shell #patch")
    server.turn(thread, "the second #bad_shell #two_shells #view #steps")
    server.turn(thread, "the third #web #image #mcp #think #comment #cite")
    server.call("thread/name/set", threadId=thread, name=f"a name in {mode}")


@in_both_modes
def every_model(drive: Drive, mode: str) -> None:
    """Models differ in the tools that they are given."""
    for model in drive.server.call("model/list")["data"]:
        thread = drive.start(mode, model=model["id"])
        answer = {"answers": {"q1": {"answers": ["A"]}}}
        drive.server.answers["item/tool/requestUserInput"] = answer
        words = "#shell #patch #view #message #ask #ask_async #mcp #image #think"
        drive.server.turn(thread, f"all of it {words}")
        drive.server.turn(thread, "the red one")


@in_both_modes
def agents(drive: Drive, mode: str) -> None:
    """Sub-agents, as the default model has them and as one of the first did."""
    for model in ("gpt-5.2-codex", drive.default_model):
        thread = drive.start(mode, model=model)
        drive.server.turn(thread, "with help #shell #mcp #spawn #wait #agents #close #sleep")
        drive.server.turn(thread, "after the help #patch")


@in_both_modes
def inputs(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    picture = {"type": "localImage", "path": str(drive.work / "px.png")}
    readme = str(drive.work / "README.md")
    marked = {"byteRange": {"start": 8, "end": 13}, "placeholder": "@file"}
    given = [
        {"type": "text", "text": "look at @file", "text_elements": [marked]},
        picture,
        {"type": "image", "url": f"data:image/png;base64,{PIXEL}"},
        {"type": "skill", "name": "demo", "path": str(drive.skill)},
        {"type": "mention", "name": "README", "path": readme},
    ]
    drive.server.turn(thread, given, clientUserMessageId="client-1")
    drive.server.turn(thread, [picture])
    context = {"k": {"value": "more context", "kind": "untrusted"}}
    request = "## My request for Codex:\nrename the helper"
    drive.server.turn(thread, request, turnTrigger="cron", additionalContext=context)
    pictured = drive.start(mode)
    drive.server.turn(pictured, [picture])
    drive.server.turn(pictured, "the first prompt with words")


@in_both_modes
def failures(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    for end in ("refused", "limited", *(f"fails_with_{code}" for code in _CODES)):
        drive.server.turn(thread, f"please #{end}")
    drive.server.turn(thread, "and now it works")


_CODES: Final = (
    "context_length_exceeded",
    "server_overloaded",
    "cyber_policy",
    "bio_policy",
    "misalignment_policy",
    "policy_capacity_unavailable",
    "invalid_prompt",
    "insufficient_quota",
    "rate_limit_exceeded",
)


@in_both_modes
def interruptions(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    drive.server.turn(thread, "before it")
    _interrupt(drive, thread, "a slow one #hangs")
    turn = _begin_to_answer(drive, thread, "a slow one that is steered #hangs")
    steer = {"expectedTurnId": turn, "input": [{"type": "text", "text": "steered there"}]}
    drive.server.ask("turn/steer", threadId=thread, **steer)
    drive.server.call("turn/interrupt", threadId=thread, turnId=turn)
    drive.server.until_done(turn)
    drive.server.turn(thread, "after it")


def _begin_to_answer(drive: Drive, thread: str, prompt: str) -> str:
    """The id of a turn in the middle of the model's answer."""
    heard = len(drive.server.notifications)
    turn = drive.server.begin(thread, prompt)
    drive.server.until("item/agentMessage/delta", since=heard)
    return turn


def _interrupt(drive: Drive, thread: str, prompt: str) -> None:
    turn = _begin_to_answer(drive, thread, prompt)
    drive.server.call("turn/interrupt", threadId=thread, turnId=turn)
    drive.server.until_done(turn)


@in_both_modes
def forks(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    server = drive.server
    turns = [server.turn(thread, f"the {n} prompt #shell") for n in ("first", "second", "third")]
    server.call("thread/name/set", threadId=thread, name=f"a forked one in {mode}")
    at: list[dict[str, Any]] = [{"lastTurnId": turns[0]}, {"beforeTurnId": turns[2]}]
    for cut in ({}, *at, {"attachToSource": True}):
        made = server.ask("thread/fork", threadId=thread, **cut)
        if "result" not in made:  # there is no attaching to a legacy thread
            continue
        fork = made["result"]["thread"]["id"]
        server.turn(fork, "in the fork")
        if not cut:
            again = server.call("thread/fork", threadId=fork)["thread"]["id"]
            server.turn(again, "in the fork of the fork")
    server.call("thread/fork", threadId=thread)


@in_both_modes
def reverts(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    server = drive.server
    server.turn(thread, "this stays #shell")
    bad = server.turn(thread, "a bad idea")
    server.turn(thread, "a worse one")
    server.ask("thread/revert", threadId=thread, beforeTurnId=bad)
    server.ask("thread/rollback", threadId=thread, numTurns=1)
    server.turn(thread, "a better idea")
    emptied = drive.start(mode)
    only = server.turn(emptied, "the only one")
    server.ask("thread/revert", threadId=emptied, beforeTurnId=only)


@in_both_modes
def archives(drive: Drive, mode: str) -> None:
    server = drive.server
    for nth in range(2):
        thread = drive.start(mode)
        server.turn(thread, "it goes to the archive")
        server.call("thread/archive", threadId=thread)
        if nth:
            server.call("thread/unarchive", threadId=thread)
    server.ask("thread/archive", threadId=drive.start(mode))
    deleted = drive.start(mode)
    server.turn(deleted, "it is deleted")
    server.call("thread/delete", threadId=deleted)


@in_both_modes
def dynamic_tools(drive: Drive, mode: str) -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    plain = {"type": "function", "name": "lookup", "description": "Looks up", "inputSchema": schema}
    inner = plain | {"name": "inner", "deferLoading": True}
    space = {"type": "namespace", "name": "ns", "description": "A space", "tools": [inner]}
    found = {"success": True, "contentItems": [{"type": "inputText", "text": "it was found"}]}
    drive.server.answers["item/tool/call"] = found
    thread = drive.start(mode, dynamicTools=[plain, space])
    drive.server.turn(thread, "a dynamic tool #lookup")


@in_both_modes
def compactions(drive: Drive, mode: str) -> None:
    for model in (PLAIN_MODEL, drive.default_model):
        thread = drive.start(mode, model=model)
        drive.server.turn(thread, "before the compaction")
        heard = len(drive.server.notifications)
        drive.server.call("thread/compact/start", threadId=thread)
        drive.server.until("turn/completed", since=heard)
        drive.server.turn(thread, "after the compaction #shell")


@in_both_modes
def reviews(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    drive.server.turn(thread, "before the review")
    for delivery in ("inline", "detached"):
        target = {"type": "uncommittedChanges"}
        made = drive.server.ask("review/start", threadId=thread, target=target, delivery=delivery)
        if "result" in made:
            drive.server.until_done(made["result"]["turn"]["id"])
    drive.server.turn(thread, "after the review")


@in_both_modes
def goals(drive: Drive, mode: str) -> None:
    for prompts, cleared in ((1, False), (0, False), (1, True)):
        thread = drive.start(mode)
        given = {"objective": "a thing that works", "status": "paused"}
        drive.server.call("thread/goal/set", threadId=thread, **given)
        for _ in range(prompts):
            drive.server.turn(thread, "a prompt with a goal")
        drive.server.ask("thread/goal/get", threadId=thread)
        if cleared:
            drive.server.ask("thread/goal/clear", threadId=thread)


@in_both_modes
def metadata(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    drive.server.turn(thread, "a prompt before the metadata")
    git = {"branch": "topic", "sha": "1" * 40, "originUrl": "https://example.invalid/x.git"}
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("thread/memoryMode/set", {"mode": "disabled"}),
        ("thread/metadata/update", {"gitInfo": git}),
        ("thread/settings/update", {"effort": "high", "cwd": str(drive.home.parent)}),
        ("thread/section/move", {"sectionId": "01984de2-8f74-7c91-a3b2-5c5e937cf318"}),
        (
            "thread/attachment/add",
            {"attachmentType": "x", "identityKey": "k", "payload": {"a": 1}},
        ),
    )
    for method, params in calls:
        drive.server.ask(method, threadId=thread, **params)
    drive.server.turn(thread, "after the settings")
    named = drive.start(mode)
    drive.server.call("thread/name/set", threadId=named, name=f"named without a prompt, {mode}")


@in_both_modes
def injections(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    items = []
    for role, kind in (("user", "input"), ("assistant", "output")):
        content = [{"type": f"{kind}_text", "text": f"an injected {kind}"}]
        items.append({"type": "message", "role": role, "content": content})
    drive.server.call("thread/inject_items", threadId=thread, items=items)
    drive.server.turn(thread, "after the injection")


@in_both_modes
def user_shell(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    drive.server.turn(thread, "before the command")
    heard = len(drive.server.notifications)
    drive.server.call("thread/shellCommand", threadId=thread, command="echo from me; false")
    ran = "commandExecution"
    drive.server.until("item/completed", lambda told: told["item"]["type"] == ran, since=heard)
    drive.server.turn(thread, "after the command")


@in_both_modes
def plans(drive: Drive, mode: str) -> None:
    thread = drive.start(mode)
    answer = {"answers": {"q1": {"answers": ["A"]}}}
    drive.server.answers["item/tool/requestUserInput"] = answer
    for kind, prompt in (("plan", "make one #ask #propose"), ("default", "go on #steps")):
        settings = {"model": PLAIN_MODEL, "reasoning_effort": None, "developer_instructions": None}
        how = {"mode": kind, "settings": settings}
        drive.server.turn(thread, prompt, collaborationMode=how)
    drive.server.ask("thread/prepareApprovedPlan", threadId=thread, markdown="# A plan")


@once
def ephemeral(drive: Drive) -> None:
    thread = drive.start(ephemeral=True)
    drive.server.turn(thread, "a prompt that leaves nothing")


@in_both_modes
def unused(drive: Drive, mode: str) -> None:
    drive.start(mode)


@once
def projects(drive: Drive) -> None:
    roots = [{"path": str(drive.work)}]
    made = drive.server.call("project/create", idempotencyKey="k1", name="a project", roots=roots)
    thread = drive.start("paginated", projectId=made["project"]["id"])
    drive.server.turn(thread, "in a project")
    drive.server.ask("project/list")


@once
def queue(drive: Drive) -> None:
    thread = drive.start("paginated")
    drive.server.turn(thread, "before the queue")
    heard = len(drive.server.notifications)
    given = [{"type": "text", "text": "a queued message"}]
    message = {"input": given, "clientUserMessageId": "client-2"}
    drive.server.call("thread/queue/add", threadId=thread, **message)
    drive.server.until("turn/completed", since=heard)


@once
def sample(drive: Drive) -> None:
    thread = drive.start("paginated")
    turn = drive.server.turn(thread, "a sampled one")
    asked = {"expectedTurnId": turn, "prompt": "and what next?"}
    drive.server.ask("thread/sample", threadId=thread, **asked)


@in_both_modes
def resumed(drive: Drive, mode: str) -> None:
    """Resumed by another process, after the first has ended or was killed."""
    for end in (drive.close, drive.kill):
        thread = drive.start(mode)
        drive.server.turn(thread, "before the end")
        if end == drive.kill:
            _begin_to_answer(drive, thread, "a slow one #hangs")
        end()
        drive.server.call("thread/resume", threadId=thread)
        drive.server.turn(thread, "after the end #shell")


@once
def compressed(drive: Drive) -> None:
    """Threads that nobody touched for long, in either mode."""
    threads = [drive.start(mode) for mode in MODES]
    for thread in threads:
        drive.server.turn(thread, "it is to be compressed #shell")
    drive.close()
    long_ago = time.time() - 20 * 86_400
    for path in (path for thread in threads for path in drive.rollouts(thread)):
        os.utime(path, (long_ago, long_ago))
    drive.server.call("rollout/compress")
    until = time.monotonic() + drive.server.within
    while not all(drive.rollouts(thread, ".jsonl.zst") for thread in threads):
        drive.server.listen(0.1)
        if time.monotonic() > until:
            raise NoAnswer("the rollouts were not compressed")


@once
def migrated(drive: Drive) -> None:
    """A legacy thread that is made a paginated one."""
    thread = drive.start("legacy")
    drive.server.turn(thread, "it is to be migrated #shell #patch")
    drive.server.turn(thread, "a second prompt")
    drive.close()
    drive.run("migrate-rollouts", "--apply", "--thread", thread)
