"""Constraints as a person gives them in, quotas for a budget out; what contradicts itself is refused before work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.checks import check_whole
from curation.errors import InputError, SettingError
from curation.kernels.quotas import NO_CAP, Quotas, family, joined_quotas

_SHOWN = 12  # values named in a message


@dataclass(frozen=True)
class Bound:
    """A number of clips, or a share of the chosen ones."""

    value: float
    is_share: bool

    def clips(self, size: int, upward: bool) -> int:
        """In clips of `size` chosen ones; a share is rounded so that it holds."""
        if not self.is_share:
            return int(self.value)
        exact = self.value * size
        return int(np.ceil(exact - 1e-9)) if upward else int(np.floor(exact + 1e-9))


@dataclass(frozen=True)
class Family:
    """One way to label the clips, and how many of each label may and must be chosen."""

    what: str  # for messages: "clustering 'sound.logmel'"
    setting: str  # the keyword it came from, for messages
    label: np.ndarray  # int32 (N,), -1 = none
    kinds: list[str]  # what each label is, for messages
    cap: dict[int, Bound]
    floor: dict[int, Bound]
    cap_of_all: Bound | None = None  # of every label that `cap` does not name

    def quotas(self, size: int) -> Quotas:
        """Caps and floors in clips for `size` chosen ones."""
        rest = NO_CAP if self.cap_of_all is None else self.cap_of_all.clips(size, upward=False)
        cap = np.full(len(self.kinds), rest)
        floor = np.zeros(len(self.kinds), np.int64)
        for at, bound in self.cap.items():
            cap[at] = bound.clips(size, upward=False)
        for at, bound in self.floor.items():
            floor[at] = bound.clips(size, upward=True)
        return family(self.label, cap, floor)

    @property
    def has_share(self) -> bool:
        """Whether a bound depends on the size."""
        return any(bound.is_share for bound in [*self.cap.values(), *self.floor.values()])


def check_groups(groups: Any, n_rows: int) -> np.ndarray:
    """Sources as int32 (N,) from 0 up; empty where none are given."""
    if groups is None:
        return np.zeros(0, np.int32)
    values = np.asarray(groups)
    if values.shape != (n_rows,):
        raise InputError(
            f"groups has the shape {values.shape}, for {n_rows} clips.", hint="Give the source of every clip."
        )
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise InputError(
            f"groups has no value (NaN) for {int(np.isnan(values).sum())} of {n_rows} clips.",
            hint="Give every clip a source; one of its own where it is not known.",
        )
    if values.dtype == object:
        values = values.astype(str)
    return np.unique(values, return_inverse=True)[1].astype(np.int32)


def check_durations(durations_s: Any, n_rows: int) -> np.ndarray:
    """Durations as int64 microseconds (N,)."""
    if durations_s is None:
        raise SettingError("A budget of hours needs durations_s.", hint="Pass the duration of every clip, in seconds.")
    try:
        seconds = np.asarray(durations_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"durations_s is not a list of numbers: {error}.") from error
    if seconds.shape != (n_rows,):
        raise InputError(f"durations_s has the shape {seconds.shape}, for {n_rows} clips.")
    bad = ~(np.isfinite(seconds) & (seconds > 0) & (seconds < 1e9))
    if bad.any():
        raise InputError(f"durations_s is not a positive number of seconds in {int(bad.sum())} of {n_rows} rows.",
                         hint=f"The first is row {int(np.argmax(bad))}.")  # fmt: skip
    return np.rint(seconds * 1e6).astype(np.int64)


def group_family(group: np.ndarray, max_per_group: Any) -> Family | None:
    """At most `max_per_group` clips of one source."""
    if max_per_group is None:
        return None
    limit = check_whole("max_per_group", max_per_group, 1, 2**31 - 1)
    if not len(group):
        raise SettingError("max_per_group needs groups.", hint="Pass the source of every clip as groups.")
    n = int(group.max()) + 1
    return Family("group", "max_per_group", group, [""] * n, {}, {}, Bound(limit, False))


def duplicate_family(duplicate_groups: Any, n_rows: int) -> Family | None:
    """At most one clip of a duplicate group; below 0, empty or None = not a duplicate."""
    if duplicate_groups is None:
        return None
    label = _labels("duplicate_groups", duplicate_groups, n_rows)[0]
    values = np.asarray(duplicate_groups)
    if np.issubdtype(values.dtype, np.number):
        label = np.where(values >= 0, label, -1).astype(np.int32)
    elif values.dtype.kind in "OUS":
        label = np.where(values.astype(str) == "", -1, label).astype(np.int32)
    n = int(label.max(initial=-1)) + 1
    if not n:
        return None
    return Family("duplicate group", "duplicate_groups", label, [""] * n, {}, {}, Bound(1, False))


def cluster_families(
    floor: Any, cap: Any, codes: np.ndarray, names: Sequence[str], n_clusters: np.ndarray
) -> list[Family]:
    """`{clustering: bound}` for each of its clusters, or `{clustering: {cluster: bound}}`."""
    sides = {"cluster_floor": floor, "cluster_cap": cap}
    wanted = {setting: _mapping(setting, value, "clustering") for setting, value in sides.items()}
    found = []
    for name in dict.fromkeys([str(key) for side in wanted.values() for key in side]):
        setting = next(setting for setting, side in wanted.items() if name in side)
        if name not in names:
            raise SettingError(
                f"{setting} names {name!r}, which is no clustering.", hint=f"Allowed: {', '.join(names)}."
            )
        d = list(names).index(name)
        size = int(n_clusters[d])
        bounds = {}
        for side, given in wanted.items():
            value = given.get(name, {})
            items = value if isinstance(value, Mapping) else dict.fromkeys(range(size), value)
            for cluster in items:
                if isinstance(cluster, bool) or not isinstance(cluster, (int, np.integer)) or not 0 <= cluster < size:
                    raise SettingError(f"{side} names cluster {cluster!r} of {name!r}.",
                                       hint=f"Allowed: 0 to {size - 1}.")  # fmt: skip
            bounds[side] = {int(k): _bound(side, v) for k, v in items.items()}
        kinds = [f"cluster {k}" for k in range(size)]
        found.append(Family(f"clustering {name!r}", setting, codes[:, d].astype(np.int32), kinds,
                            bounds["cluster_cap"], bounds["cluster_floor"]))  # fmt: skip
    return found


def share_families(floor: Any, cap: Any, columns: Any, n_rows: int) -> list[Family]:
    """`{column: {value: share}}`, with the column's values in `columns`."""
    sides = {"share_floor": floor, "share_cap": cap}
    wanted = {setting: _mapping(setting, value, "column") for setting, value in sides.items()}
    columns = {} if columns is None else columns
    found = []
    for name in dict.fromkeys([key for side in wanted.values() for key in side]):
        setting = next(setting for setting, side in wanted.items() if name in side)
        if name not in columns:
            raise SettingError(
                f"{setting} names the column {name!r}, whose values are not given.",
                hint=f"Pass columns={{{name!r}: values}}; given: {', '.join(map(str, columns)) or 'none'}.",
            )
        label, values = _labels(f"columns[{name!r}]", columns[name], n_rows)
        bounds: dict[str, dict[int, Bound]] = {side: {} for side in sides}
        for side, given in wanted.items():
            for value, bound in _mapping(side, given.get(name), "value").items():
                at = _place(values, value)
                if at is None:
                    if set(values) <= {True, False} and value in (True, False):
                        values.append(bool(value))  # a yes-no column that happens to be all yes or all no
                        at = len(values) - 1
                    else:
                        shown = ", ".join(repr(v) for v in values[:_SHOWN]) + (" ..." if len(values) > _SHOWN else "")
                        raise SettingError(f"{side} names the value {value!r} of {name!r}, which no clip has.",
                                           hint=f"Its values: {shown}.")  # fmt: skip
                bounds[side][at] = _bound(side, bound, share_only=True)
        found.append(Family(f"column {name!r}", setting, label, [repr(v) for v in values], bounds["share_cap"],
                            bounds["share_floor"]))  # fmt: skip
    return found


