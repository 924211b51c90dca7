"""Numbers and names as people read them: values go in, short texts with units come out. Plain text, never HTML."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath

METHODS = {
    "batch-greedy": "The most mutual information between sound and picture clusters, a batch at a time (ACAV100M).",
    "concord": "Pairs that fit by the evidence of other sources, judged against decoys, then spread over kinds.",
    "ratio": "Clips whose sound and picture clusters occur together more often than chance.",
    "ascent": "The ratio score, refined by the chosen clips' own counts.",
    "mixture": "Clips that fit a model of corresponding sounds and pictures better than one of unrelated ones.",
    "greedy": "The one best of all remaining clips at a time: slower, more mutual information than batches.",
    "random": "Drawn uniformly: the control that every result stands beside.",
    "matched-random": "Random with the same picture and sound clusters as the run named in select.like.",
    "pca-inner-product": "Baseline without clusters: inner product of sound and picture features.",
    "pca-cosine": "Baseline without clusters: cosine of sound and picture features.",
    "pca-l1": "Baseline without clusters: L1 distance of sound and picture features.",
    "pca-l2": "Baseline without clusters: L2 distance of sound and picture features.",
    "contrastive": "Baseline without clusters: a small model learns which sounds go with which pictures.",
}
BREADTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_BREADTHS = {0.0: "purest", 0.5: "balanced", 1.0: "broadest"}
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
ORDERS = {
    "match": "best match",
    "blocks": "co-clustering",
    "size": "by size",
    "number": "by number",
    "name": "by name",
}
ORDER_HELP = (
    "**Best match** pairs rows and columns one to one so that the pairs carry the most dependence · **Co-clustering** "
    "puts sound and picture clusters that share clips side by side, in blocks · **By name**: as people named them."
)
OVERS = {"pair": "This pair of layers", "every": "Mean of every pair", "depth": "Mean of same depth"}
OVER_HELP = (
    "PMI and share of MI are of **this pair** of layers alone, or the **mean** over every sound with every "
    "picture layer, or over layers of the same depth: each clip counts by its mean PMI in all of them, and is sorted "
    "into the cells of the pair chosen here."
)
SORTS = {
    "row": "as in the folder",
    "alike": "most alike first",
    "rank": "picked first, then by score",
    "score": "score",
    "path": "path",
    "random": "random",
    "least": "least expected pairing first",
    "timing": "sound most off time first",
    "shared": "sound track shared with most sources first",
}
EXAMPLES = {"typical": "typical", "far": "far from centre", "random": "random"}
MISSING = "–"


def breadth(value: float) -> str:
    """A place between purest (0) and broadest (1), as a word where there is one."""
    return _BREADTHS.get(value, "purer" if value < 0.5 else "broader")


def count(n: int | float, noun: str = "clips") -> str:
    """`1,204 clips`, `1 clip`."""
    singular = noun[:-1] if noun.endswith("s") else noun
    return f"{int(n):,} {singular if int(n) == 1 else noun}"


def nats(value: float | None, digits: int = 2) -> str:
    """`1.61 nats`, or a dash where there is no value."""
    return MISSING if value is None or not math.isfinite(value) else f"{number(value, digits)} nats"


def number(value: float | None, digits: int = 2) -> str:
    """`0.47`, `−0.10` with a true minus sign, `1,204.50`, or a dash where there is no value."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text.replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """`+0.47`, `−0.10`, or a dash."""
    text = number(value, digits)
    return text if text == MISSING or text.startswith("−") else f"+{text}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share of 1 as `20 %`; small ones keep a digit that says something."""
    if share is None or not math.isfinite(share):
        return MISSING
    if 0 < share < 0.001 and digits < 2:
        return "< 0.1 %"
    return f"{100 * share:.{1 if digits == 0 and 0 < share < 0.095 else digits}f} %"


def hours(value_h: float, untimed: int = 0) -> str:
    """`34.4 h`, `26 min`, `40 s`; a dash where it is not known; says how many clips are not in it, being `untimed`."""
    if not math.isfinite(value_h):
        return MISSING
    if untimed:
        return f"{hours(value_h)} without {count(untimed, 'clips')} of unknown length"
    if value_h >= 1:
        return f"{value_h:,.1f} h"
    return f"{value_h * 60:.0f} min" if value_h * 60 >= 1.5 else f"{value_h * 3600:.0f} s"


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03.5`: a place in a file; a dash where it is not known."""
    if not math.isfinite(seconds):
        return MISSING
    whole, tenth = divmod(round(seconds * 10), 10)
    minutes, s = divmod(whole, 60)
    h, m = divmod(minutes, 60)
    text = f"{h}:{m:02d}:{s:02d}" if h else f"{m}:{s:02d}"
    return f"{text}.{tenth}" if tenth else text


def clip_name(path: str, start_s: float) -> str:
    """A clip's short name: the file's stem and where the clip begins, where it is not the beginning."""
    stem = PurePosixPath(path).stem or "clip"
    return f"{stem} {clock(start_s)}" if start_s >= 0.05 else stem


def short(text: str, room: int) -> str:
    """The text, cut to `room` characters with an ellipsis where it is longer."""
    return text if len(text) <= room else text[: room - 1] + "…"


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


def information_words(
    information: float,
    shuffled: tuple[float, float, int],
    same_method: float | None,
    random: float | None,
    *,
    of_selection: bool,
) -> tuple[str, str, str]:
    """A line of numbers, a note and an explanation: a pair's mutual information beside its controls, nats.

    `shuffled`: mean, deviation and number of shuffles of the sounds among the clips measured: the control of all
    candidates. A selection looked for high counts, so its control is `same_method`, what the same method reaches on
    permuted sounds at the same size; without that the shuffle is shown as what it is, with nothing "beyond" it.
    """
    mean, deviation, repeats = shuffled
    spread = f"mean ± deviation of {repeats}"
    level, width = mean, deviation if same_method is None or not of_selection else None
    if not of_selection:
        name, means = "permuted sounds", _PERMUTED
        note = f"{signed(information - mean)} nats beyond permuted sounds, {spread} permutations"
    elif same_method is None:
        name, means, note = "shuffled within the selection", _SHUFFLED, f"{spread} shuffles"
    else:
        name, means, level = "permuted sounds (same method)", _SAME_METHOD, same_method
        note = f"{signed(information - same_method)} nats beyond permuted sounds (same method)"
    drawn = " *Random*: as many clips drawn from the candidates." if random is not None else ""
    explained = f"Mutual information (MI) of this pair of clusterings, nats. {means}{drawn}"
    return information_line(information, name, level, width, random), note, explained


_PERMUTED = (
    "*Permuted sounds*: the same clips, each with another one's sound: what this many clips and clusters read by "
    "chance."
)
_SHUFFLED = (
    "*Shuffled within the selection*: the chosen clips exchange their sounds. This is no control for a method that "
    "looks for high counts: its selection stands above it also where sound and picture have nothing to do with each "
    "other."
)
_SAME_METHOD = (
    "*Permuted sounds (same method)*: every candidate gets another one's sound, then the same method chooses as many "
    "clips: what it reaches where sound and picture have nothing to do with each other."
)


def information_line(
    information: float, control: str, level: float, deviation: float | None = None, random: float | None = None
) -> str:
    """`MI 1.61 nats · permuted sounds 1.22 ± 0.01 · random 1.05 (same size)`; `control` names what is at `level`."""
    text = f"MI {nats(information)} · {control} {number(level)}"
    text += f" ± {number(deviation)}" if deviation is not None else ""
    return text + (f" · random {number(random)} (same size)" if random is not None else "")
