"""How every page begins: what a browser may load, and the looks that pages share."""

from functools import cache
from pathlib import Path
from typing import Final

POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser loads nothing for a page."""
_STYLES: Final = Path(__file__).parent.parent / "styles"
_STYLE: Final = """\
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 1rem;
  background: var(--bg); color: var(--ink);
  -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: .9rem; font-weight: 600; color: var(--dim); border-top: 1px solid var(--line);
  padding-top: .75rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
.facts { list-style: none; padding: 0; margin: 0; color: var(--dim); font-size: .9rem; }
.facts li { display: inline-block; margin-right: 1rem; overflow-wrap: anywhere; }
.warning { color: var(--bad); overflow-wrap: anywhere; }
.name { font-size: .8rem; font-weight: 600; color: var(--dim); overflow-wrap: anywhere; }
table { border-collapse: collapse; }
a { color: var(--accent); }
"""


@cache
def sheet(name: str) -> str:
    """One of the style sheets that exports have in them and a server gives as files."""
    return (_STYLES / f"{name}.css").read_text("utf-8")


def head(title: str, style: str, layout: str = "") -> str:
    """The beginning of a page, up to its body, which has ``layout`` as its class; with ``style``
    after what all pages have. ``title`` is escaped already."""
    body = f'<body class="{layout}">' if layout else "<body>"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f"<title>{title}</title>\n<style>\n{sheet('palette')}{_STYLE}{style}</style>\n</head>\n{body}\n"
    )