def fitted_budget(
    families: Sequence[Family], wanted: int, included: np.ndarray, excluded: np.ndarray, notices: list[str]
) -> int:
    """The largest budget up to `wanted` that every family leaves room for. SettingError where none does, where a floor
    is above its cap or above the clips there are, where floors are more than the budget, or included clips above a cap.
    """
    size = wanted
    for _ in range(10_000):
        rooms = [(_room(item, size, excluded), item) for item in families]
        room, tightest = min(rooms, key=lambda pair: pair[0], default=(size, None))
        if room >= size or tightest is None:
            break
        if room == 0:
            raise SettingError(f"{tightest.setting} leaves no room for any clip.", hint="Raise the cap.")
        if tightest.setting == "max_per_group":
            limit = int(tightest.cap_of_all.value) if tightest.cap_of_all else 0
            notices.append(
                f"At most {limit} clips a group leave {room} of the {size} clips asked for: {room} are taken."
            )
        size = room
    if size < wanted and not any("clips asked for" in notice for notice in notices):
        notices.append(f"{tightest.setting if tightest else 'The caps'} and the clips there are leave {size} of the "
                       f"{wanted} clips asked for: {size} are taken.")  # fmt: skip
    for item in families:
        _check_family(item, families, size, included, excluded)
    if len(included) > size:
        raise SettingError(f"{len(included)} clips are included, more than the {size} that the caps leave.")
    return size


def quotas_of(families: Sequence[Family], size: int) -> Quotas:
    """All families as quotas for `size` chosen clips."""
    return joined_quotas([item.quotas(size) for item in families])


