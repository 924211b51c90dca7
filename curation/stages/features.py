"""features: clips -> features/<extractor>/<layer>/part-*.npy, each clip decoded once for all extractors."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import read_json, replacing, write_array, write_json
from curation.config import Config
from curation.errors import InputError
from curation.extractors import registry
from curation.media.sandbox import Sandbox
from curation.records import FAILURES, real_path
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

ROWS_PER_PART = 1024
CLIPS_PER_TASK = 24  # a long film is spread over the workers


class FeaturesStage(Stage):
    """Measure each clip's sound and picture at several layers."""

    name = "features"
    version = 1
    unit = "clips"
    makes = "features"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        clips = workspace.require("clips", "segment")
        return [
            Target(f"features/{name}", self.fingerprint(registry.get(name).fingerprint(), [clips.fingerprint]))
            for name in extractor_names(config)
        ]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return FeaturesWork(context, targets)


class FeaturesWork(Work):
    """1,024 rows a part: files are decoded in parallel, then every layer of the part is written."""

    def __init__(self, context: StageContext, targets: list[Target]) -> None:
        self._context = context
        self._extractors = {target.key.partition("/")[2]: target for target in targets}
        self._folders = {
            name: context.workspace.partial_folder(target.key, target.fingerprint)
            for name, target in self._extractors.items()
        }
        # What the parts say of themselves lies beside the artefact, so that it is not in it when it is put in place.
        self._notes = {
            name: context.workspace.partial_folder(target.key, f"notes-{target.fingerprint}")
            for name, target in self._extractors.items()
        }
        self._clips_fingerprint = context.workspace.require("clips", "segment").fingerprint
        self._clips = context.workspace.table("clips").to_pylist()
        self._known = KnownFeatures(context.workspace, list(self._extractors))
        self._paths = _paths(context.workspace)
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
        first, last = part.payload
        arrays = {
            f"{name}/{layer.name}": np.zeros((last - first, layer.dim), np.float16)
            for name in self._extractors
            for layer in registry.get(name).layers
        }
        valid = {name: np.zeros(last - first, bool) for name in self._extractors}
        failures: list[dict[str, Any]] = []
        known = self._known.copy_into(arrays, [clip["clip_id"] for clip in self._clips[first:last]])
        for name in valid:
            valid[name] |= known
        self._context.progress.advance(int(known.sum()), finished_before=True)
        for outcome in self._workers().imap("features", self._payloads(first + np.flatnonzero(~known))):
            self._context.progress.check_cancelled()
            rows = outcome.payload["_rows"]
            at = np.asarray(rows) - first
            if outcome.error is not None:
                failures += [{"row": row, "code": outcome.error.code, "message": outcome.error.message} for row in rows]
            elif outcome.value is not None:
                for key in arrays:
                    arrays[key][at] = outcome.value[key]
                for name in valid:
                    valid[name][at] = outcome.value[f"valid/{name}"].astype(bool)
                failures += [
                    {"row": rows[index], "code": code, "message": message}
                    for index, code, message in outcome.value["errors"]
                ]
            self._context.progress.advance(len(rows))
        self._write(part, arrays, valid, sorted(failures, key=lambda failure: failure["row"]))

    def finish(self) -> Report:
        report = Report()
        all_valid = np.ones(len(self._clips), bool)
        for name, target in self._extractors.items():
            folder = self._folders[name]
            failures = [item for part in self.parts for item in read_json(self._marker(name, part))]
            valid = np.concatenate([np.load(self._valid_file(name, part)) for part in self.parts])
            if not valid.any():
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
            extractor = registry.get(name)
            info: dict[str, Any] = {
                CLIPS_FINGERPRINT: self._clips_fingerprint,
                "extractor": fingerprint_of(extractor.fingerprint()),
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

    def _payloads(self, wanted: np.ndarray) -> list[dict[str, Any]]:
        by_video: dict[str, list[int]] = {}
        for row in wanted.tolist():
            by_video.setdefault(self._clips[row]["video_id"], []).append(row)
        limit_s = self._context.config.features.time_limit_s
        payloads = []
        for video, rows in by_video.items():
            for i in range(0, len(rows), CLIPS_PER_TASK):
                chosen = rows[i : i + CLIPS_PER_TASK]
                segments = [[self._clips[row]["start_s"], self._clips[row]["end_s"]] for row in chosen]
                payloads.append(
                    {
                        "path": self._paths[video],
                        "segments": segments,
                        "extractors": list(self._extractors),
                        "_rows": chosen,
                        "_time_limit_s": limit_s + sum(end - start for start, end in segments),
                    }
                )
        return payloads

    def _write(
        self,
        part: Part,
        arrays: dict[str, np.ndarray],
        valid: dict[str, np.ndarray],
        failures: list[dict[str, Any]],
    ) -> None:
        for key, array in arrays.items():
            name, _, layer = key.partition("/")
            write_array(self._folders[name] / layer / f"part-{part.index:06d}.npy", array)
        for name in self._extractors:
            write_array(self._valid_file(name, part), valid[name])
        for name in self._extractors:
            write_json(self._marker(name, part), failures)

    def _workers(self) -> Sandbox:
        if self._sandbox is None:
            settings = self._context.config.features
            self._sandbox = self._context.sandbox(
                time_limit_s=settings.time_limit_s, memory_limit_mb=settings.memory_limit_mb
            )
        return self._sandbox

    def _marker(self, name: str, part: Part) -> Path:
        # Written last: its presence says that every file of the part is whole.
        return self._notes[name] / f"failures-{part.index:06d}.json"

    def _valid_file(self, name: str, part: Part) -> Path:
        return self._notes[name] / f"valid-{part.index:06d}.npy"


class KnownFeatures:
    """Features of an earlier table of clips, by clip id: a clip that is still there is not measured again.

    Used only where all the extractors of this run made them with the same version, settings and weights.
    """

    def __init__(self, workspace: Workspace, extractors: list[str]) -> None:
        self._workspace = workspace
        self._extractors = extractors if all(_same_extractor(workspace, name) for name in extractors) else []
        self._keys = {name: np.asarray(workspace.array(f"features/{name}", "clip_keys")) for name in self._extractors}
        self._sorted = {name: np.argsort(keys, kind="stable") for name, keys in self._keys.items()}

    def copy_into(self, arrays: dict[str, np.ndarray], clip_ids: list[str]) -> np.ndarray:
        """Fill the rows of `arrays` known to all extractors; bool (n,) says which. Failed ones are tried anew."""
        known = np.full(len(clip_ids), bool(self._extractors))
        wanted = clip_keys(clip_ids)
        old_rows = {}
        for name in self._extractors:
            keys, order = self._keys[name], self._sorted[name]
            place = np.searchsorted(keys, wanted, sorter=order).clip(max=len(keys) - 1)
            old_rows[name] = order[place]
            valid = np.asarray(self._workspace.array(f"features/{name}", "valid"))
            known &= (keys[old_rows[name]] == wanted) & valid[old_rows[name]]
        if known.any():
            for key, array in arrays.items():
                name, _, layer = key.partition("/")
                array[known] = self._workspace.features(name, layer, old_rows[name][known])
        return known


def clip_keys(clip_ids: list[str]) -> np.ndarray:
    """uint64 (n,): the first eight bytes of a hash of each clip id."""
    digests = b"".join(hashlib.blake2b(clip.encode(), digest_size=8).digest() for clip in clip_ids)
    return np.frombuffer(digests, np.uint64)


def _same_extractor(workspace: Workspace, name: str) -> bool:
    found = workspace.artefact(f"features/{name}")
    if found is None or found.info.get("extractor") != fingerprint_of(registry.get(name).fingerprint()):
        return False
    return (workspace.artefact_path(f"features/{name}") / "clip_keys.npy").is_file() and found.info["clips"] > 0


def extractor_names(config: Config) -> list[str]:
    """Names in `features.extractors`, each known to the registry. Raises `SettingError` otherwise."""
    names = [name for name in config.features.extractors.split(",") if name]
    for name in names:
        registry.get(name)
    return names


def _paths(workspace: Workspace) -> dict[str, str]:
    videos = workspace.table("videos", ["video_id", "root", "path_bytes"]).to_pylist()
    return {video["video_id"]: real_path(workspace.roots[video["root"]], video["path_bytes"]) for video in videos}
