"""features: clips -> features/<extractor>/<layer>/part-*.npy (and measures/...), decoded once for all extractors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import read_json, replacing, write_array, write_json
from curation.checkpoint import Checkpoint
from curation.config import Config
from curation.early import EarlyFeatures, matched
from curation.errors import InputError
from curation.extractors.base import Extractor
from curation.extractors.chosen import chosen, numbers_of
from curation.extractors.network import NetworkExtractor
from curation.extractors.together import measured
from curation.extractors.weights import MissingWeightsError
from curation.media.sandbox import Sandbox
from curation.media.unchanged import only_unchanged
from curation.records import FAILURES, clip_keys, real_path
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

ROWS_PER_PART = 1024
CLIPS_PER_TASK = 24  # a long film is spread over the workers; files that are measured together have so many
GPU_PROCESSES = 4  # each holds its networks on the device; while one decodes another computes


class FeaturesStage(Stage):
    """Measure each clip's sound and picture at several layers."""

    name = "features"
    version = 2
    unit = "clips"
    makes = "features"
    decodes = True

    def look(self, workspace: Workspace) -> None:
        """Get trained weights that are missing, if settings allow it: fingerprints hold their hashes."""
        if workspace.artefact("clips") is not None:
            config = workspace.config
            for extractor in extractors_of(config, fetch=config.features.fetch_weights).values():
                extractor.prepare()

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        clips = workspace.require("clips", "segment")
        found = extractors_of(config).values()
        if not config.features.fetch_weights:
            for extractor in found:
                if not (state := extractor.available()).ready:
                    raise MissingWeightsError(state.missing)
        return [Target(key_of(e), self.fingerprint(numbers_of(e), [clips.fingerprint])) for e in found]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return FeaturesWork(context, targets)

    def settle(self, workspace: Workspace, targets: list[Target]) -> None:
        """What was measured with the shots has been taken."""
        EarlyFeatures.of(workspace.path).drop()


