"""An evaluation in sentences and tables for a terminal: results on disk in, lines out. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation.pretraining import results
from curation.workspace import Workspace


def report_lines(workspace: Workspace, name: str) -> list[str]:
    """What was found so far. Raises `InputError` for an evaluation that is not there."""
    plan, found = results.read_plan(workspace, name), results.read_result(workspace, name)
    lines = [f"{name}: {results.KINDS.get(plan['kind'], plan['kind'])}"]
    lines += [f"note: {note}" for note in plan.get("notes", [])]
    lines += [f"note: {results.age(found)}"] if found and results.age(found) else []
    if not found or not found.get("seeds"):
        return [*lines, "No seed is done yet."]
    planned = found.get("planned_seeds", found["seeds"])
    lines.append(f"{len(found['seeds'])} of {len(planned)} seeds are done; {found['config']['steps']} steps each.")
    for probe in found["probes"]:
        lines.append(
            f"{probe['name']}: {probe['learnt']} clips to learn from, {probe['tested']} to test on from "
            f"{tested_sources(probe)}; always the same class: {100 * probe['chance']:.1f} %"
        )
        for level in _of(found.get("levels", []), probe, 1):
            five = next((n for n in _of(found["levels"], probe, 5) if n["set"] == level["set"]), None)
            more = f"; top-5 {accuracy(five)}" if five and has_top5(probe) else ""
            lines.append(f"  {level['set']:24} {accuracy(level)}{more}")
        lines += [f"  {said['verdict']}" for said in found.get("power", []) if said["probe"] == probe["name"]]
        gaps = _of(found.get("differences", []), probe, 1)
        lines += [f"  {gap['first']} - {gap['second']}: {difference(gap)}" for gap in gaps]
        if gaps:
            lines.append(f"  {results.power_check(workspace, name, probe['name'])[1]}")
    lines.append("95 % intervals: test clips resampled by source, and Student's t over seeds.")
    return lines


def _of(rows: Sequence[Mapping[str, Any]], probe: Mapping[str, Any], top: int) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["probe"] == probe["name"] and row["top"] == top]


def has_top5(probe: Mapping[str, Any]) -> bool:
    """Five guesses among five classes or fewer are always right: they are not shown."""
    return len(probe.get("classes", ())) > 5


def tested_sources(probe: Mapping[str, Any]) -> str:
    """`30 sources`, or `30 sources of the sound and 25 of the picture`."""
    other = probe.get("other_sources")
    own = f"{probe['sources']:,} sources"
    return own if other is None else f"{own} of the sound and {other:,} of the picture"


def accuracy(level: Mapping[str, Any]) -> str:
    """`61.2 % (57.0 to 65.3)`; without an interval where one seed has none."""
    text = f"{100 * level['value']:.1f} %"
    return text if level["seed_error"] is None else f"{text} ({100 * level['low']:.1f} to {100 * level['high']:.1f})"


def difference(gap: Mapping[str, Any]) -> str:
    """`+3.1 points (0.4 to 5.8)`, and whether that is more than nothing."""
    text = f"{100 * gap['value']:+.1f} points"
    if gap["low"] is None:
        return f"{text}, one seed: its spread is not known"
    sure = "more" if gap["low"] > 0 else "less" if gap["high"] < 0 else "not told apart"
    return f"{text} ({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f}): {sure}"
