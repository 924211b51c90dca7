"""How many clusters? Studies of numbers of clusters as they are kept in `evaluations/counts-<layer>/`, and a verdict.

A study clusters one layer of a sample of clips into several numbers of clusters, with several seeds, and asks what each
number tells about the pairing with the other modality, beyond decoys (`kernels.gain`). This module reads and judges;
`counts_run` makes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from curation.errors import InputError, WorkspaceError
from curation.workspace import CLIPS_FINGERPRINT, Artefact, Workspace

PREFIX = "evaluations/counts-"
TRIAL_KEY = "evaluations/trial-clusters"
COUNTS = (8, 16, 32, 64, 128, 256, 500, 1000)
COUNT_MIN, COUNT_MAX = 2, 10_000
SAMPLE = 50_000
SEEDS = 3
SHARE = 0.2  # of the clips, in the subsets whose overlap is told
EXPECTED_MIN = 1.0  # clips that a cell holds by chance, at least
ADDED_MIN = 0.0005  # deviations of decoys
# A table's own chance is seen twice by cross-fitting (fold f in g's tables, g in f's): where nothing is there, means
# vary so much more than clips that were judged by fixed tables would.
NULL_INFLATION = math.sqrt(2)


@dataclass(frozen=True)
class CountRow:
    """One number of clusters, over the seeds. `gain`: mean score of a clip less its decoys', in deviations of decoys;
    `error`: its standard error, of sources and seeds; `spread`: deviation between seeds; `permuted`, `permuted_error`:
    the same where sounds are permuted first; `wins`: how often a pair scores above a decoy; `agreement`: mean adjusted
    Rand index of two seeds; `overlap`: part that the best `SHARE` of two seeds have in common; `single_source`:
    clusters whose clips are all of one source; `smallest`: clips in the smallest cluster; `seconds`: of k-means and
    judging, all seeds. NaN where one seed says nothing of it.
    """

    count: int
    clusters: int
    gain: float
    error: float
    spread: float
    permuted: float
    permuted_error: float
    wins: float
    agreement: float
    overlap: float
    single_source: int
    smallest: int
    seconds: float


@dataclass(frozen=True)
class Added:
    """What a layer adds to the others of its modality, at `count` clusters: gain with it less gain without, and its
    interval of at least 95 %: see `counts_run.added_of`.
    """

    count: int
    value: float
    low: float
    high: float
    others: int

    @property
    def adds(self) -> bool:
        """True where the interval lies above 0 by more than rounding and the last digit shown."""
        return self.low > ADDED_MIN


@dataclass(frozen=True)
class Study:
    """A finished study. `left_out`: counts with too few clips a cell; `partners`: clusterings of the other modality
    with their numbers of clusters; `stale`: it was made of other clips, features or partners than there are now.
    """

    layer: str
    modality: str
    clips: int
    sources: int
    seeds: int
    partners: Mapping[str, int]
    rows: tuple[CountRow, ...]
    left_out: tuple[int, ...] = ()
    added: Added | None = None
    seconds: float = 0.0
    notices: tuple[str, ...] = ()
    stale: bool = False

    @property
    def best(self) -> CountRow | None:
        """The count with the largest gain."""
        return max(self.rows, key=lambda row: row.gain, default=None)

    @property
    def tells(self) -> bool:
        """True where some count tells more than permuted sounds do: see `tells_something`."""
        return tells_something(self.rows, self.sources)

    @property
    def proposed(self) -> int | None:
        """The smallest count within one standard error of the best; None where none tells anything."""
        return proposed_count(self.rows) if self.tells else None


@dataclass(frozen=True)
class TrialLayer:
    """One layer of a trial: `asked` as in the settings, what came of it, and what it tells alone (see `CountRow`)."""

    layer: str
    modality: str
    asked: str
    clusters: int
    smallest: int
    largest: int
    balance: float
    gain: float
    error: float
    seconds: float


@dataclass(frozen=True)
class Trial:
    """Counts tried on a sample, all layers together: `gain` with the counts tried, `present` with the clusters there
    are, `difference` with a 95 % interval, all of the same clips and decoys; None where there is nothing to compare.
    """

    clips: int
    sources: int
    layers: tuple[TrialLayer, ...]
    gain: float
    error: float
    permuted: float
    present: float | None
    difference: tuple[float, float, float] | None
    counts: Mapping[str, str]
    seconds: float
    notices: tuple[str, ...] = ()
    stale: bool = False


# -- judging -----------------------------------------------------------------------------------------------------------


def proposed_count(rows: Sequence[CountRow]) -> int | None:
    """The smallest count whose gain is at most one standard error below the best (Breiman et al. 1984, 3.4.3)."""
    if not rows:
        return None
    best = max(rows, key=lambda row: row.gain)
    enough = best.gain - (best.error if math.isfinite(best.error) else 0.0)
    return min(row.count for row in rows if row.gain >= enough)


def tells_something(rows: Sequence[CountRow], sources: int = 0) -> bool:
    """True where the best count's gain is above 0 and above that of permuted sounds, beyond what chance explains.

    At 2.5 % for all counts together (Bonferroni), with the errors of a table that tells nothing; `sources` as in
    `interval`.
    """
    if not rows:
        return False
    best, z = max(rows, key=lambda row: row.gain), _reach(0.025 / len(rows), sources)
    if not (math.isfinite(best.error) and math.isfinite(best.permuted_error)):
        return False
    own, both = NULL_INFLATION * best.error, NULL_INFLATION * math.hypot(best.error, best.permuted_error)
    return best.gain > z * own and best.gain - best.permuted > z * both


def interval(value: float, error: float, sources: int = 0) -> tuple[float, float]:
    """95 % interval; Student's where the error is that of so many `sources`, the normal one for 0."""
    reach = _reach(0.025, sources) * error
    return value - reach, value + reach


