"""The command `counts`: how many clusters tell most about the pairing, for one layer; or counts tried on a sample."""

from __future__ import annotations

import argparse
import math

from curation.commands.base import Commands, add_settings, job, keep_settings, printable
from curation.counts import COUNTS, SAMPLE, SEEDS, Study, Trial
from curation.errors import InputError
from curation.workspace import Workspace


def register(commands: Commands) -> None:
    """counts."""
    command = commands.add("counts", "how many clusters tell most about the pairing of sound and picture", _counts)
    command.add_argument(
        "--layer", action="append", default=[], metavar="LAYER", help="layer to study; may be repeated"
    )
    command.add_argument(
        "--counts", default=",".join(map(str, COUNTS)), help="numbers of clusters to compare, separated by commas"
    )
    command.add_argument("--sample", type=int, default=SAMPLE, help=f"clips that are looked at, by hash ({SAMPLE})")
    command.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of k-means for each count ({SEEDS})")
    command.add_argument("--seed", type=int, default=0, help="of sample, folds and the first run of k-means")
    command.add_argument(
        "--trial", action="store_true",
        help="instead: cluster every layer of the sample once, by the settings or the two options below, and compare "
        "with the clusters that are there; nothing is changed",
    )  # fmt: skip
    command.add_argument(
        "--clusters", default="", metavar="COUNT", help="with --trial: clusters in each layer, or auto"
    )
    command.add_argument("--per-layer", default="", metavar="LAYER=COUNT,...", help="with --trial: for single layers")
    add_settings(command)


def _counts(options: argparse.Namespace) -> None:
    from curation.counts_run import study_counts
    from curation.counts_trial import try_counts

    workspace = Workspace.open(options.workspace)
    if not options.trial and not options.layer:
        known = [f"{key.partition('/')[2]}.{layer}" for key in workspace.keys("features")
                 for layer in workspace.require(key, "features").info.get("layers", {})]  # fmt: skip
        raise InputError("Which layer?", hint=f"Give --layer LAYER. Layers: {', '.join(known) or 'none yet'}.")
    keep_settings(workspace, options)
    with job(workspace, options, "counts") as (progress, record):
        if options.trial:
            trial = try_counts(
                workspace, options.clusters, options.per_layer, sample=options.sample, seed=options.seed,
                progress=progress,
            )  # fmt: skip
            record.result({"trial": {"seconds": trial.seconds, "gain": trial.gain}})
            lines = trial_lines(trial)
        else:
            lines, proposed = [], {}
            for layer in options.layer:
                study = study_counts(
                    workspace, layer, options.counts, sample=options.sample, seeds=options.seeds, seed=options.seed,
                    progress=progress,
                )  # fmt: skip
                proposed[layer] = study.proposed
                lines += study_lines(study)
            record.result({"counts": proposed})
    for line in lines:
        print(printable(line))


def study_lines(study: Study) -> list[str]:
    """A study as lines of text: a table, then what it proposes."""
    lines = [f"{study.layer}: {study.clips:,} clips of {study.sources:,} sources, {study.seeds} seeds, with "
             f"{len(study.partners)} clusterings of the other modality"]  # fmt: skip
    lines.append(f"{'count':>6} {'gain':>7} {'±':>6} {'seeds':>6} {'permuted':>9} {'wins':>6} {'ARI':>6} "
                 f"{'overlap':>8} {'1-source':>8} {'smallest':>8}")  # fmt: skip
    for row in study.rows:
        lines.append(
            f"{row.count:>6} {row.gain:>7.3f} {row.error:>6.3f} {_or_dash(row.spread):>6} {row.permuted:>9.3f} "
            f"{row.wins:>6.3f} {_or_dash(row.agreement):>6} {_or_dash(row.overlap):>8} {row.single_source:>8} "
            f"{row.smallest:>8}"
        )
    if study.left_out:
        lines.append(f"left out, as cells would hold less than a clip by chance: {', '.join(map(str, study.left_out))}")
    if study.proposed is None:
        lines.append("No count tells more than permuted sounds do: this layer tells nothing about the pairing here.")
    else:
        lines.append(f"proposed: {study.proposed}, the smallest within one standard error of the best")
    if study.added is not None:
        a = study.added
        lines.append(f"added to the other {a.others} layers at {a.count} clusters: {a.value:+.3f} "
                     f"({a.low:+.3f} to {a.high:+.3f}){'' if a.adds else ': nothing that can be told'}")  # fmt: skip
    return lines + [f"note: {notice}" for notice in study.notices]


def trial_lines(trial: Trial) -> list[str]:
    """A trial as lines of text."""
    lines = [f"{trial.clips:,} clips of {trial.sources:,} sources, {trial.seconds:.1f} s"]
    for one in trial.layers:
        lines.append(f"  {one.layer}: {one.clusters} clusters of {one.smallest:,} to {one.largest:,} clips, "
                     f"gain {one.gain:.3f} ± {one.error:.3f}")  # fmt: skip
    lines.append(f"all layers: gain {trial.gain:.3f} ± {trial.error:.3f}, permuted sounds {trial.permuted:.3f}")
    if trial.present is not None and trial.difference is not None:
        value, low, high = trial.difference
        lines.append(
            f"clusters that are there: {trial.present:.3f}; {value:+.3f} ({low:+.3f} to {high:+.3f}) with these"
        )
    return lines + [f"note: {notice}" for notice in trial.notices]


def _or_dash(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
