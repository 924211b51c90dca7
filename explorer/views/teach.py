"""Pre-training in words and marks: results as they lie on the disk go in; sentences, dots and lines come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from curation.pretraining.report import accuracy, has_top5, tested_sources
from explorer.views import words

SEES = {"picture": "from pictures", "sound": "from sounds", "both": "from pictures and sounds"}


@dataclass(frozen=True)
class Mark:
    """A dot with its 95 % interval, percent or points; `low`, `high` None where one seed has no spread."""

    name: str
    value: float
    low: float | None
    high: float | None
    at: float = 0.0  # share of right sounds, percent


def probe_names(plan: Mapping[str, Any]) -> dict[str, str]:
    """What can be shown: probe -> words."""
    return {p["name"]: _probe_title(p) for p in plan.get("probes", [])}


def _probe_title(probe: Mapping[str, Any]) -> str:
    name = words.literal(str(probe["name"]))
    return name if name in ("pictures", "sounds", "both") else f"{name} {SEES.get(probe['sees'], '')}".strip()


def power_marks(result: Mapping[str, Any], probe: str) -> list[Mark]:
    """Accuracy, percent, at each share of right sounds, ascending."""
    found = next((p for p in result.get("power", []) if p["probe"] == probe), None)
    if found is None:
        return []
    return [_mark("", level, 100 * share) for share, level in zip(found["shares"], found["levels"], strict=True)]


def level_marks(result: Mapping[str, Any], probe: str, top: int = 1) -> list[Mark]:
    """Accuracy of every set, percent, in the order of the evaluation."""
    rows = [row for row in result.get("levels", []) if row["probe"] == probe and row["top"] == top]
    return [_mark(row["set"], row) for row in rows]


def gap_marks(result: Mapping[str, Any], probe: str, top: int = 1) -> list[Mark]:
    """First set minus each other, points."""
    rows = [row for row in result.get("differences", []) if row["probe"] == probe and row["top"] == top]
    return [_mark(f"{row['first']} − {row['second']}", row) for row in rows]


def _mark(name: str, row: Mapping[str, Any], at: float = 0.0) -> Mark:
    known = row["seed_error"] is not None
    low, high = (100 * row[key] if known and row[key] is not None else None for key in ("low", "high"))
    return Mark(name, 100 * row["value"], low, high, at)


def verdict(result: Mapping[str, Any], probe: str) -> tuple[bool, str]:
    """Whether a power check can tell, and the sentence; what a comparison found, in a sentence."""
    for found in result.get("power", []):
        if found["probe"] == probe:
            return bool(found["tells"]), str(found["verdict"])
    gaps = gap_marks(result, probe)
    if not gaps:
        return False, "Nothing is compared yet."
    plan: Mapping[str, Any] = next((p for p in result.get("probes", []) if p["name"] == probe), {})
    if plan.get("sources", 2) < 2:
        return False, "All test clips are of one source, which says nothing about others."
    if any(gap.low is None for gap in gaps):
        return False, "One seed says nothing about the spread: run two or more."
    told = [f"{_way(gap)} ({_points(gap)})" for gap in gaps]
    sure = all(gap.low is not None and gap.low > 0 for gap in gaps)
    return sure, f"{result['sets'][0]}: " + "; ".join(told) + "."


def _way(gap: Mark) -> str:
    other = gap.name.partition(" − ")[2]
    if gap.low is not None and gap.low > 0:
        return f"teaches more than {other}"
    if gap.high is not None and gap.high < 0:
        return f"teaches less than {other}"
    return f"cannot be told from {other}"


def _points(gap: Mark) -> str:
    return f"{gap.value:+.1f} points, {gap.low:+.1f} to {gap.high:+.1f}"


def scope(result: Mapping[str, Any], probe: str) -> str:
    """What a number speaks of: how much was trained, learnt and tested, on what, and what chance is."""
    plan = next(p for p in result["probes"] if p["name"] == probe)
    config, seeds = result["config"], result["seeds"]
    return (
        f"{words.count(len(seeds), 'seeds')}, each {config['steps']:,} steps of {config['batch_size']} clips, network "
        f"“{config['network']}” from scratch, then frozen · a linear classifier learnt from "
        f"{words.count(plan['learnt'])} and was tested on {words.count(plan['tested'])} of {tested_sources(plan)} · "
        f"always the same class: {100 * plan['chance']:.0f} %"
    )


SPEAKS_OF = {
    "power": "The same clips, trained on with fewer and fewer right sounds. It speaks of this evaluation, its size and "
    "its labels: whether a difference between subsets could show here at all.",
    "comparison": "Chosen, random and content-matched random subsets of equal size, and all candidates, at equal "
    "steps. A seed makes clusterings, choice and training anew. It speaks of small models on these data; a larger one "
    "trained for longer may rank subsets otherwise.",
    "sampling": "The same clips, drawn for batches in other ways. It speaks of titles like these.",
}


def sets_table(result: Mapping[str, Any], probe: str = "") -> list[dict[str, Any]]:
    """A row a set: accuracy by a probe with its interval, clips, facts on its content with their deviation over seeds,
    speed; means over seeds.
    """
    rows = []
    plan: Mapping[str, Any] = next((p for p in result.get("probes", []) if p["name"] == probe), {})
    for name in result["sets"]:
        runs = [run for run in result["runs"] if run["set"] == name]
        row: dict[str, Any] = {"Set": name}
        for top in (1, 5) if has_top5(plan) else (1,):
            row[f"Top-{top} (95 %)"] = _level(result, probe, name, top)
        row["Clips"] = _mean([run["train"]["clips"] for run in runs])
        for key, title in FACTS.items():
            row[title] = _spread([run["facts"].get(key) for run in runs])
        row["Last loss, nats"] = _spread([run["train"]["last_loss"] for run in runs])
        row["Negatives of own title, %"] = _percent([run["train"]["shared_negatives"] for run in runs])
        row["Clips/s"] = _mean([run["train"]["clips_per_s"] for run in runs])
        row["Waiting for data, %"] = _percent([run["train"]["waiting_share"] for run in runs])
        rows.append(row)
    used = [key for key in rows[0] if any(row[key] is not None for row in rows)] if rows else []
    return [{key: row[key] for key in used} for row in rows]


FACTS = {
    "right": "Right sounds, share",
    "sources": "Sources",
    "effective_audio": "Effective sound clusters (held out)",
    "effective_visual": "Effective picture clusters (held out)",
    "held_out_mi": "MI (held out), nats",
}


def _level(result: Mapping[str, Any], probe: str, name: str, top: int) -> str | None:
    found = (row for row in result.get("levels", []) if (row["probe"], row["set"], row["top"]) == (probe, name, top))
    return next((accuracy(row) for row in found), None)


def _spread(values: Sequence[float | None]) -> str | None:
    """Mean, and deviation over seeds where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return f"{mean(known):.3g}" + (f" ± {stdev(known):.2g}" if len(known) > 1 else "")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _percent(values: Sequence[float | None]) -> float | None:
    mean = _mean(values)
    return None if mean is None else 100 * mean
