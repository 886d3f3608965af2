"""The one table of commands: group, name, line and examples.

``--help``, ``threadkeep help``, the man page, completion and errors are made from it. A command's
module is ``cli.commands.<name>``; a name of two words is a command below another one.
"""

from typing import Final

GROUPS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "Find and read": {
        "browse": (
            "Find, read and continue threads in a picker.",
            "threadkeep browse",
            "threadkeep browse webhook project:api since:7d",
            "threadkeep browse --pick --format '{id} {title}'",
        ),
        "list": (
            "List threads, the most recently used first.",
            "threadkeep list --cwd . --since yesterday",
            "threadkeep list --columns age,thread,used,cost",
            "threadkeep list --fleet --user ann",
        ),
        "search": (
            "Search the messages and names of threads.",
            "threadkeep search webhook retries",
            "threadkeep search '\"sql migration\"' 'order*' --cwd .",
            "threadkeep search --fleet 'deploy script'",
        ),
        "show": (
            "Show the turns of a thread.",
            "threadkeep show 01a1e766 --last 2",
            "threadkeep show 01a1e766 --tree",
        ),
        "resume": (
            "Print the command that resumes a thread.",
            "threadkeep resume --last --exec",
            "threadkeep resume webhook retries",
        ),
        "stats": (
            "Show tokens and costs by day or model.",
            "threadkeep stats --since this-week --by model",
            "threadkeep stats --since this-month --html stats.html",
            "threadkeep stats --fleet --by user --since this-month",
        ),
        "stats now": (
            "Show what was used today, this week and in this 5-hour block.",
            "threadkeep stats now",
            "threadkeep stats now --format '{today.cost} today'",
        ),
        "export": (
            "Save threads as Markdown, HTML or JSON.",
            "threadkeep export 01a1e766 --redact -o thread.html",
            "threadkeep export --project api --since 7d -o threads/",
        ),
        "explain": (
            "Explain why Codex's picker lacks a thread.",
            "threadkeep explain",
            "threadkeep explain 01a1e766 --cwd ~/projects/api",
        ),
        "query": (
            "Run a read-only SQL query on the index.",
            "threadkeep query 'SELECT id, name FROM v_threads LIMIT 5'",
            "threadkeep query 'SELECT model, count(*) FROM v_threads GROUP BY model'",
        ),
    },
    "Change": {
        "rename": (
            "Name a thread, here and in Codex.",
            "threadkeep rename 01a1e766 'Fix the login form'",
            "threadkeep rename 01a1e766 'Fix the login form' --dry-run",
        ),
        "tag": (
            "Put tags on threads, or list all tags.",
            "threadkeep tag bug,urgent 01a1e766",
            "threadkeep tag shop --cwd ~/projects/shop --dry-run",
        ),
        "untag": (
            "Take tags from threads, or from all of them.",
            "threadkeep untag urgent 01a1e766",
            "threadkeep untag urgent --dry-run",
        ),
        "pin": (
            "Pin threads, here and in Codex.",
            "threadkeep pin 01a1e766",
            "threadkeep pin --tag urgent --dry-run",
        ),
        "unpin": (
            "Take the pin from threads, here and in Codex.",
            "threadkeep unpin 01a1e766",
            "threadkeep unpin --pinned --older-than 30d --dry-run",
        ),
        "note": (
            "Show the note on a thread, or write one.",
            "threadkeep note 01a1e766",
            "threadkeep note 01a1e766 'Go on with the second migration'",
        ),
        "mark": (
            "Give threads a status: todo, doing, waiting or done.",
            "threadkeep mark done 01a1e766",
            "threadkeep mark done --tag shipped --dry-run",
        ),
        "fork": (
            "Create a thread that starts as a copy of another.",
            "threadkeep fork 01a1e766",
            "threadkeep fork 01a1e766 --dry-run",
        ),
        "archive": (
            "Archive threads, including the threads they spawned.",
            "threadkeep archive 01a1e766",
            "threadkeep archive --older-than 30d --dry-run",
        ),
        "unarchive": (
            "Restore threads from the archive.",
            "threadkeep unarchive 01a1e766",
            "threadkeep unarchive --cwd ~/projects/old --dry-run",
        ),
        "delete": (
            "Move threads to the trash.",
            "threadkeep delete 01a1e766",
            "threadkeep delete --archived --search draft --dry-run",
        ),
        "trash": (
            "List the trash, put threads back, or empty it.",
            "threadkeep trash",
            "threadkeep trash restore 01a1e766",
        ),
        "trash list": (
            "List the threads in the trash.",
            "threadkeep trash list",
            "threadkeep trash list --json",
        ),
        "trash restore": (
            "Put threads back where they were.",
            "threadkeep trash restore 01a1e766",
            "threadkeep trash restore 20261121T120744Z-3f9a",
        ),
        "trash empty": (
            "Remove what is in the trash permanently.",
            "threadkeep trash empty",
            "threadkeep trash empty --older-than 30d --dry-run",
        ),
        "git-info": (
            "Show or set the git commit, branch and origin.",
            "threadkeep git-info 01a1e766",
            "threadkeep git-info 01a1e766 --branch main",
        ),
        "memory": (
            "Set whether Codex may make memories of threads.",
            "threadkeep memory 01a1e766 disabled",
            "threadkeep memory --cwd ~/projects/private disabled",
        ),
        "relink": (
            "Record that a project folder has moved.",
            "threadkeep relink ~/projects/shop ~/work/shop",
            "threadkeep relink --remove ~/projects/shop",
        ),
        "dump": (
            "Save names, tags and moved folders as lines of text.",
            "threadkeep dump names.jsonl",
            "threadkeep dump --json",
        ),
        "restore": (
            "Merge a dump with what is set here.",
            "threadkeep restore names.jsonl",
            "threadkeep restore --json names.jsonl",
        ),
    },
    "Index": {
        "sync": (
            "Catch up with added, changed, moved and removed files.",
            "threadkeep sync",
            "threadkeep sync --json",
        ),
        "backfill": (
            "Fill the index from all rollout files.",
            "threadkeep backfill",
            "threadkeep backfill --force",
        ),
        "reindex": (
            "Build a new index, then replace the old one.",
            "threadkeep reindex",
            "threadkeep reindex --json",
        ),
        "watch": (
            "Keep the index up to date, and print what changes.",
            "threadkeep watch",
            "threadkeep watch --json --log-file watch.log",
        ),
        "db": ("Locate, check or compact the index file.",),
        "db path": (
            "Print where the index is, whether it exists or not.",
            "threadkeep db path",
            "threadkeep --home ~/other/.codex db path",
        ),
        "db check": (
            "Check the index file: damage, schema, references.",
            "threadkeep db check",
            "threadkeep db check --json",
        ),
        "db vacuum": (
            "Compact the index file.",
            "threadkeep db vacuum",
            "threadkeep db vacuum --json",
        ),
    },
    "Fleet": {
        "push": (
            "Push threads that have changed into a fleet.",
            "threadkeep push --dry-run",
            "threadkeep push --level text --watch",
        ),
        "pull": (
            "Bring a thread of another machine here.",
            "threadkeep pull 01a1e766",
            "threadkeep pull 01a1e766 --machine laptop --dry-run",
        ),
        "fleet": ("Set up and look after a fleet of many machines.",),
        "fleet init": (
            "Set up a fleet in a database of PostgreSQL.",
            "threadkeep fleet init postgresql:///threads",
            "threadkeep fleet init --json",
        ),
        "fleet upgrade": (
            "Bring the tables of a fleet to this version.",
            "threadkeep fleet upgrade",
            "threadkeep fleet upgrade postgresql:///threads",
        ),
        "fleet check": (
            "Check server, row security, grants and logins.",
            "threadkeep fleet check",
            "threadkeep fleet check postgresql:///threads",
        ),
        "fleet status": (
            "Show machines, what they have not pushed, sizes, slow queries.",
            "threadkeep fleet status",
            "threadkeep fleet status --json",
        ),
        "fleet prune": (
            "Remove old threads from a fleet, or what takes most room.",
            "threadkeep fleet prune --older-than 1y --dry-run",
            "threadkeep fleet prune --older-than 90d --level raw --yes",
        ),
        "fleet machine": ("Let machines push, or no longer.",),
        "fleet machine add": (
            "Let a machine push.",
            "threadkeep fleet machine add laptop --user alice",
            "threadkeep fleet machine add build7 --no-password",
        ),
        "fleet machine revoke": (
            "Let a machine push no longer.",
            "threadkeep fleet machine revoke laptop",
            "threadkeep fleet machine revoke build7 --json",
        ),
        "fleet reader": ("Let people read, or no longer.",),
        "fleet reader add": (
            "Let somebody read all threads of a tenant.",
            "threadkeep fleet reader add bob",
            "threadkeep fleet reader add bob --tenant research",
        ),
        "fleet reader revoke": (
            "Let somebody read no longer.",
            "threadkeep fleet reader revoke bob",
            "threadkeep fleet reader revoke bob --json",
        ),
    },
    "Health": {
        "doctor": (
            "Check the installation, the home and the index.",
            "threadkeep doctor",
            "threadkeep --home /mnt/backup/.codex doctor --json",
        ),
        "status": (
            "Show the state of the index.",
            "threadkeep status",
            "threadkeep status --json",
        ),
        "verify": (
            "Find problems in the index and the files.",
            "threadkeep verify",
            "threadkeep verify --deep --sample 5%",
        ),
        "repair": (
            "Plan and apply repairs of what verify finds.",
            "threadkeep repair",
            "threadkeep repair --apply",
        ),
        "codex-check": (
            "Compare the files with Codex's own database.",
            "threadkeep codex-check",
            "threadkeep codex-check --fix",
        ),
        "du": (
            "Show disk usage of rollout files.",
            "threadkeep du",
            "threadkeep du --by project -n 20",
        ),
        "secrets": (
            "List the secrets in threads, without showing them.",
            "threadkeep secrets",
            "threadkeep secrets --cwd . --since 7d",
        ),
    },
    "Serve, help": {
        "web": (
            "Read threads in a browser.",
            "threadkeep web",
            "threadkeep web --allow-changes --no-open",
        ),
        "app-server": (
            "Serve threads over Codex's app-server protocol.",
            "threadkeep app-server",
            "threadkeep app-server --listen unix://",
        ),
        "mcp": (
            "Serve read-only tools for agents (MCP).",
            "threadkeep mcp",
            "threadkeep mcp --http --port 7448",
        ),
        "help": (
            "Show the help of a command, or a page about a topic.",
            "threadkeep help search",
            "threadkeep help recovery",
        ),
    },
}
ENTRIES: Final = {name: entry for group in GROUPS.values() for name, entry in group.items()}
"""Each command with its line, and with examples of it."""
HELP: Final = {name: entry[0] for name, entry in ENTRIES.items() if " " not in name}
"""The commands that come right after ``threadkeep``, with their lines."""


def examples(name: str) -> tuple[str, ...]:
    """The examples of a command; of one that only holds others, one of each of these."""
    found = ENTRIES[name][1:]
    below = (entry[1:2] for other, entry in ENTRIES.items() if other.startswith(f"{name} "))
    return found or tuple(line for lines in below for line in lines)
