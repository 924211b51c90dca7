"""What every command shares: its parser, its workspace, its job record, and how it speaks on a terminal."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from curation import jobs
from curation.config import parse_assignments
from curation.errors import ConcordError, InputError
from curation.progress import Progress
from curation.workspace import Workspace


class Commands:
    """The parser's list of commands."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        self, name: str, help: str, handler: Callable[[argparse.Namespace], None], workspace: bool = True
    ) -> argparse.ArgumentParser:
        """One command; `handler` gets its options. With `workspace` its first argument is a workspace's folder."""
        command = self._commands.add_parser(name, help=help, description=help)
        command.set_defaults(handler=handler)
        if workspace:
            command.add_argument("workspace", type=Path, help="folder of the workspace")
        return command


def add_settings(command: argparse.ArgumentParser) -> None:
    """`--set` for a command that runs stages."""
    command.add_argument(
        "--set", action="append", default=[], metavar="STAGE.SETTING=VALUE", help="change and keep a setting"
    )
    command.add_argument("--job", default=None, help=argparse.SUPPRESS)


def open_or_create(options: argparse.Namespace) -> Workspace:
    """The workspace of a command that may make it (`--media`), with the command's settings kept in it."""
    for folder in options.media:
        if not Path(folder).expanduser().is_dir():
            raise InputError(
                f"The media folder {folder} does not exist.",
                hint="Give the path of a folder that holds videos.",
            )
    if (options.workspace / "workspace.json").is_file() or not options.media:
        if options.command == "init":
            workspace = Workspace.create(options.workspace, name=options.name)
        else:
            workspace = Workspace.open(options.workspace)
        added = [root for root in map(str, map(_absolute, options.media)) if root not in workspace.roots]
        if added:
            workspace.configure(roots=[*workspace.roots, *added])
    else:
        # Settings are checked first, so that a wrong one leaves no half-made workspace.
        from curation.config import Config

        Config().replace(parse_assignments(options.set))
        workspace = Workspace.create(options.workspace, name=getattr(options, "name", ""), roots=options.media)
    keep_settings(workspace, options)
    return workspace


def _absolute(folder: str) -> Path:
    return Path(folder).expanduser().resolve()


def keep_settings(workspace: Workspace, options: argparse.Namespace) -> None:
    """Keep what `--set` says. Raises `SettingError` before anything changes."""
    changes = parse_assignments(options.set)
    if changes:
        workspace.configure(changes)


@contextlib.contextmanager
def job(workspace: Workspace, options: argparse.Namespace, title: str) -> Iterator[tuple[Progress, jobs.JobRecord]]:
    """Every long command is a job: its record is what the explorer shows, whoever started it."""
    job_id = options.job or jobs.new_job(workspace, options.argv, title=title)
    stop = StopSignals()
    with jobs.JobRecord(workspace, job_id) as record:
        try:
            yield Progress(record, Terminal(sys.stderr), stop), record
        except ConcordError:
            raise
        except Exception:
            traceback.print_exc()
            raise InputError(
                "Something unexpected went wrong; the lines above say where.",
                hint="Finished work is kept. Please report it with those lines.",
                code="internal",
            ) from None


class StopSignals:
    """Turns SIGTERM and SIGINT into a cancel, so that a stopped job ends between two items."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # not in the main thread: nothing to catch there
                signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def update(self, state: dict[str, Any], *, force: bool) -> None:
        """Nothing to show."""

    def cancelled(self) -> bool:
        return self._asked


class Terminal:
    """One line on a terminal, or one line every ten seconds in a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0
        self._live = stream.isatty()

    def update(self, state: dict[str, Any], *, force: bool) -> None:
        now = time.monotonic()
        if now - self._last < (0.2 if self._live else 10.0) or not state["total"]:
            return
        self._last = now
        rate = f"{state['rate_per_s']:.1f} {state['unit']}/s" if state.get("rate_per_s") else ""
        left = f"{state['remaining_s']:.0f} s left" if state.get("remaining_s") else ""
        text = f"{state['stage']} {state['done']}/{state['total']} {state['unit']}  {rate}  {left}  {state['message']}"
        end = "\r" if self._live and state["done"] < state["total"] else "\n"
        print(f"{text[:110]:110}" if self._live else text.rstrip(), end=end, file=self._stream, flush=True)

    def cancelled(self) -> bool:
        return False


def printable(text: str) -> str:
    """Names of files as one line that cannot steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def short(value: Any) -> str:
    """A value as a few characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {short(item)}" for key, item in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
