"""Payloads of the task `features`, one a file, in; their outcomes out, where files are measured together: clips of
several files share a batch of a network, and a file is decoded while another one's clips are computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from curation.media.sandbox import Outcome, Sandbox


def measured(sandbox: Sandbox, payloads: Sequence[dict[str, Any]], n_clips: int) -> Iterator[Outcome]:
    """One outcome for each payload, in any order; `index` counts the payloads.

    n_clips: neighbouring payloads for the same extractors go together until they have so many segments. Files that
    failed together (one of them crashed the process, or took too long) are measured again one by one, so that each
    costs itself alone.
    """
    groups = grouped(payloads, n_clips)
    again: list[int] = []
    for outcome in sandbox.imap("features", [joined([payloads[i] for i in group]) for group in groups]):
        group = groups[outcome.index]
        if len(group) == 1:
            yield dataclasses.replace(outcome, index=group[0])
        elif outcome.error is not None:
            again += group
        else:
            assert outcome.value is not None
            parts = split(outcome.value, [len(payloads[i]["segments"]) for i in group])
            for i, part in zip(group, parts, strict=True):
                yield Outcome(i, payloads[i], part, None)
    for outcome in sandbox.imap("features", [payloads[i] for i in again]):
        yield dataclasses.replace(outcome, index=again[outcome.index])


def grouped(payloads: Sequence[dict[str, Any]], n_clips: int) -> list[list[int]]:
    """Places of neighbouring payloads for the same extractors, with at most `n_clips` segments unless it is one."""
    groups: list[list[int]] = []
    room = 0
    for i, payload in enumerate(payloads):
        size = len(payload["segments"])
        if groups and size <= room and payload["extractors"] == payloads[groups[-1][0]]["extractors"]:
            groups[-1].append(i)
            room -= size
        else:
            groups.append([i])
            room = n_clips - size
    return groups


def joined(payloads: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One payload of several for the same extractors; a single one as it is."""
    if len(payloads) == 1:
        return payloads[0]
    files = [{"path": payload["path"], "segments": payload["segments"]} for payload in payloads]
    limit_s = sum(payload["_time_limit_s"] for payload in payloads)
    shared = {key: payloads[0][key] for key in ("extractors", "options")}
    return {"files": files, **shared, "_time_limit_s": limit_s}


def split(value: dict[str, Any], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """The value of each payload, of one that was joined; sizes: segments of each."""
    ends = np.cumsum(sizes).tolist()
    parts = []
    for end, size in zip(ends, sizes):
        first = end - size
        part = {key: array[first:end] for key, array in value.items() if key != "errors"}
        errors = [[index - first, *rest] for index, *rest in value["errors"] if first <= index < end]
        parts.append(part | {"errors": errors})
    return parts
