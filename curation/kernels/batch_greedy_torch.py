"""Batch-greedy on a torch device: the same `Plan` in, the same picks out as `batch_greedy`, pick by pick.

The loop stays on the device: draws are hashed there, tables live there, and scores are sums of the same int64
entries. What differs is only how a batch is drawn in parallel: many draws at once, those of taken clips and repeats
removed, the first b kept, which is what drawing one after another gives.
"""

from __future__ import annotations

import numpy as np
import torch

from curation.kernels.draws import GOLDEN_INT, MASK, MULTIPLIERS, STREAM_BATCHES, mix_int, stream_key
from curation.kernels.greedy_plan import (
    BATCH,
    HEAD,
    N_PICKED,
    REMAINING,
    SCORED,
    STOPPED,
    TAIL,
    USED_US,
    Plan,
    count_again,
    make_tables,
    plan_limits,
)
from curation.kernels.information import pair_information
from curation.kernels.pool import make_pool


def _signed(value: int) -> int:
    """The int64 with the same bits as an unsigned 64-bit number."""
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


def _shifted(z: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift of int64."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def hashes(key: int, start: int, count: int, device: torch.device | str) -> torch.Tensor:
    """Draws start .. start + count under `key`, int64 (count,) with the bits of `draws.hashed`."""
    # key + (j + 1) * GOLDEN, all modulo 2^64: int64 products wrap in the same way
    j = torch.arange(count, dtype=torch.int64, device=device)
    z = j * _signed(GOLDEN_INT) + _signed(key + (start + 1) * GOLDEN_INT)
    z = (z ^ _shifted(z, 30)) * _signed(MULTIPLIERS[0])
    z = (z ^ _shifted(z, 27)) * _signed(MULTIPLIERS[1])
    return z ^ _shifted(z, 31)


def bounded(h: torch.Tensor, size: int) -> torch.Tensor:
    """The uniform integers in [0, size) that `draws.bounded` gives for these hashes, rejected ones left out."""
    product = _shifted(h, 32) * size
    kept = (product & 0xFFFFFFFF) >= (1 << 32) % size
    return (product >> 32)[kept]


def _first_occurrences(values: torch.Tensor) -> torch.Tensor:
    """`values` without repeats, in order of first occurrence."""
    ordered, place = torch.sort(values, stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return values[torch.sort(place[first]).values]


class BatchGreedyTorch:
    """A run on a torch device ("cuda", or "cpu" in tests): call `step` until it says False."""

    def __init__(self, plan: Plan, device: str = "cuda") -> None:
        self.plan = plan
        self.device = device
        layout, tables = plan.layout, make_tables(plan)
        self._codes = self._put(plan.rows.codes)
        self._partner = self._put(plan.rows.partner) if len(plan.rows.partner) else None
        self._swapped = self._put(plan.rows.swapped)
        self._first, self._second = self._put(layout.first), self._put(layout.second)
        self._offset, self._stride = self._put(layout.offset[:-1]), self._put(layout.stride)
        self._layer_offset = self._put(layout.layer_offset[:-1])
        self._counts, self._layer_counts = self._put(tables.counts), self._put(tables.layer_counts)
        self._values, self._layer_values = self._put(tables.values), self._put(tables.layer_values)
        self._scale, self._g = self._put(tables.scale), self._put(tables.g)
        self._tables = tables
        scales = np.unique(tables.term_scale)
        counts = np.zeros((len(tables.term_start) - 1, len(scales)), np.int64)
        layer = np.repeat(np.arange(len(counts)), np.diff(tables.term_start))
        counts[layer, np.searchsorted(scales, tables.term_scale)] = tables.term_count
        self._term_scale, self._term_count = self._put(scales), self._put(counts)  # (U,), (D, U)
        self._start_pool()
        self._start_run()

    def _put(self, array: np.ndarray) -> torch.Tensor:
        """A copy on the device."""
        return torch.from_numpy(np.array(array)).to(self.device)

    def _start_pool(self) -> None:
        plan, n = self.plan, len(self.plan.rows.codes)
        pool, limits = make_pool(n, plan.excluded, plan.queue, plan.seed), plan_limits(plan)
        self._limits = limits
        taken = np.zeros(n, bool)
        taken[plan.excluded] = True
        self._taken = self._put(taken)  # by place in the universe; by clip with a queue
        self._universe: torch.Tensor | None = None
        self._ring = self._put(pool.ring.astype(np.int64)) if plan.queue else None
        self._head, self._waiting = 0, len(pool.ring)
        self._remaining = n - len(plan.excluded)

    def _start_run(self) -> None:
        plan = self.plan
        self._order = torch.empty(plan.budget, dtype=torch.int64, device=self.device)
        self._gain = torch.full((plan.budget,), float("nan"), dtype=torch.float64, device=self.device)
        kept = len(plan.rows.codes) if plan.keep_scores else 0
        self._scores = torch.full((kept,), float("nan"), dtype=torch.float64, device=self.device)
        self._key = stream_key(plan.seed, STREAM_BATCHES)
        self._n = self._batch = self._scored = self._used_us = 0
        self._stopped = False
        if len(plan.included):
            self._pick(self._put(plan.included.astype(np.int64)), None)

    @property
    def n_picked(self) -> int:
        """Clips picked so far."""
        return self._n

    @property
    def n_scored(self) -> int:
        """Clips compared so far, a clip once for each batch that it was in."""
        return self._scored

    def step(self, n_batches: int) -> bool:
        """Do up to `n_batches` batches. False when the run is finished."""
        plan = self.plan
        for _ in range(n_batches):
            remaining = self._remaining
            if self._n >= plan.budget or remaining == 0 or self._stopped:
                return False
            b, s = plan.batch_size, plan.selection_size
            if remaining < b:
                b, s = remaining, max(1, plan.selection_size * remaining // plan.batch_size)
            self._one_batch(b, min(s, plan.budget - self._n))
        return True

    def objective(self) -> float:
        """F of the clips picked so far, nats, from the running tables."""
        counts = (self._counts.cpu().numpy(), self._layer_counts.cpu().numpy())
        return float(pair_information(*counts, self.plan.layout, self._n) @ self.plan.weights)

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`order` int64 (s,), `gain` float64 (s,) nats, `scores` float64 (N,): see `greedy_plan.Run`."""
        n = self._n
        return self._order[:n].cpu().numpy(), self._gain[:n].cpu().numpy(), self._scores.cpu().numpy()

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs to go on in another process; the same names and bits as `BatchGreedy.state`."""
        none = torch.zeros(0, dtype=torch.int32)
        counters = np.zeros(8, np.int64)
        counters[[N_PICKED, BATCH, REMAINING, USED_US]] = self._n, self._batch, self._remaining, self._used_us
        counters[[SCORED, STOPPED]] = self._scored, self._stopped
        ring = none if self._ring is None else self._ring.to(torch.int32)
        if len(ring):
            counters[[HEAD, TAIL]] = self._head % len(ring), (self._head + self._waiting) % len(ring)
        universe = none if self._universe is None else self._universe.to(torch.int32)
        limits = self._limits
        return {
            "order": self._order[: self._n].cpu().numpy().copy(),
            "gain": self._gain[: self._n].cpu().numpy().copy(),
            "scores": self._scores.cpu().numpy().copy(),
            "counters": counters,
            "left": limits.left.copy(),
            "alive": np.packbits(limits.alive, bitorder="little"),
            "universe": universe.cpu().numpy().copy(),
            "taken": np.packbits(self._taken.cpu().numpy(), bitorder="little"),
            "ring": ring.cpu().numpy().copy(),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on where `state` was written, with the same plan. The tables are counted again from the picks."""
        counters = [int(value) for value in state["counters"]]
        self._n, self._batch, self._remaining = counters[N_PICKED], counters[BATCH], counters[REMAINING]
        self._used_us, self._scored = counters[USED_US], counters[SCORED]
        self._stopped = bool(counters[STOPPED])
        self._order[: self._n], self._gain[: self._n] = self._put(state["order"]), self._put(state["gain"])
        self._scores[:] = self._put(state["scores"])
        limits = self._limits
        limits.left[:] = state["left"]
        limits.alive[:] = np.unpackbits(state["alive"], count=len(limits.alive), bitorder="little")
        universe = state["universe"].astype(np.int64)
        self._universe = self._put(universe) if len(universe) else None
        size = len(universe) or len(self.plan.rows.codes)
        self._taken = self._put(np.unpackbits(state["taken"], count=size, bitorder="little").astype(bool))
        if self._ring is not None:
            self._ring = self._put(state["ring"].astype(np.int64))
            self._head = counters[HEAD]
            # A ring whose ends meet is full while clips remain
            self._waiting = (counters[TAIL] - self._head) % len(self._ring) or len(self._ring)
        count_again(self.plan, self._tables, state["order"])
        tables = self._tables
        self._counts, self._layer_counts = self._put(tables.counts), self._put(tables.layer_counts)
        self._values, self._layer_values = self._put(tables.values), self._put(tables.layer_values)

    def _one_batch(self, b: int, take: int) -> None:
        clip, place = self._from_queue(b) if self._ring is not None else self._draw(b)
        gains = self._score(clip)
        # Largest first, ties to the earlier draw
        best = torch.sort(gains, stable=True, descending=True).indices
        chosen = self._allowed(clip, best, take) if self._constrained else best[:take]
        g_n = float(self._tables.g[self._n]) * self._tables.unit
        nats = gains.to(torch.float64) * self._tables.gain_unit + g_n
        self._pick(clip[chosen], nats[chosen])
        if len(self._scores):
            self._scores[clip] = nats
        self._taken[place[chosen]] = True
        passed = torch.ones(b, dtype=torch.bool, device=self.device)
        passed[chosen] = False
        self._put_back(clip[passed], place[passed])
        self._batch += 1
        self._scored += b

    def _draw(self, b: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Clips of a batch and their places in the universe, whose bits are set."""
        size = len(self._taken)
        if size > self._remaining and (2 * self._remaining < size or 2 * b >= self._remaining):
            free = torch.nonzero(~self._taken).squeeze(1)
            self._universe = free if self._universe is None else self._universe[free]
            size = len(free)
            self._taken = torch.zeros(size, dtype=torch.bool, device=self.device)
        key = mix_int(self._key + (self._batch + 1) * GOLDEN_INT)
        if 2 * b >= size:
            place = torch.sort(_shifted(hashes(key, 0, size, self.device), 1), stable=True).indices[:b]
        else:
            place = self._draw_some(key, size, b)
        self._taken[place] = True
        return (place if self._universe is None else self._universe[place]), place

    def _draw_some(self, key: int, size: int, b: int) -> torch.Tensor:
        """The first b different free places that the draws under `key` give."""
        seen = torch.empty(0, dtype=torch.int64, device=self.device)
        start, count = 0, 2 * b + 32
        while len(seen) < b:
            at = bounded(hashes(key, start, count, self.device), size)
            seen = _first_occurrences(torch.cat([seen, at[~self._taken[at]]]))
            start += count
        return seen[:b]

    def _from_queue(self, b: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The next b clips of the queue that may still be taken."""
        for look in (min(2 * b, self._waiting), self._waiting):
            clip = self._ring_at(0, look)
            free = torch.nonzero(~self._taken[clip]).squeeze(1)[:b]
            if len(free) == b:
                break
        used = int(free[-1]) + 1
        self._head += used
        self._waiting -= used
        return clip[free], clip[free]

    def _ring_at(self, start: int, count: int, put: torch.Tensor | None = None) -> torch.Tensor:
        """Read (or write) places head + start ... of the ring."""
        assert self._ring is not None
        at = (self._head + start + torch.arange(count, device=self.device)) % len(self._ring)
        if put is not None:
            self._ring[at] = put
        return self._ring[at]

    def _score(self, clip: torch.Tensor) -> torch.Tensor:
        """Gain of each clip, in units, int64."""
        codes = self._codes_of(clip)
        gains = self._layer_values[self._layer_offset + codes].sum(1)
        return gains + self._values[self._cells(codes)].sum(1)

    def _codes_of(self, clip: torch.Tensor) -> torch.Tensor:
        codes = self._codes[clip].to(torch.int64)
        if self._partner is not None:
            other = self._codes[self._partner[clip].to(torch.int64)].to(torch.int64)
            codes = torch.where(self._swapped, other, codes)
        return codes

    def _cells(self, codes: torch.Tensor) -> torch.Tensor:
        return self._offset + codes[:, self._first] * self._stride + codes[:, self._second]

    def _pick(self, clip: torch.Tensor, nats: torch.Tensor | None) -> None:
        """Append the clips to the order, count them, and write the values that changed. `nats` None: clips that must
        be in.
        """
        end = self._n + len(clip)
        self._order[self._n : end] = clip
        if nats is not None:
            self._gain[self._n : end] = nats
        codes = self._codes_of(clip)
        cells, layer_cells = self._cells(codes), self._layer_offset + codes
        g = self._g[self._counted(self._counts, cells)]
        self._values[cells.reshape(-1)] = (self._scale * g + 0.5).to(torch.int64).reshape(-1)
        g = self._g[self._counted(self._layer_counts, layer_cells)]
        terms = (self._term_scale * g[:, :, None] + 0.5).to(torch.int64) * self._term_count
        self._layer_values[layer_cells.reshape(-1)] = -terms.sum(2).reshape(-1)
        self._n = end
        self._remaining -= len(clip)
        if nats is None:
            self._taken[clip] = True
            if self._constrained:
                for i in clip.tolist():
                    self._spend(i)

    def _counted(self, counts: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """Add 1 at each place of `at`, which may repeat; returns the new counts there, int64."""
        flat = at.reshape(-1)
        counts.index_add_(0, flat, torch.ones_like(flat, dtype=counts.dtype))
        return counts[at].to(torch.int64)

    def _put_back(self, clip: torch.Tensor, place: torch.Tensor) -> None:
        if len(self._limits.alive) and len(clip):
            alive = self._put(self._limits.alive[clip.cpu().numpy()] > 0)
            clip, place = clip[alive], place[alive]
        if self._ring is not None:
            self._ring_at(self._waiting, len(clip), put=clip)
            self._waiting += len(clip)
        else:
            self._taken[place] = False

    @property
    def _constrained(self) -> bool:
        return len(self._limits.alive) > 0 or len(self._limits.duration_us) > 0

    def _allowed(self, clip: torch.Tensor, best: torch.Tensor, take: int) -> torch.Tensor:
        """Places in the batch of the best `take` clips that the constraints allow (walked on the host)."""
        limits = self._limits
        places: list[int] = []
        clips = clip.cpu().numpy()
        for j in best.tolist():
            if len(places) == take:
                break
            i = int(clips[j])
            if len(limits.alive) and not limits.alive[i]:
                continue
            if len(limits.duration_us) and self._used_us + int(limits.duration_us[i]) > limits.limit_us:
                self._stopped = True
                break
            self._spend(i)
            places.append(j)
        return torch.tensor(places, dtype=torch.int64, device=self.device)

    def _spend(self, clip: int) -> None:
        """Charge one picked clip to its labels and to the hours; the clips of a full label leave the pool."""
        limits = self._limits
        if len(limits.duration_us):
            self._used_us += int(limits.duration_us[clip])
        if not len(limits.alive):
            return
        limits.alive[clip] = 0
        for f in range(len(limits.offset) - 1):
            own = int(limits.label[f, clip])
            if own < 0:
                continue
            at = int(limits.offset[f]) + own
            limits.left[at] -= 1
            if limits.left[at] == 0:
                members = limits.member[limits.start[at] : limits.start[at + 1]]
                members = members[limits.alive[members] > 0]
                limits.alive[members] = 0
                self._remaining -= len(members)
                self._block(self._put(members.astype(np.int64)))

    def _block(self, clips: torch.Tensor) -> None:
        """Set the bits of clips, wherever they stand in the universe."""
        if self._universe is not None:
            at = torch.searchsorted(self._universe, clips).clamp(max=len(self._universe) - 1)
            clips = at[self._universe[at] == clips]
        self._taken[clips] = True
