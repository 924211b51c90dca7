"""The command `pretrain`: does a subset teach? Power check, comparison with controls, ways of sampling, one model."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from curation.commands.base import Commands, job
from curation.errors import InputError
from curation.urls import local_path
from curation.workspace import Workspace

ACTIONS = ("power", "compare", "sampling", "report", "probe")
_KIND = {"power": "power", "compare": "comparison", "sampling": "sampling"}


def register(commands: Commands) -> None:
    """pretrain."""
    command = commands.add("pretrain", "pre-train small models on subsets and see what they learnt", _pretrain)
    command.add_argument("action", choices=ACTIONS, help="what to do")
    command.add_argument("--name", default="", help="name of the evaluation; the action's by default")
    data = command.add_argument_group("labelled data")
    data.add_argument("--labels", default="", help="csv, tsv or parquet with these columns; else they are joined ones")
    data.add_argument("--key", default="path", help="its column with the name of a media file")
    data.add_argument("--picture-label", default="", help="column with the class of a clip's picture")
    data.add_argument("--sound-label", default="", help="column with the class of a clip's sound")
    data.add_argument("--picture-source", default="", help="column with what pictures come from (COLUMN@CLASS)")
    data.add_argument("--sound-source", default="", help="column with what sounds come from (COLUMN@CLASS)")
    data.add_argument(
        "--probe", action="append", default=[], metavar="KIND:PATH",
        help="other labelled data: folder, table, ucf101, esc50 or kinetics-sounds; may be repeated",
    )  # fmt: skip
    data.add_argument("--fold", type=int, default=1, help="split of UCF101, or fold of ESC-50 to test on")
    data.add_argument("--keep-near-duplicates", action="store_true", help="train on clips that are nearly in a probe")
    data.add_argument(
        "--shared-sources", choices=("remove", "refuse", "keep"), default="remove",
        help="sources that a given split has on both sides: not learnt from, refused, or kept",
    )  # fmt: skip
    what = command.add_argument_group("what is compared")
    what.add_argument("--selection", default="", help="compare: run to judge; the current one by default")
    what.add_argument("--held-out", default="", help="compare: layers that take no part in the choice")
    what.add_argument("--assume-right", action="store_true", help="power: take every clip's own sound as right")
    what.add_argument("--clips-per-title", type=int, default=8, help="sampling: clips of a title in a batch")
    what.add_argument("--window-s", type=float, default=0.0, help="sampling: within so many seconds; 0 = anywhere")
    training = command.add_argument_group("training")
    training.add_argument("--seeds", default="0,1,2,3,4", help="separated by commas; more may be added later")
    training.add_argument("--network", default="tiny", help="tiny, small or resnet50")
    training.add_argument("--steps", type=int, default=300)
    training.add_argument("--batch-size", type=int, default=128)
    training.add_argument("--learning-rate", type=float, default=1e-3)
    training.add_argument("--temperature", type=float, default=0.1)
    training.add_argument("--frames", type=int, default=4, help="pictures kept of a clip")
    training.add_argument("--size-px", type=int, default=40, help="their side, pixels")
    training.add_argument("--threads", type=int, default=1, help="on the CPU; the weights depend on it")
    training.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    training.add_argument("--keep-models", action="store_true", help="keep every trained model")
    training.add_argument("--model", type=local_path, default=None, help="probe: a model that --keep-models kept")
    command.add_argument("--job", default=None, help=argparse.SUPPRESS)


def _pretrain(options: argparse.Namespace) -> None:
    workspace = Workspace.open(options.workspace)
    {"report": _report, "probe": _probe}.get(options.action, _evaluate)(workspace, options)


def _request(options: argparse.Namespace) -> Any:
    from curation.pretraining.material import Request
    from curation.pretraining.train import TrainConfig

    config = TrainConfig(
        **{item.name: getattr(options, item.name) for item in fields(TrainConfig) if hasattr(options, item.name)}
    )
    same = {item.name for item in fields(Request)} & set(vars(options)) - {"name", "held_out"}
    return Request(
        kind=_KIND.get(options.action, "power"),
        name=options.name or options.action,
        config=config,
        probes=tuple(options.probe),
        held_out=tuple(filter(None, options.held_out.split(","))),
        **{name: getattr(options, name) for name in same - {"seeds"}},
        seeds=_seeds(options.seeds),
    )


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in text.split(",") if item.strip())
    except ValueError as error:
        raise InputError(f"--seeds {text!r} are no whole numbers.", hint="Give, say, 0,1,2,3,4.") from error


def _evaluate(workspace: Workspace, options: argparse.Namespace) -> None:
    from curation.locks import writer_lock
    from curation.pretraining.experiment import run
    from curation.pretraining.material import prepare

    request = _request(options)
    lock = workspace.path / "locks" / f"pretrain-{request.name}.lock"
    with job(workspace, options, f"pretrain {options.action}") as (progress, record):
        with writer_lock(lock, purpose=f"pretrain {request.name}"):
            experiment, make_sets = prepare(workspace, request, progress)
            run(experiment, make_sets, request.seeds, progress)
            progress.flush()
        record.result({"evaluation": request.name})
    options.name = request.name
    _report(workspace, options)


def _report(workspace: Workspace, options: argparse.Namespace) -> None:
    from curation.pretraining import results
    from curation.pretraining.report import report_lines

    known = results.names(workspace)
    if not options.name and not known:
        raise InputError(
            f"{workspace.name} has no evaluation yet.",
            hint=f"Begin with: python -m curation pretrain {workspace.path} power --labels FILE ...",
        )
    for line in report_lines(workspace, options.name or known[-1]):
        print(line)


def _probe(workspace: Workspace, options: argparse.Namespace) -> None:
    """A kept model against labelled data."""
    if options.model is None:
        raise InputError("Which model?", hint="Give --model FILE, a .model.npz that --keep-models kept.")
    from curation.pretraining.intervals import spread_over_sources
    from curation.pretraining.material import prepare_probes
    from curation.pretraining.model_file import load_model
    from curation.pretraining.probe import probe

    model = load_model(options.model)
    with job(workspace, options, "pretrain probe") as (progress, record):
        facts: dict[str, dict[str, float]] = {}
        for question in prepare_probes(workspace, _request(options), progress):
            found = probe(model, question, options.device)
            told = []
            for k, (what, share) in enumerate((("top-1", found.top1), ("top-5", found.top5))):
                if share is not None:
                    low, high, _, n = spread_over_sources(found.hit[:, k].astype(float), *question.test_sources)
                    low, high = 100 * max(0.0, low), 100 * min(1.0, high)
                    facts.setdefault(question.name, {})[what] = round(share, 4)
                    told.append(f"{what} {100 * share:5.1f} % ({low:.1f} to {high:.1f})")
            print(f"{question.name:24} {'  '.join(told)}  ({len(question.test)} clips, 95 % interval of {n} sources "
                  "resampled; one model, so the spread of training is not in it)")  # fmt: skip
        record.result(facts)
