"""Numbers and names as people read them: values go in, short texts with units come out. Plain text, never HTML."""

from __future__ import annotations

import math
import re

METHODS = {
    "batch-greedy": "The most mutual information between sound and picture clusters, a batch at a time (ACAV100M).",
    "random": "Drawn uniformly: the control that every result stands beside.",
}
PAIRINGS = {
    "bipartite": "Every sound layer with every picture layer.",
    "diagonal": "Same depth only: first sound layer with first picture layer, and so on.",
    "combination": "All, also sound with sound (reference default, not evidence of correspondence).",
}
REFILLS = {
    "redraw": "Each batch is drawn from all that remain (the paper).",
    "queue": "The passed-over wait until all were seen.",
}
MEASURES = {
    "count": "Clips",
    "expected": "Expected",
    "pmi": "PMI",
    "residual": "Residual",
    "share": "Share of MI",
}
MEASURE_UNITS = {
    "count": "clips",
    "expected": "clips expected",
    "pmi": "PMI, nats",
    "residual": "σ from chance",
    "share": "% of MI",
    "difference": "percentage points",
}
MEASURE_HELP = (
    "**Clips** in the cell · **Expected** if sound and picture had nothing to do with each other · "
    "**PMI** = log(clips / expected), pointwise mutual information in nats · **Residual** = distance from expected in "
    "standard deviations · **Share of MI** = the cell's part of the whole dependence."
)
ORDERS = {"match": "best match", "size": "by size", "number": "by number"}
SORTS = {
    "row": "as in the folder",
    "rank": "picked first, then by score",
    "path": "path",
    "random": "random",
    "least": "least expected pairing first",
}
EXAMPLES = {"typical": "typical", "far": "far from centre", "random": "random"}
MISSING = "–"


def count(n: int | float, noun: str = "clips") -> str:
    """`1,204 clips`, `1 clip`."""
    singular = noun[:-1] if noun.endswith("s") else noun
    return f"{int(n):,} {singular if int(n) == 1 else noun}"


def nats(value: float | None, digits: int = 2) -> str:
    """`1.61 nats`, or a dash where there is no value."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f} nats"


def signed(value: float | None, digits: int = 2) -> str:
    """`+0.47`, `-0.10`, or a dash."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:+.{digits}f}".replace("-", "−")


def percent(share: float | None, digits: int = 0) -> str:
    """A share of 1 as `20 %`; small ones keep a digit that says something."""
    if share is None or not math.isfinite(share):
        return MISSING
    if 0 < share < 0.001 and digits < 2:
        return "< 0.1 %"
    return f"{100 * share:.{1 if digits == 0 and 0 < share < 0.095 else digits}f} %"


def hours(value_h: float) -> str:
    """`34.4 h`, `26 min`, `40 s`."""
    if value_h >= 1:
        return f"{value_h:,.1f} h"
    return f"{value_h * 60:.0f} min" if value_h * 60 >= 1.5 else f"{value_h * 3600:.0f} s"


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03.5`: a place in a file."""
    whole, tenth = divmod(round(seconds * 10), 10)
    minutes, s = divmod(whole, 60)
    h, m = divmod(minutes, 60)
    text = f"{h}:{m:02d}:{s:02d}" if h else f"{m}:{s:02d}"
    return f"{text}.{tenth}" if tenth else text


def ordinal(n: int) -> str:
    """`37th`."""
    suffix = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{suffix}"


def layer(name: str) -> str:
    """`sound.logmel` as `sound · logmel`."""
    return name.replace(".", " · ", 1)


def cluster(number: int, noun: str = "") -> str:
    """`sound 12`, or `other` for the clusters that are too many to show."""
    text = "other" if number < 0 else str(number)
    return f"{noun} {text}".strip()


def literal(text: str, limit: int = 80) -> str:
    """A name from the data for Markdown: never formatting, links or HTML; long ones lose their middle."""
    flat = " ".join(text.split())
    if len(flat) > limit:
        half = (limit - 1) // 2
        flat = f"{flat[:half]}…{flat[-half:]}"
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~$:^=>-])", r"\\\1", flat)
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def information_line(information: float, permuted: float, deviation: float, random: float | None) -> str:
    """`MI 1.61 nats · permuted sounds 1.22 ± 0.01 · random 1.05 (same size)`."""
    text = f"MI {information:.2f} nats · permuted sounds {permuted:.2f} ± {deviation:.2f}"
    return text + (f" · random {random:.2f} (same size)" if random is not None else "")
