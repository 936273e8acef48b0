"""The log of an app.

In: which lines.  Out: the last ones, and with --tail every new one; a broken connection is taken up again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import click

from paas.cli.call import Call, command
from paas.cli.crash_reports import crash_report
from paas.cli.failures import Refused, Unreachable, Usage
from paas.cli.output import remark, say

if TYPE_CHECKING:
    from paas.cli.client import Api

PATIENCE = 120.0  # seconds for the platform to come back
LONGEST_PAUSE = 8.0


@command(
    click.option(
        "-n", "--num", type=click.IntRange(1, 1500), default=100, show_default=True, help="How many lines."
    ),
    click.option("-t", "--tail", is_flag=True, help="Go on with new lines until Ctrl-C."),
    click.option("-s", "--source", metavar="SOURCE", help="Only lines of app or heroku (the platform)."),
    click.option("-d", "--dyno", metavar="DYNO|TYPE", help="Only lines of a dyno or process type."),
    click.option("--crash", is_flag=True, help="Crashes instead, with the first and last lines of each."),
    app=True,
    help="Show the log of an app.",
)
def logs(call: Call, num: int, tail: bool, source: str | None, dyno: str | None, crash: bool) -> None:
    if crash:
        if tail or source:
            raise Usage("--crash goes with --num and --dyno only.")
        show_crashes(call, num, dyno)
        return
    wanted: dict[str, Any] = {"lines": num, "tail": tail, "source": source, "dyno": dyno}
    session = {name: value for name, value in wanted.items() if value is not None}
    for event_id, text in read_log(call.api, f"{call.path}/log-sessions", session):
        say(json.dumps({"id": event_id, "line": text}, ensure_ascii=False) if call.json else text)


def show_crashes(call: Call, num: int, dyno: str | None) -> None:
    """Print the newest crashes, the last one at the end, where the eye is."""
    query = f"?{urlencode({'dyno': dyno})}" if dyno else ""
    found = call.api.get(f"{call.path}/crashes{query}")[:num]

    def people() -> None:
        for number, one in enumerate(reversed(found)):
            say("\n".join([*([""] if number else []), *crash_report(one)]))
        if not found:
            remark(f"{dyno or call.app} has not crashed, as far as the platform remembers.")

    call.show(found, people)


def read_log(api: Api, path: str, session: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield id and text of each line. With `tail` an interrupted stream goes on after the last line seen."""
    last, url, pause, deadline = "", api.post(path, session)["logplex_url"], 0.5, 0.0
    while True:
        try:
            for event in api.events(url, last):
                last, pause, deadline = event.id, 0.5, 0.0
                yield event.id, event.data
            if not session["tail"]:
                return
        except Refused as refused:
            if not session["tail"] or refused.status != 404 or not last:
                raise
            url = api.post(path, session)["logplex_url"]  # the URL has expired
        except Unreachable:
            deadline = deadline or time.monotonic() + PATIENCE
            if not session["tail"] or time.monotonic() > deadline:
                raise
            remark(" !    The connection to the log is gone; trying again.")
        time.sleep(pause)  # the platform asked (or is down): nothing to wait for but time
        pause = min(pause * 2, LONGEST_PAUSE)