def _room(item: Family, size: int, excluded: np.ndarray) -> int:
    """Clips that one family leaves room for."""
    counts, free = _available(item, excluded)
    return free + int(np.minimum(counts, np.maximum(item.quotas(size).cap, 0)).sum())


def _available(item: Family, excluded: np.ndarray) -> tuple[np.ndarray, int]:
    """Candidates of each label, int64 (L,), and without one."""
    label = np.delete(item.label, excluded) if len(excluded) else item.label
    inside = label[label >= 0]
    return np.bincount(inside, minlength=len(item.kinds)), len(label) - len(inside)


def _check_family(
    item: Family, families: Sequence[Family], size: int, included: np.ndarray, excluded: np.ndarray
) -> None:
    quotas = item.quotas(size)
    chosen = item.label[included]
    over = np.bincount(chosen[chosen >= 0], minlength=len(item.kinds)) > quotas.cap
    if over.any():
        if item.setting == "max_per_group":
            limit = int(quotas.cap[np.argmax(over)])
            raise SettingError(f"The included clips hold more than max_per_group={limit} clips of one group.")
        raise SettingError(f"The included clips hold more of {_named(item, int(np.argmax(over)))} than its cap of "
                           f"{int(quotas.cap[np.argmax(over)])} clips.")  # fmt: skip
    if not quotas.floor.any():
        return
    counts, _ = _available(item, excluded)
    for at in np.flatnonzero(quotas.floor).tolist():
        floor = int(quotas.floor[at])
        if floor > quotas.cap[at]:
            raise SettingError(f"The floor of {floor} clips of {_named(item, at)} is above its cap of "
                               f"{int(quotas.cap[at])} clips.", hint="Lower the floor or raise the cap.")  # fmt: skip
        if floor > counts[at]:
            raise SettingError(f"The floor of {floor} clips of {_named(item, at)} cannot be kept: "
                               f"{int(counts[at])} candidates have it.", hint="Lower the floor.")  # fmt: skip
        candidates = np.flatnonzero(item.label == at)
        candidates = np.setdiff1d(candidates, excluded)
        for other in families:
            if other is item:
                continue
            label = other.label[candidates]
            room = int((label < 0).sum()) + int(
                np.minimum(np.bincount(label[label >= 0], minlength=len(other.kinds)), other.quotas(size).cap).sum()
            )
            if room < floor:
                raise SettingError(
                    f"The floor of {floor} clips of {_named(item, at)} contradicts {other.setting}, which leaves room "
                    f"for {room} of them.",
                    hint="Lower the floor or raise the cap.",
                )
    if quotas.floor.sum() > size:
        raise SettingError(
            f"The floors of {item.what} add up to {int(quotas.floor.sum())} clips, more than the budget of {size}.",
            hint="Lower the floors or raise the budget.",
        )


def _named(item: Family, at: int) -> str:
    return f"{item.what}, {item.kinds[at]}" if item.kinds[at] else item.what


def _mapping(setting: str, value: Any, key: str) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingError(
            f"{setting}={value!r} cannot be used.", hint=f"Allowed: a dictionary with one entry a {key}."
        )
    return value


def _bound(setting: str, value: Any, share_only: bool = False) -> Bound:
    hint = "Allowed: shares from 0 to 1." if share_only else "Allowed: shares (0.1), or whole numbers of clips (20)."
    refusal = SettingError(f"{setting} has the bound {value!r}.", hint=hint)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise refusal
    if isinstance(value, (int, np.integer)) and not share_only:
        if value < 0:
            raise refusal
        return Bound(int(value), False)
    if not 0 <= value <= 1:
        raise refusal
    return Bound(float(value), True)


def _labels(name: str, values: Any, n_rows: int) -> tuple[np.ndarray, list[Any]]:
    """Label of every clip int32 (N,), -1 where it has no value (None, NaN), and the different values."""
    array = np.asarray(values)
    if array.shape != (n_rows,):
        raise InputError(f"{name} has the shape {array.shape}, for {n_rows} clips.", hint="Give one value a clip.")
    if array.dtype == object:
        places: dict[Any, int] = {}
        label = np.empty(n_rows, np.int32)
        for i, value in enumerate(array.tolist()):
            label[i] = -1 if value is None or value != value else places.setdefault(value, len(places))
        return label, list(places)
    kinds, inverse = np.unique(array, return_inverse=True)
    label = inverse.astype(np.int32)
    if kinds.dtype.kind == "f" and len(kinds) and np.isnan(kinds[-1]):
        label[label == len(kinds) - 1] = -1
        kinds = kinds[:-1]
    return label, kinds.tolist()


def _place(values: list[Any], wanted: Any) -> int | None:
    """Where `wanted` stands among values, of the same type family: True is not "True"."""
    for at, value in enumerate(values):
        if value == wanted and isinstance(value, (bool, np.bool_)) == isinstance(wanted, (bool, np.bool_)):
            return at
    return None
