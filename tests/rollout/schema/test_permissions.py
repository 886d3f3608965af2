"""Old sandbox policies as permission profiles, as the real Codex 0.169.0 converted them."""

from typing import Any

import pytest

from rollout.schema.permissions import permission_profile

ROOT = {"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"}
PROJECT = {"path": {"type": "special", "value": {"kind": "project_roots"}}, "access": "write"}
SLASH_TMP = {"path": {"type": "special", "value": {"kind": "slash_tmp"}}, "access": "write"}
TMPDIR = {"path": {"type": "special", "value": {"kind": "tmpdir"}}, "access": "write"}
OTHER = {"path": {"type": "path", "path": "/data/x"}, "access": "write"}
PROTECTED = [
    {
        "path": {"type": "special", "value": {"kind": "project_roots", "subpath": name}},
        "access": "read",
        "missing_path_behavior": "skip",
    }
    for name in (".git", ".agents", ".codex", ".aws")
] + [
    {
        "path": {"type": "path", "path": "/work/.codex"},
        "access": "read",
        "missing_path_behavior": "skip",
    }
]


def managed(entries: list[Any], network: str) -> dict[str, Any]:
    files = {"type": "restricted", "entries": entries}
    return {"type": "managed", "file_system": files, "network": network}


@pytest.mark.parametrize("key", ["type", "mode"])
@pytest.mark.parametrize(
    ("policy", "profile"),
    [
        (("danger-full-access", {}), {"type": "disabled"}),
        (("read-only", {}), managed([ROOT], "restricted")),
        (("read-only", {"network_access": True}), managed([ROOT], "enabled")),
        (
            ("external-sandbox", {"network_access": "enabled"}),
            {"type": "external", "network": "enabled"},
        ),
        (("external-sandbox", {}), {"type": "external", "network": "restricted"}),
        (
            ("workspace-write", {"network_access": False}),
            managed([ROOT, PROJECT, SLASH_TMP, TMPDIR, *PROTECTED], "restricted"),
        ),
        (
            (
                "workspace-write",
                {
                    "writable_roots": ["/data/x"],
                    "exclude_tmpdir_env_var": True,
                    "exclude_slash_tmp": True,
                },
            ),
            managed([ROOT, PROJECT, OTHER, *PROTECTED], "restricted"),
        ),
    ],
)
def test_a_policy_becomes_the_profile_that_codex_makes_of_it(
    key: str, policy: tuple[str, dict[str, Any]], profile: dict[str, Any]
) -> None:
    """Under ``mode``, as up to 0.57, it means the same; Codex itself cannot read that."""
    assert permission_profile({key: policy[0], **policy[1]}, "/work") == profile


@pytest.mark.parametrize("policy", [{}, {"type": "new"}, {"type": 5}, {"other": "read-only"}])
def test_a_policy_of_another_kind_is_not_guessed_at(policy: dict[str, Any]) -> None:
    assert permission_profile(policy, "/work") is None
