"""The command line: one command a stage, plus run, status, cancel, import, export, demo, select-array, settings."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from curation.commands import (
    array,
    audit,
    counts,
    demo,
    diversity,
    exports,
    imports,
    names,
    pretrain,
    retrieval,
    run,
    settings,
)
from curation.commands.base import Commands
from curation.errors import Cancelled, ConcordError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 2 an error that is said in words, 130 cancelled."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        options = build_parser().parse_args(arguments)
        options.argv = arguments
        options.handler(options)
        return 0
    except Cancelled as error:
        print(f"\n{error}", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("\nStopped. Finished work is kept; run again to go on.", file=sys.stderr)
        return 130
    except ConcordError as error:
        print(f"\nerror: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"       {error.hint}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  (the reader of a pipe went away; nothing to say to)
        return 0


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="python -m curation",
        description="Curate audio-visual data sets by what sound and picture tell about each other.",
    )
    commands = Commands(parser)
    for module in (run, imports, exports, audit, counts, names, retrieval, pretrain, diversity, demo, array, settings):
        module.register(commands)
    return parser