def _reach(tail: float, sources: int) -> float:
    """Standard errors beyond which lies a share `tail`; an error of few sources is itself not well known."""
    from scipy.stats import norm, t  # (half a second, which commands of other things need not wait for)

    return float(t.isf(tail, sources - 1) if sources > 1 else norm.isf(tail))


def check_counts(counts: Sequence[int] | str) -> tuple[int, ...]:
    """Different whole numbers in rising order; a text holds them separated by commas. Raises `InputError`."""
    given = [item.strip() for item in counts.split(",") if item.strip()] if isinstance(counts, str) else list(counts)
    try:
        found = sorted({int(item) for item in given})
    except (TypeError, ValueError):
        found = []
    if not found or len(found) > 30 or found[0] < COUNT_MIN or found[-1] > COUNT_MAX:
        raise InputError(
            f"{counts!r} are no counts of clusters.",
            hint=f"Give one to thirty whole numbers from {COUNT_MIN} to {COUNT_MAX}, such as 8,32,128.",
        )
    return tuple(found)


# -- reading -----------------------------------------------------------------------------------------------------------


def key_of(layer: str) -> str:
    """Key of a layer's study."""
    return f"{PREFIX}{layer}"


def studies(workspace: Workspace) -> dict[str, Study]:
    """Finished studies by layer. Raises `WorkspaceError` for a damaged one."""
    keys = [key for key in workspace.keys("evaluations") if key.startswith(PREFIX)]
    return {key.removeprefix(PREFIX): found for key in keys if (found := read_study(workspace, key)) is not None}


def read_study(workspace: Workspace, key: str) -> Study | None:
    """The study called `key`, or None."""
    artefact = workspace.artefact(key)
    if artefact is None:
        return None
    info = artefact.info
    try:
        rows = tuple(map(read_row, info["rows"]))
        added = Added(**info["added"]) if info["added"] else None
        return Study(
            str(info["layer"]), str(info["modality"]), int(info["clips"]), int(info["sources"]), int(info["seeds"]),
            dict(info["partners"]), rows, tuple(info["left_out"]), added, float(info["seconds"]),
            tuple(info["notices"]), _is_stale(workspace, artefact),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(workspace, artefact, error) from error


def read_row(record: Mapping[str, Any]) -> CountRow:
    """A row as JSON keeps it."""
    return CountRow(**{field.name: _number(record[field.name]) for field in fields(CountRow)})


def read_trial(workspace: Workspace) -> Trial | None:
    """The last trial of counts, or None."""
    artefact = workspace.artefact(TRIAL_KEY)
    if artefact is None:
        return None
    info = artefact.info
    try:
        layers = tuple(TrialLayer(**{f.name: _number(row[f.name]) for f in fields(TrialLayer)})
                       for row in info["layers"])  # fmt: skip
        difference = tuple(float(x) for x in info["difference"]) if info["difference"] else None
        return Trial(
            int(info["clips"]), int(info["sources"]), layers, _number(info["gain"]), _number(info["error"]),
            _number(info["permuted"]), info["present"], difference, dict(info["counts"]),  # type: ignore[arg-type]
            float(info["seconds"]), tuple(info["notices"]), _is_stale(workspace, artefact),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(workspace, artefact, error) from error


def as_json(value: Any) -> Any:
    """Rows as JSON has them: dictionaries, and nothing for NaN."""
    if hasattr(value, "__dataclass_fields__"):
        return as_json(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    return float("nan") if value is None else value


def _is_stale(workspace: Workspace, artefact: Artefact) -> bool:
    """True where the clips, or an input whose fingerprint was noted, are others now."""
    made_of = artefact.info.get(CLIPS_FINGERPRINT)
    if made_of is not None and made_of != workspace.fingerprint("clips"):
        return True
    return any(workspace.fingerprint(key) != was for key, was in dict(artefact.info.get("inputs", {})).items())


def _damaged(workspace: Workspace, artefact: Artefact, error: Exception) -> WorkspaceError:
    place = workspace.artefact_path(artefact.key)
    return WorkspaceError(f"{place} is damaged ({error}).", hint=f"Remove the folder {place} and run it again.")
