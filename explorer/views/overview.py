"""The state of a workspace and of its jobs as short texts: records and facts in, lines to draw out."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.views import words

STAGE_NOUNS = {
    "scan": "Videos",
    "filter": "Kept",
    "segment": "Clips",
    "features": "Features",
    "health": "Health",
    "cluster": "Clusters",
    "select": "Selection",
    "neighbours": "Neighbours",
    "project": "Maps",
}
STAGE_ORDER = tuple(STAGE_NOUNS)
FRESH_S = 600.0
_STATES = {
    "queued": (":material/schedule:", "waiting to start"),
    "running": (":material/progress_activity:", "running"),
    "done": (":material/check_circle:", "done"),
    "failed": (":material/error:", "failed"),
    "cancelled": (":material/cancel:", "cancelled"),
    "lost": (":material/help:", "ended without a word"),
}
_STAGE_STATES = {
    "done": (":material/check_circle:", "done"),
    "stale": (":material/sync_problem:", "out of date"),
    "missing": (":material/radio_button_unchecked:", "not made yet"),
    "blocked": (":material/radio_button_unchecked:", "not made yet"),
    "imported": (":material/download_done:", "brought in"),
}


@dataclass(frozen=True)
class JobLine:
    """A job's record in words. `title` is safe in Markdown; `message` is plain text. `share` 0 to 1, None unknown."""

    title: str
    icon: str
    state: str
    share: float | None
    progress: str
    message: str
    hint: str
    is_final: bool


@dataclass(frozen=True)
class StageLine:
    """One stage on the first page: its noun, a figure, its state in words, and why (plain text)."""

    stage: str
    noun: str
    figure: str
    icon: str
    state: str
    reason: str


def job_line(record: Mapping[str, Any], now: float | None = None) -> JobLine:
    """A job's record as what a person reads."""
    name = str(record.get("state", "queued"))
    icon, state = _STATES.get(name, _STATES["queued"])
    final = name not in ("queued", "running")
    error = record.get("error") or {}
    message, hint = str(record.get("message") or ""), ""
    if name in ("failed", "cancelled") and error:
        message, hint = str(error.get("message") or ""), str(error.get("hint") or "")
    elif name == "done":
        message = ""
    share, progress = None, ""
    if not final:
        share, progress = _share(record), progress_line(record)
    elif record.get("ended"):
        progress = ago(float(record["ended"]), now)
    return JobLine(
        title=words.literal(_capital(str(record.get("title") or "Job"))),
        icon=icon,
        state=state,
        share=share,
        progress=progress,
        message=message,
        hint=words.literal(hint, 400),
        is_final=final,
    )


def worth_showing(record: Mapping[str, Any], now: float | None = None) -> bool:
    """A job that went well is news for ten minutes; one that did not stays until somebody hides it."""
    moment = time.time() if now is None else now
    return record.get("state") != "done" or moment - float(record.get("ended") or record["created"]) < FRESH_S


def progress_line(record: Mapping[str, Any]) -> str:
    """`features · 734 of 1,204 clips · 84 clips/s · 3 min left`; what is not known is left out."""
    stage, unit = str(record.get("stage") or ""), str(record.get("unit") or "")
    if not stage:
        return ""
    parts = [f"{stage} ({STAGE_ORDER.index(stage) + 1} of {len(STAGE_ORDER)})" if stage in STAGE_ORDER else stage]
    if record.get("total"):
        parts.append(f"{int(record.get('done') or 0):,} of {int(record['total']):,} {unit}".strip())
    rate, left = record.get("rate_per_s"), record.get("remaining_s")
    if rate:
        parts.append(f"{_rate(float(rate))} {unit}/s".strip())
    if left is not None and record.get("done") != record.get("total"):
        parts.append(f"{duration(float(left))} left")
    return words.literal(" · ".join(parts), 200)


