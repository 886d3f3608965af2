"""Sandbox policies of older rollouts as the permission profiles that Codex stores today.

Measured on Codex 0.169, which converts a ``sandbox_policy`` when a line has no
``permission_profile``. Up to 0.57 the kind is under ``mode`` instead of ``type``; Codex
cannot read those lines, we can.
"""

from typing import Any

_ROOT_READ = {"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"}
_PROTECTED = (".git", ".agents", ".codex", ".aws")

READ_ONLY: dict[str, Any] = {
    "type": "managed",
    "file_system": {"type": "restricted", "entries": [_ROOT_READ]},
    "network": "restricted",
}
"""The profile until a turn sets another one."""


def permission_profile(policy: dict[str, Any], cwd: str) -> dict[str, Any] | None:
    """The permission profile that an old ``sandbox_policy`` means; None if it is unknown."""
    kind = policy.get("type", policy.get("mode"))
    if kind == "danger-full-access":
        return {"type": "disabled"}
    if kind == "read-only":
        return {**READ_ONLY, "network": _network(policy.get("network_access"))}
    if kind == "external-sandbox":
        return {"type": "external", "network": _network(policy.get("network_access"))}
    if kind == "workspace-write":
        return {
            "type": "managed",
            "file_system": {"type": "restricted", "entries": _workspace_entries(policy, cwd)},
            "network": _network(policy.get("network_access")),
        }
    return None


def _network(access: object) -> str:
    return "enabled" if access is True or access == "enabled" else "restricted"


def _workspace_entries(policy: dict[str, Any], cwd: str) -> list[dict[str, Any]]:
    entries = [_ROOT_READ, _special("write", kind="project_roots")]
    roots = policy.get("writable_roots")
    for root in roots if isinstance(roots, list) else []:
        entries.append({"path": {"type": "path", "path": root}, "access": "write"})
    if not policy.get("exclude_slash_tmp"):
        entries.append(_special("write", kind="slash_tmp"))
    if not policy.get("exclude_tmpdir_env_var"):
        entries.append(_special("write", kind="tmpdir"))
    for name in _PROTECTED:
        entries.append(
            _special("read", kind="project_roots", subpath=name) | {"missing_path_behavior": "skip"}
        )
    entries.append(
        {
            "path": {"type": "path", "path": f"{cwd}/.codex"},
            "access": "read",
            "missing_path_behavior": "skip",
        }
    )
    return entries


def _special(access: str, **value: str) -> dict[str, Any]:
    return {"path": {"type": "special", "value": value}, "access": access}
