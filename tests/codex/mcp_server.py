"""An MCP server with one tool, for a Codex that is driven: ``python mcp_server.py``."""

import json
import sys
from typing import Any

_TOOL = {
    "name": "echo_it",
    "description": "Says it again",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
    "annotations": {"readOnlyHint": True},
}


def answer(method: str, params: Any) -> Any:
    """The result of a request."""
    if method == "initialize":
        info = {"name": "echo", "version": "1"}
        version = params["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": [_TOOL]}
    if method == "tools/call":
        content = [{"type": "text", "text": "an echo"}]
        return {"content": content, "structuredContent": {"count": 1}, "isError": False}
    return {}


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            result = answer(asked["method"], asked.get("params"))
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