def stage_lines(statuses: Sequence[Any], counts: Mapping[str, str]) -> list[StageLine]:
    """The pipeline's states (`stage`, `state`, `reason`) in words; `counts` gives a figure for a stage."""
    lines = []
    for status in statuses:
        icon, state = _STAGE_STATES.get(status.state, (":material/help:", status.state))
        reason = status.reason if status.state == "stale" else ""
        figure = counts.get(status.stage, "") or words.MISSING
        if status.state == "imported" and status.stage not in counts:
            icon, state = ":material/remove:", "not brought in"
        lines.append(StageLine(status.stage, STAGE_NOUNS.get(status.stage, status.stage), figure, icon, state, reason))
    return lines


def stage_counts(facts: Mapping[str, Any]) -> dict[str, str]:
    """A figure for each stage from the workspace's facts: rows of tables, layers, clusterings, selections, maps."""
    counts = {}
    if "videos" in facts:
        counts["scan"] = f"{facts['videos']['rows']:,}"
    if "filtered" in facts:
        kept = facts["filtered"].get("kept")
        counts["filter"] = f"{kept:,}" if kept is not None else ""
    if "clips" in facts:
        hours = facts["clips"].get("hours")
        length = words.hours(hours, int(facts["clips"].get("untimed") or 0)) if hours else ""
        counts["segment"] = f"{facts['clips']['rows']:,}{length and f' · {length}'}"
    if facts.get("layers"):
        counts["features"] = words.count(facts["layers"], "layers")
    if facts.get("healthy") is not None:
        counts["health"] = f"{facts['healthy']:,} healthy"
    if facts.get("clusterings"):
        counts["cluster"] = words.count(facts["clusterings"], "layers")
    if facts.get("selections"):
        counts["select"] = words.count(facts["selections"][0].get("clips", 0))
    if facts.get("neighbours"):
        counts["neighbours"] = str(facts["neighbours"])
    if facts.get("maps"):
        counts["project"] = str(facts["maps"])
    return counts


def next_step(lines: Sequence[StageLine]) -> str:
    """Which stages a run would make, in words; empty when all are done."""
    waiting = [line.noun.lower() for line in lines if line.state in ("out of date", "not made yet")]
    return ", ".join(waiting)


def selection_labels(selections: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name -> `batch-greedy 20 % · 675 clips`, plain text; a name that a person gave stands alone with its clips.

    Where several would read the same, each carries the last four characters of its name.
    """
    labels = {name: _selection_label(name, info) for name, info in selections.items()}
    often = Counter(labels.values())
    for name, info in selections.items():
        labels[name] += f" · {name[-4:]}" if often[labels[name]] > 1 else ""
        labels[name] += " · out of date" if info.get("stale") else ""
    return labels


def _selection_label(name: str, info: Mapping[str, Any]) -> str:
    clips, method, budget = int(info.get("clips", 0)), str(info.get("method", "")), str(info.get("budget", ""))
    if not (method and name.startswith(f"{method}-{budget}-")):
        return f"{name} · {words.count(clips)}"
    share = budget.removeprefix("0").startswith(".") and f" {words.percent(float(budget))}"
    return f"{method}{share or ''} · {words.count(clips)}"


def ago(moment: float, now: float | None = None) -> str:
    """`just now`, `4 min ago`, `2 days ago`."""
    seconds = max(0.0, (time.time() if now is None else now) - moment)
    if seconds < 45:
        return "just now"
    for size, noun in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            n = round(seconds / size)
            return f"{n} {noun if n == 1 else noun + 's'} ago"
    return "1 minute ago"


def duration(seconds: float) -> str:
    """`8 s`, `3 min`, `1 h 20 min`."""
    if not math.isfinite(seconds):
        return words.MISSING
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def size(n_bytes: float) -> str:
    """`3.4 MB`: decimal units, two or three digits."""
    value = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def _share(record: Mapping[str, Any]) -> float | None:
    total = record.get("total")
    if not total:
        return 0.0
    return min(1.0, max(0.0, float(record.get("done") or 0) / float(total)))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 10 else f"{per_s:.1f}"