class FeaturesWork(Work):
    """1,024 rows a part: files are decoded in parallel, then every layer of the part is written."""

    def __init__(self, context: StageContext, targets: list[Target]) -> None:
        self._context = context
        workspace = context.workspace
        by_key = {target.key: target for target in targets}
        wanted = {s: e for s, e in extractors_of(context.config).items() if key_of(e) in by_key}
        self._spelled = {extractor.name: spelled for spelled, extractor in wanted.items()}
        self._extractors = {extractor.name: extractor for extractor in wanted.values()}
        self._targets = {name: by_key[key_of(extractor)] for name, extractor in self._extractors.items()}
        self._folders = {n: workspace.partial_folder(t.key, t.fingerprint) for n, t in self._targets.items()}
        # What the parts say of themselves lies beside the artefact, so that it is not in it when it is put in place.
        self._notes = {n: workspace.partial_folder(t.key, f"notes-{t.fingerprint}") for n, t in self._targets.items()}
        self._run_id = fingerprint_of(sorted(target.fingerprint for target in targets))
        self._clips_fingerprint = workspace.require("clips", "segment").fingerprint
        self._clips = workspace.table("clips").to_pylist()
        self._known = {name: EarlierFeatures(workspace, extractor) for name, extractor in self._extractors.items()}
        self._early = EarlyFeatures.of(workspace.path).index()
        self._paths, self._scanned = _files(workspace)
        starts = range(0, len(self._clips), ROWS_PER_PART)
        self.parts = [
            Part(
                i,
                min(ROWS_PER_PART, len(self._clips) - start),
                (start, min(start + ROWS_PER_PART, len(self._clips))),
            )
            for i, start in enumerate(starts)
        ]
        self._sandbox: Sandbox | None = None

    def is_done(self, part: Part) -> bool:
        return all(self._marker(name, part).is_file() for name in self._extractors)

    def run(self, part: Part) -> None:
        rows = _Rows(self._extractors, part.payload[0], part.size)
        checkpoint = Checkpoint(next(iter(self._notes.values())) / f"begun-{part.index:06d}.npz", self._run_id)
        if (begun := checkpoint.load()) is not None:
            rows.restore(begun)
        else:
            keys = clip_keys([clip["clip_id"] for clip in self._clips[rows.first : rows.first + part.size]])
            for name, extractor in self._extractors.items():
                rows.fill(name, keys, self._known[name].fill)
                rows.fill(name, keys, partial(self._early.fill, name, fingerprint_of(numbers_of(extractor))))
        payloads = self._payloads(rows)
        self._context.progress.advance(part.size - rows.n_open, finished_before=True)
        if payloads:
            outcomes = measured(self._workers(), payloads, CLIPS_PER_TASK if self._on_gpu() else 1)
            for outcome in only_unchanged(outcomes, lambda found: self._scanned.get(found.payload["_video"])):
                self._context.progress.check_cancelled()
                before = rows.n_open
                rows.take(outcome)
                self._context.progress.advance(before - rows.n_open)
                if checkpoint.due():
                    checkpoint.save(rows.state())
        self._write(part, rows)
        checkpoint.drop()

    def finish(self) -> Report:
        report = Report()
        all_valid = np.ones(len(self._clips), bool)
        for name, target in self._targets.items():
            folder, extractor = self._folders[name], self._extractors[name]
            failures = [item for part in self.parts for item in read_json(self._marker(name, part))]
            valid = np.concatenate([np.load(self._valid_file(name, part)) for part in self.parts])
            if not valid.any() and extractor.kind == "features":
                codes = Counter(item["code"] for item in failures) or Counter({"no_signal": len(valid)})
                raise InputError(
                    f"No clip gave features of {name}: "
                    + ", ".join(f"{n} {code}" for code, n in codes.most_common(6))
                    + ".",
                    hint="Look at the files' reasons, or choose other extractors (features.extractors).",
                )
            write_array(folder / "valid.npy", valid)
            write_array(folder / "clip_keys.npy", clip_keys([clip["clip_id"] for clip in self._clips]))
            with replacing(folder / "failures.parquet") as temporary:
                pq.write_table(pa.Table.from_pylist(failures, FAILURES), temporary)
            info: dict[str, Any] = {
                CLIPS_FINGERPRINT: self._clips_fingerprint,
                "extractor": fingerprint_of(numbers_of(extractor)),
                "kind": extractor.kind,
                "modality": extractor.modality,
                "layers": {layer.name: layer.dim for layer in extractor.layers},
                "clips": len(valid),
                "valid": int(valid.sum()),
                "failures": dict(Counter(item["code"] for item in failures)),
            }
            self._context.workspace.commit_folder(target.key, folder, target.fingerprint, info)
            all_valid &= valid
            report.failures |= Counter(info["failures"])
        report.facts = {"clips": len(self._clips), "with_all_features": int(all_valid.sum())}
        return report

    def _payloads(self, rows: _Rows) -> list[dict[str, Any]]:
        """One decoding of a file for each set of extractors that still lack some of its clips."""
        groups: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for row, lacking in rows.lacking():
            groups.setdefault((self._clips[row]["video_id"], lacking), []).append(row)
        settings, device = self._context.config.features, self._context.config.resources.device
        payloads = []
        for (video, names), of_group in groups.items():
            for i in range(0, len(of_group), CLIPS_PER_TASK):
                chosen_rows = of_group[i : i + CLIPS_PER_TASK]
                segments = [[self._clips[row]["start_s"], self._clips[row]["end_s"]] for row in chosen_rows]
                slow_s = sum(self._extractors[name].seconds_a_clip for name in names) * len(segments)
                payloads.append(
                    {
                        "path": self._paths[video],
                        "segments": segments,
                        "extractors": [self._spelled[name] for name in names],
                        "options": {"weights_folder": settings.weights_folder, "device": device},
                        "_names": names,
                        "_video": video,
                        "_rows": chosen_rows,
                        "_time_limit_s": settings.time_limit_s + sum(end - start for start, end in segments) + slow_s,
                    }
                )
        return payloads

    def _write(self, part: Part, rows: _Rows) -> None:
        for name, layers in rows.layers.items():
            for layer, array in layers.items():
                write_array(self._folders[name] / layer / f"part-{part.index:06d}.npy", array)
        for name in self._extractors:
            write_array(self._valid_file(name, part), rows.valid[name])
        for name in self._extractors:
            write_json(self._marker(name, part), sorted(rows.failures[name], key=lambda failure: failure["row"]))

    def _workers(self) -> Sandbox:
        if self._sandbox is None:
            settings = self._context.config.features
            self._sandbox = self._context.sandbox(
                time_limit_s=settings.time_limit_s,
                memory_limit_mb=max(settings.memory_limit_mb, *(e.memory_mb for e in self._extractors.values())),
                most_workers=GPU_PROCESSES if self._on_gpu() else None,
            )
        return self._sandbox

    def _on_gpu(self) -> bool:
        """Are there networks, and a GPU for them? On the CPU clips are computed one by one: a file is a task."""
        if not any(isinstance(extractor, NetworkExtractor) for extractor in self._extractors.values()):
            return False
        from curation.extractors.torch_runner import usable  # torch takes a second to import

        return usable(self._context.config.resources.device).type == "cuda"

    def _marker(self, name: str, part: Part) -> Path:
        # Written last: its presence says that every file of the part is whole.
        return self._notes[name] / f"failures-{part.index:06d}.json"

    def _valid_file(self, name: str, part: Part) -> Path:
        return self._notes[name] / f"valid-{part.index:06d}.npy"


