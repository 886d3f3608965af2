"""The parts of items that both history modes share, in the shape of responses
(docs/rollout-format.md#items; measured on Codex 0.169 and 0.171)."""

import re
from typing import Final

from rollout.schema.strict import (
    I32,
    U64,
    Fields,
    Unfit,
    array,
    default,
    flag,
    integer,
    member,
    number,
    obj,
    optional,
    same,
    text,
    texts,
)

PHASES: Final = same("commentary", "partial_answer", "final_answer")
PATCH_STATUS: Final = same("completed", "failed", "declined")
_DETAIL: Final = same("auto", "low", "high", "original")
_DELIVERY: Final = same("async")
_TRUSTED_CONTACTS: Final = same("check", "skip")
_HELPLINE: Final = same("wellbeingHelpline")
_HELPLINE_SUBJECT: Final = same("answer", "prompt")
_REPLACEMENT: Final = same("wellbeingPromptHelpline")
_DISPLAY_VERSION: Final = (1, 1)
_APP_MODE: Final = same("inline", "fullscreen")
_FAILURE: Final = same("usageLimitExceeded")
_AGENT_PATH: Final = re.compile(r"/root(?:/(?!root(?:/|$))[a-z0-9_]+)*|/morpheus")


def user_input(value: object) -> Fields:
    """One part of a user's message."""
    part = obj(value)
    kind = part.get("type")
    if kind == "text":
        return text_input(text(part.get("text")), part)
    if kind == "image":
        return image_input(*_content(part, "image_url"), part.get("detail"))
    if kind == "local_image":
        return local_image_input(part.get("path"), part.get("detail"))
    if kind == "audio":
        name, where = _content(part, "audio_url")
        return {"type": "audio", name: where}
    if kind == "local_audio":
        return {"type": "localAudio", "path": text(part.get("path"))}
    if kind in ("skill", "mention"):
        return {"type": kind, "name": text(part.get("name")), "path": text(part.get("path"))}
    raise Unfit


def _content(part: Fields, url: str) -> tuple[str, str]:
    return ("url", text(part[url])) if url in part else ("fileId", text(part.get("file_id")))


def text_input(message: str, fields: Fields) -> Fields:
    """A text, with the elements that ``fields`` has for it."""
    elements = default(fields, "text_elements", array, [])
    return {"type": "text", "text": message, "text_elements": [_element(each) for each in elements]}


def _element(value: object) -> Fields:
    fields = obj(value)
    found = obj(fields.get("byte_range"))
    start, end = integer(found.get("start"), U64), integer(found.get("end"), U64)
    placeholder = optional(fields.get("placeholder"), text)
    return {"byteRange": {"start": start, "end": end}, "placeholder": placeholder}


def image_input(name: str, where: object, detail: object) -> Fields:
    """An image that is given by its URL, or by its id."""
    return {"type": "image", name: text(where), "detail": image_detail(detail)}


def local_image_input(path: object, detail: object) -> Fields:
    """An image that is a file."""
    return {"type": "localImage", "detail": image_detail(detail), "path": text(path)}


def image_detail(value: object) -> str | None:
    """The level of detail at which the model looks at an image."""
    return None if value is None else member(value, _DETAIL)


def memory_citation(value: object) -> Fields:
    """The memories that an agent cites: ``rolloutIds`` are shown as ``threadIds``."""
    fields = obj(value)
    entries = []
    for each in array(fields.get("entries")):
        entry = obj(each)
        lines = {name: integer(entry.get(name), U64) for name in ("lineStart", "lineEnd")}
        entries.append({"path": text(entry.get("path")), **lines, "note": text(entry.get("note"))})
    return {"entries": entries, "threadIds": texts(fields.get("rolloutIds"))}


def questions(value: object) -> list[Fields]:
    """What an agent asks without waiting for the answers."""
    return [_question(each) for each in array(value)]


def _question(value: object) -> Fields:
    fields = obj(value)
    if not fields.keys() <= {"title", "options"}:
        raise Unfit
    return {"title": text(fields.get("title")), "options": optional(fields.get("options"), texts)}


def moderation(value: object) -> Fields:
    """The decision of a moderator about an agent's message. ``display`` is null unless it has the
    form of 0.171, which reads that of 0.169 and ignores it."""
    fields = obj(value)
    moderated = flag(fields.get("moderated"))
    try:
        display = optional(fields.get("display"), _display)
    except Unfit:
        display = None
    return {"moderated": moderated, "display": display}


def _display(value: object) -> Fields:
    fields = obj(value)
    shown: Fields = {
        "mode": text(fields.get("mode")),
        "version": integer(fields.get("version"), _DISPLAY_VERSION),
    }
    if shown["mode"] == "show":
        shown["trustedContacts"] = member(fields.get("trustedContacts"), _TRUSTED_CONTACTS)
        annotation = optional(fields.get("annotation"), _annotation)
        return shown | ({} if annotation is None else {"annotation": annotation})
    if shown["mode"] == "hide":
        kind = member(obj(fields.get("replacement")).get("kind"), _REPLACEMENT)
        return {**shown, "replacement": {"kind": kind}}
    if shown["mode"] == "block":
        return {**shown, "reason": _block_reason(fields.get("reason"))}
    raise Unfit


def _annotation(value: object) -> Fields:
    fields = obj(value)
    kind = member(fields.get("kind"), _HELPLINE)
    return {"kind": kind, "subject": member(fields.get("subject"), _HELPLINE_SUBJECT)}


def _block_reason(value: object) -> Fields:
    reason = obj(value)
    if reason.get("kind") == "protection":
        return {"kind": "protection", "protectionType": text(reason.get("protectionType"))}
    if reason.get("kind") != "cyber":
        raise Unfit
    trusted = optional(reason.get("trustedAccess"), flag)
    return {"kind": "cyber"} | ({} if trusted is None else {"trustedAccess": trusted})


