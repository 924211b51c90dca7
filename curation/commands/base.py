"""What every command shares: its parser, its workspace, its job record, and how it speaks on a terminal."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from curation import jobs, sourcespec
from curation.errors import ConcordError, InputError
from curation.progress import Progress
from curation.setting import parse_assignments
from curation.sources.registry import source_of
from curation.sourcespec import SourceSpec
from curation.urls import local_path
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
            command.add_argument("workspace", type=local_path, help="folder of the workspace")
        return command


def add_settings(command: argparse.ArgumentParser) -> None:
    """`--set` for a command that runs stages."""
    command.add_argument(
        "--set", action="append", default=[], metavar="STAGE.SETTING=VALUE", help="change and keep a setting"
    )
    command.add_argument("--job", default=None, help=argparse.SUPPRESS)


def open_or_create(options: argparse.Namespace) -> Workspace:
    """The workspace of a command that may make it (`--media`, ...), with the command's settings kept in it."""
    given = named_sources(options)
    if (options.workspace / "workspace.json").is_file() or not given:
        if options.command == "init":
            workspace = Workspace.create(options.workspace, name=options.name)
        else:
            workspace = Workspace.open(options.workspace)
        wanted = _without(workspace.sources, options.remove)
        for spec in given:
            is_there = any(one.is_of(spec) and not one.removed for one in wanted)
            if not is_there or spec.title or spec.columns:  # else what was said of it before holds
                wanted = sourcespec.with_source(wanted, spec)
        if wanted != workspace.sources:
            workspace.configure(sources=wanted)
    else:
        # Settings are checked first, so that a wrong one leaves no half-made workspace.
        from curation.config import Config

        Config().replace(parse_assignments(options.set))
        workspace = Workspace.create(options.workspace, name=getattr(options, "name", ""), sources=given)
    keep_settings(workspace, options)
    return workspace


def _without(sources: list[SourceSpec], paths: Sequence[str]) -> list[SourceSpec]:
    """`sources`, those with one of these paths marked as removed. Raises `InputError` for a path that none has."""
    for text in paths:
        path = sourcespec.folder(text).path
        numbers = [i for i, one in enumerate(sources) if one.path == path and not one.removed]
        if not numbers:
            there = ", ".join(one.path for one in sources if not one.removed) or "none"
            raise InputError(f"No source of the workspace has the path {path}.", hint=f"Sources: {there}.")
        for number in numbers:
            sources = sourcespec.without_source(sources, number)
    return sources


def add_sources(command: argparse.ArgumentParser) -> None:
    """`--media`, `--list`, `--metadata`, `--tars` for a command that may make a workspace; each may be repeated."""
    repeated: dict[str, Any] = {"action": "append", "default": []}
    command.add_argument(
        "--media",
        metavar="FOLDER",
        help="folder of videos, or s3://bucket/folder; may be repeated, as the next ones, which take addresses too",
        **repeated,
    )
    command.add_argument(
        "--list", metavar="FILE", help="txt (a path a line), csv, tsv or parquet with a column `path`", **repeated
    )
    command.add_argument(
        "--metadata",
        nargs=2,
        metavar=("TSV", "FOLDER"),
        help="ACAV100M's metadata.tsv, and the folder of its videos (YouTube ids in their names)",
        **repeated,
    )
    command.add_argument("--tars", metavar="FOLDER", help="folder of WebDataset tars, or one tar", **repeated)
    command.add_argument("--list-title", default="", metavar="COLUMN", help="column of --list that holds titles")
    command.add_argument("--list-columns", default="", metavar="A,B", help="columns of --list to keep; all by default")
    command.add_argument(
        "--list-media", default=None, metavar="FOLDER", help="folder that the paths in --list are below"
    )
    command.add_argument("--remove", metavar="PATH", help="leave out the source with this path", **repeated)


def named_sources(options: argparse.Namespace) -> list[SourceSpec]:
    """The sources that a command names, kind by kind. Raises `InputError` for what is not there."""
    columns = [name.strip() for name in options.list_columns.split(",") if name.strip()]
    specs = [*map(sourcespec.folder, options.media)]
    specs += [
        sourcespec.file_list(file, options.list_media, title=options.list_title, columns=columns)
        for file in options.list
    ]
    specs += [sourcespec.metadata(file, folder) for file, folder in options.metadata]
    specs += map(sourcespec.tars, options.tars)
    for spec in specs:
        source_of(spec).check()
    return list(dict.fromkeys(specs))


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
        except Exception as error:
            traceback.print_exc()
            raise InputError(
                f"Something unexpected went wrong ({jobs.reason_of(error)}); the traceback says where.",
                hint="Finished work is kept. Please report it with the traceback.",
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
