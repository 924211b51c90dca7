"""What workers run: a payload (a dict from the parent) in, a dict out, one function a task.

Payload keys: ready: none; probe: path, full_hash?; shots: path, threshold?, max_seconds?;
still: path, time_s, out, height?; proxy: path, start_s, end_s, out, height?, live?;
strip: path, start_s, end_s, out, width?; cut: path, start_s, end_s, out, mode?, tolerance_s?. Keys that start with "_"
belong to the caller and are ignored.
"""

from __future__ import annotations

import importlib
from typing import Any


def probe_file(payload: dict[str, Any]) -> dict[str, Any]:
    """`curation.media.probe.probe`."""
    from curation.media.probe import probe

    return probe(**_arguments(payload))


def find_shots(payload: dict[str, Any]) -> dict[str, Any]:
    """`curation.media.shots.shot_cuts`."""
    from curation.media.shots import shot_cuts

    return shot_cuts(**_arguments(payload))


def cut_still(payload: dict[str, Any]) -> dict[str, Any]:
    """`curation.media.stills.write_still`."""
    from curation.media.stills import write_still

    return write_still(**_arguments(payload))


def cut_proxy(payload: dict[str, Any]) -> dict[str, Any]:
    """`curation.media.proxy.write_proxy`."""
    from curation.media.proxy import write_proxy

    return write_proxy(**_arguments(payload))


def be_ready(_payload: dict[str, Any]) -> dict[str, Any]:
    """Load what the first proxy of a process would wait for."""
    importlib.import_module("curation.media.proxy")
    return {}


def cut_clip(payload: dict[str, Any]) -> dict[str, Any]:
    """`curation.media.cut.cut_clip`."""
    from curation.media.cut import cut_clip as cut

    return cut(**_arguments(payload))


def draw_strip(payload: dict[str, Any]) -> dict[str, Any]:
    """`curation.media.spectrogram.write_strip`."""
    from curation.media.spectrogram import write_strip

    return write_strip(**_arguments(payload))


def _arguments(payload: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if not key.startswith("_")}