def agent_message(item_id: str | None, message: str, fields: Fields) -> Fields:
    """An agent's message with this text; ``fields`` have the rest."""
    return {
        "type": "agentMessage",
        "moderation": optional(fields.get("moderation"), moderation),
        "id": item_id,
        "text": message,
        "phase": optional(fields.get("phase"), lambda value: member(value, PHASES)),
        "memoryCitation": optional(fields.get("memory_citation"), memory_citation),
        "delivery": optional(fields.get("delivery"), lambda value: member(value, _DELIVERY)),
        "questions": optional(fields.get("questions"), questions),
    }


def file_changes(value: object) -> list[Fields]:
    """The changes of a patch, by path."""
    # Rust orders strings by their UTF-8, which is the order of code points.
    changes = sorted(obj(value).items())
    return [_file_change(path, obj(change)) for path, change in changes]


def _file_change(path: str, change: Fields) -> Fields:
    kind = change.get("type")
    if kind in ("add", "delete"):
        return {"path": path, "kind": {"type": kind}, "diff": text(change.get("content"))}
    if kind != "update":
        raise Unfit
    diff = text(change.get("unified_diff"))
    moved = optional(change.get("move_path"), text)
    if moved is not None:
        diff = f"{diff}\n\nMoved to: {moved}"
    return {"path": path, "kind": {"type": "update", "move_path": moved}, "diff": diff}


def web_action(value: object) -> Fields:
    """What a web search did; of an unknown type it is ``other``."""
    if isinstance(value, list) and value:
        return {"type": "other"}  # to Codex, the first of them is the type
    action = obj(value)
    kind = text(action.get("type"))
    if kind == "search":
        queries = optional(action.get("queries"), texts)
        return {"type": "search", "query": optional(action.get("query"), text), "queries": queries}
    url = optional(action.get("url"), text) if kind in ("open_page", "find_in_page") else None
    if kind == "open_page":
        return {"type": "openPage", "url": url}
    if kind == "find_in_page":
        pattern = optional(action.get("pattern"), text)
        return {"type": "findInPage", "url": url, "pattern": pattern}
    return {"type": "other"}


def app_ui(value: object) -> Fields:
    """What a tool of an MCP server shows of itself, and how."""
    fields = obj(value)
    mode = member(fields.get("preferredModelDisplayMode"), _APP_MODE)
    return {"resourceUri": text(fields.get("resourceUri")), "preferredModelDisplayMode": mode}


def picture_failure(value: object) -> Fields:
    """Why no picture was made."""
    failure = obj(value)
    return {
        "type": member(failure.get("type"), _FAILURE),
        "limitId": text(failure.get("limitId")),
        "resetsAt": optional(failure.get("resetsAt"), integer),
    }


def input_images(value: object) -> list[Fields]:
    """The files that a picture was made from."""
    return [
        {"path": absolute_path(image.get("path")), "sha256": text(image.get("sha256"))}
        for image in map(obj, array(value))
    ]


def effort(value: object) -> str:
    """The reasoning effort of a model: a name, which is not empty."""
    if name := text(value):
        return name
    raise Unfit


def mcp_result(value: object) -> Fields:
    """The result of a tool of an MCP server."""
    fields = obj(value)
    content = array(fields.get("content"))
    optional(fields.get("isError"), flag)
    structured = fields.get("structuredContent")
    return {"content": content, "structuredContent": structured, "_meta": fields.get("_meta")}


def absolute_path(value: object) -> str:
    """A path that begins at the root."""
    path = text(value)
    if not path.startswith("/"):
        raise Unfit
    return path


def agent_path(value: object) -> str:
    """The name of an agent among the others of its session."""
    path = text(value)
    if _AGENT_PATH.fullmatch(path) is None:
        raise Unfit
    return path


def review_target(value: object) -> None:
    """The target of a review; it must be readable, and is not shown."""
    target = obj(value)
    kind = target.get("type")
    if kind == "baseBranch":
        text(target.get("branch"))
    elif kind == "custom":
        text(target.get("instructions"))
    elif kind == "commit":
        text(target.get("sha"))
        optional(target.get("title"), text)
    elif kind != "uncommittedChanges":
        raise Unfit


_NO_REVIEW: Final = "Reviewer failed to output a response."


def review_text(value: object) -> str:
    """The findings of a reviewer, as text."""
    if value is None:
        return _NO_REVIEW
    output = obj(value)
    findings = [_finding(each) for each in array(output.get("findings"))]
    text(output.get("overall_correctness"))
    number(output.get("overall_confidence_score"))
    review = text(output.get("overall_explanation")).strip()
    if findings:
        title = "Full review comments:" if len(findings) > 1 else "Review comment:"
        comments = "\n\n".join([title, *findings])
        review = f"{review}\n\n{comments}" if review else comments
    return review or _NO_REVIEW


def _finding(value: object) -> str:
    finding = obj(value)
    location = obj(finding.get("code_location"))
    lines = obj(location.get("line_range"))
    start, end = (integer(lines.get(name), (0, 2**32 - 1)) for name in ("start", "end"))
    number(finding.get("confidence_score"))
    integer(finding.get("priority"), I32)
    title, path = text(finding.get("title")), text(location.get("absolute_file_path"))
    body = "".join(f"\n  {line}" for line in _lines(text(finding.get("body"))))
    return f"- {title} — {path}:{start}-{end}{body}"


def _lines(body: str) -> list[str]:
    """Lines as Rust splits them: at a newline, with or without a carriage return before it."""
    lines = body.split("\n")
    if not lines[-1]:
        del lines[-1]
    return [line.removesuffix("\r") for line in lines]
