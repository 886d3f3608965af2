"""The schemas of the app-server protocol, and what the check of a message says."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.server.methods.registry import METHODS
from tests.codex.codex_app import RECORDED, is_recorded
from tests.protocol import schemas
from tests.protocol.schemas import DoesNotConform, conforms, known


def test_what_conforms() -> None:
    conforms("thread/loaded/list", {"data": ["a"], "nextCursor": None})
    conforms("thread/status/changed", {"threadId": "a", "status": {"type": "idle"}})
    conforms("thread/name/set", {})
    conforms("refusal", {"id": 1, "error": {"code": -32600, "message": "Not initialized"}})


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("thread/loaded/list", {"data": [1]}, r"at \$\.data\[0\]: 1 is not of type 'string'"),
        ("thread/unsubscribe", {}, "'status' is a required property"),
        ("thread/unsubscribe", {"status": "gone"}, r"at \$\.status: 'gone' is not one of"),
        ("thread/read", {"thread": {"id": "a"}}, r"at \$\.thread: '\w+' is a required property"),
        ("refusal", {"id": 1, "error": {"code": "x"}}, r"at \$\.error"),
        ("thread/archived", None, "None is not of type 'object'"),
    ],
)
def test_what_does_not_conform_is_told_with_its_place(kind: str, value: object, says: str) -> None:
    with pytest.raises(DoesNotConform, match=says) as told:
        conforms(kind, value)
    assert str(told.value).startswith(f"{kind}: at $")
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("thread/unsubscribe", {"status": "notLoaded"}, {"status": "notThere!"}),
        ("thread/loaded/list", {"data": ["a"]}, {"data": ["a", True]}),
        (
            "refusal",
            {"id": 1, "error": {"code": 1, "message": ""}},
            {"id": 1, "error": {"code": 1}},
        ),
        (
            "response",
            {"id": 1, "result": {"any": 1.5}},
            {"id": 1.5, "result": {"any": 1}},
        ),
    ],
)
def test_what_conforms_hides_nothing_that_is_like_it(kind: str, right: Any, wrong: Any) -> None:
    conforms(kind, right)
    with pytest.raises(DoesNotConform):
        conforms(kind, wrong)
    conforms(kind, right)


def test_an_unknown_kind_is_no_pass() -> None:
    assert not known("thread/nothing")
    with pytest.raises(KeyError, match="no schema for thread/nothing"):
        conforms("thread/nothing", {})


def test_every_reference_of_the_fixture_leads_somewhere() -> None:
    text = schemas.SCHEMA.read_text("utf-8")
    definitions = {part.split('"')[0] for part in text.split("#/definitions/")[1:]}
    for name in definitions:
        assert f'\n  "{name}": ' in text
    assert len(text) < 300_000


needs_codex = pytest.mark.skipif(not is_recorded(), reason=f"needs a real Codex {RECORDED}")


@needs_codex
def test_the_fixture_is_what_codex_gives(tmp_path: Path) -> None:
    schemas.generate(os.environ["THREADKEEP_CODEX_BIN"], tmp_path, "--experimental")
    assert schemas.text(schemas.cut(tmp_path)) == schemas.SCHEMA.read_text("utf-8")


@needs_codex
def test_every_parameter_of_codex_is_validated(tmp_path: Path) -> None:
    schemas.generate(os.environ["THREADKEEP_CODEX_BIN"], tmp_path, "--experimental")
    for method in METHODS.values():
        name = method.params.__name__
        found = next(tmp_path.rglob(f"{name}.json"), None)
        if found is None:
            continue  # a method of ours
        theirs = set(json.loads(found.read_text("utf-8")).get("properties", {}))
        ours = {field.alias for field in method.params.model_fields.values()}
        assert ours == theirs, name
