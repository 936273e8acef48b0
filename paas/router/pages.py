"""The error pages. In: nothing. Out: one small HTML document per code, as a HAProxy log-format string.

`%[var(...)]` is filled in by HAProxy per request; a literal percent sign is written `%%`. Nothing a client chose is
ever put into a page, except a request id that HAProxy has checked to be `[A-Za-z0-9+/=-]`.
"""

from __future__ import annotations

from dataclasses import dataclass

APP = "%[var(txn.name)]"


@dataclass(frozen=True)
class Page:
    """`code` names the file and is shown; `refresh` reloads the page after so many seconds."""

    code: str
    title: str
    text: str
    developers: str = ""
    refresh: int = 0


PAGES = (
    Page(
        "H10",
        "This app has crashed",
        "The app is installed, but none of its processes is running. Please try again in a moment.",
        f"see why with <code>paas logs --tail --app {APP}</code>, then <code>paas restart --app {APP}</code>.",
    ),
    Page(
        "H12",
        "The app took too long to answer",
        "The request was passed on, but no answer came in time. Please try again in a moment.",
        f"move slow work to a worker process; <code>paas logs --app {APP}</code> shows the request.",
    ),
    Page(
        "H13",
        "The app closed the connection without an answer",
        "The request reached the app, but the answer never came back. Please try again in a moment.",
        f"the process may have crashed or sent something that is not HTTP: <code>paas logs --app {APP}</code>.",
    ),
    Page(
        "H14",
        "No web process is running",
        "The app is installed, but has no process that answers requests.",
        f"start one with <code>paas ps:scale web=1 --app {APP}</code>.",
    ),
    Page(
        "H20",
        "The app is starting",
        "This page reloads by itself as soon as the app answers.",
        f"follow the start with <code>paas logs --tail --app {APP}</code>.",
        refresh=2,
    ),
    Page(
        "H21",
        "The app does not accept connections",
        "The app's processes could not be reached. Please try again in a moment.",
        f"a web process must listen on the port in <code>$PORT</code>: <code>paas logs --app {APP}</code>.",
    ),
    Page(
        "H80", "Down for maintenance", "The people behind this app are working on it. Please come back soon."
    ),
    Page(
        "H81",
        f"Welcome to {APP}",
        "The app exists, and nothing has been deployed to it yet.",
        "push your code with <code>git push paas main</code>, and it appears here.",
    ),
    Page(
        "404",
        "No such app",
        "There is no app at this address. Check the spelling of the host name.",
        "<code>paas apps</code> lists your apps; <code>paas create NAME</code> makes one.",
    ),
    Page("500", "Router error", "Something went wrong in the router. Please try again in a moment."),
    Page(
        "platform",
        "The platform is not answering",
        "Its web process is starting or has stopped. Apps keep running. Please try again in a moment.",
        refresh=3,
    ),
)

STYLE = """
body{margin:0;font:17px/1.6 system-ui,sans-serif;color:#1d2433;background:#f6f7f9}
main{max-width:38rem;margin:0 auto;padding:15vh 1.5rem 2rem}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .8rem}
code{font:.92em ui-monospace,monospace;background:#e6e9ef;padding:.1em .35em;border-radius:4px}
footer{margin-top:2.5rem;font-size:.85rem;color:#535c6e;overflow-wrap:anywhere}
iframe{position:fixed;inset:0;width:100%;height:100%;border:0;background:#fff}
iframe[src=""]{display:none}
@media(prefers-color-scheme:dark){body{color:#e8ebf2;background:#14171d}code{background:#2a303b}footer{color:#a5aebd}}
"""


def page_name(code: str) -> str:
    """Return the file of a page, relative to the router's home."""
    return f"pages/{code}.html"


def render_pages() -> dict[str, str]:
    """Return every page by its file name."""
    return {page_name(page.code): render_page(page) for page in PAGES}


def render_page(page: Page) -> str:
    """Return a page. An app's own error page, when it has one, covers ours in a frame."""
    developers = f"<p><strong>Developers:</strong> {page.developers}</p>" if page.developers else ""
    refresh = f'<meta http-equiv="refresh" content="{page.refresh}">' if page.refresh else ""
    code = f"Code {page.code} · " if page.code.startswith("H") else ""
    frame = '<iframe src="%[var(txn.frame)]" title="Message from this app"></iframe>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"{refresh}<title>{page.title}</title><style>{STYLE.replace('%', '%%')}</style></head>\n"
        f"<body><main><h1>{page.title}</h1><p>{page.text}</p>{developers}"
        f"<footer>{code}Request id: %[var(txn.rid)]</footer></main>{frame}</body></html>\n"
    )