class _Rows:
    """A part in the making: layers (n, dim), valid and done (n,), and failures, of each extractor."""

    def __init__(self, extractors: Mapping[str, Extractor], first: int, n_rows: int) -> None:
        self.first = first
        self.layers = {
            name: {layer.name: np.zeros((n_rows, layer.dim), layer.dtype) for layer in extractor.layers}
            for name, extractor in extractors.items()
        }
        self.valid = {name: np.zeros(n_rows, bool) for name in extractors}
        self._done = {name: np.zeros(n_rows, bool) for name in extractors}
        self.failures: dict[str, list[dict[str, Any]]] = {name: [] for name in extractors}

    @property
    def n_open(self) -> int:
        """Rows that an extractor still lacks."""
        return int(np.sum(~np.logical_and.reduce(list(self._done.values()))))

    def lacking(self) -> list[tuple[int, tuple[str, ...]]]:
        """For each open row of the table the extractors that lack it."""
        names = list(self._done)
        done = np.stack([self._done[name] for name in names], axis=1)
        open_rows = np.flatnonzero(~done.all(axis=1)).tolist()
        return [(self.first + at, tuple(np.array(names)[~done[at]].tolist())) for at in open_rows]

    def fill(self, name: str, keys: np.ndarray, source: Callable[..., np.ndarray]) -> None:
        """Let `source(keys, layers, valid)` fill the open rows of one extractor: it returns which of them it had."""
        at = np.flatnonzero(~self._done[name])
        if not len(at):
            return
        layers = {
            layer: np.zeros((len(at), *array.shape[1:]), array.dtype) for layer, array in self.layers[name].items()
        }
        valid = np.zeros(len(at), bool)
        known = source(keys[at], layers, valid)
        rows = at[known]
        for layer, values in layers.items():
            self.layers[name][layer][rows] = values[known]
        self.valid[name][rows], self._done[name][rows] = valid[known], True

    def take(self, outcome: Any) -> None:
        """Put in what a worker measured, or why it could not."""
        rows, names = outcome.payload["_rows"], outcome.payload["_names"]
        at = np.asarray(rows) - self.first
        error = outcome.error
        errors = (
            [[index, error.code, error.message] for index in range(len(rows))]
            if error is not None
            else outcome.value["errors"]
        )
        failures = [{"row": rows[index], "code": code, "message": message} for index, code, message in errors]
        for name in names:
            self.failures[name] += failures
            self._done[name][at] = True
            if error is None:
                self.valid[name][at] = outcome.value[f"valid/{name}"].astype(bool)
                for layer, array in self.layers[name].items():
                    array[at] = outcome.value[f"{name}/{layer}"]

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays; `restore` takes it."""
        found: dict[str, np.ndarray] = {
            f"{name}/{layer}": array for name, layers in self.layers.items() for layer, array in layers.items()
        }
        found |= {f"valid/{name}": array for name, array in self.valid.items()}
        found |= {f"done/{name}": array for name, array in self._done.items()}
        return found | {"failures": np.array(json.dumps(self.failures))}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        for name, layers in self.layers.items():
            self.layers[name] = {layer: state[f"{name}/{layer}"] for layer in layers}
            self.valid[name], self._done[name] = state[f"valid/{name}"], state[f"done/{name}"]
        self.failures = json.loads(str(state["failures"]))


class EarlierFeatures:
    """Features of an earlier table of clips, by clip id: a clip that is still there is not measured again.

    Used only where they were made with the same version, settings, weights and decoding; what failed is tried anew.
    """

    def __init__(self, workspace: Workspace, extractor: Extractor) -> None:
        self._workspace, self._key = workspace, key_of(extractor)
        self._name, self._kind = extractor.name, extractor.kind
        found = workspace.artefact(self._key)
        folder = workspace.artefact_path(self._key)
        same = found is not None and found.info.get("extractor") == fingerprint_of(numbers_of(extractor))
        self._keys = np.zeros(0, np.uint64)
        if same and (folder / "clip_keys.npy").is_file():
            self._keys = np.asarray(workspace.array(self._key, "clip_keys"))
            failed = pq.read_table(folder / "failures.parquet", columns=["row"])["row"].to_numpy()
            self._usable = np.ones(len(self._keys), bool)
            self._usable[failed] = False
        self._order = np.argsort(self._keys, kind="stable")

    def fill(self, keys: np.ndarray, layers: Mapping[str, np.ndarray], valid: np.ndarray) -> np.ndarray:
        """Fill rows of `layers` (layer name -> (n, dim)) and `valid` (n,) of the clips with these keys (n,); bool (n,)
        says which were there."""
        rows = matched(self._keys, keys, self._order)
        known = rows >= 0
        known[known] = self._usable[rows[known]] if known.any() else False
        if known.any():
            read = self._workspace.measures if self._kind == "measures" else self._workspace.features
            for layer, out in layers.items():
                out[known] = read(self._name, layer, rows[known])
            valid[known] = np.asarray(self._workspace.array(self._key, "valid"))[rows[known]]
        return known


def extractors_of(config: Config, *, fetch: bool = False) -> dict[str, Extractor]:
    """The extractors that the settings name, by their names as spelled there."""
    settings = config.features
    return chosen(
        settings.extractors,
        settings.measures,
        fetch=fetch,
        weights_folder=settings.weights_folder,
        device=config.resources.device,
    )


def key_of(extractor: Extractor) -> str:
    """Where an extractor's result lies: features/<name> or measures/<name>."""
    return f"{extractor.kind}/{extractor.name}"


def _files(workspace: Workspace) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
    """Path by video_id, and size (bytes) and time (ns) of that file when it was scanned."""
    columns = ["video_id", "root", "path_bytes", "size_bytes", "mtime_ns"]
    roots, paths, scanned = workspace.roots, {}, {}
    for batch in workspace.table("videos", columns).to_batches(8192):
        for video in batch.to_pylist():
            paths[video["video_id"]] = real_path(roots[video["root"]], video["path_bytes"])
            scanned[video["video_id"]] = video["size_bytes"], video["mtime_ns"]
    return paths, scanned
