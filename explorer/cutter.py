"""What a browser is shown of a clip, cut by processes that may die: a span of a media file in, a kept file out.

Kinds: a still, a proxy that plays (also while it is cut), a strip of its sound and motion.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.media import spectrogram
from curation.media.sandbox import Sandbox
from curation.media.worker import NICE_VARIABLE
from explorer.media_cache import BoundedFolder

WAITED, AHEAD = 2, 3
"""Processes for what a person waits for, and for all else, which makes way for them."""
NICE = "10"
TIME_LIMIT_S = 30.0
MEMORY_LIMIT_MB = 2048
PROXY_MAX_S = 120.0
STILL_HEIGHT_PX = 180
PROXY_HEIGHT_PX = 360


@dataclass(frozen=True)
class Kind:
    """One kind of file: its task in a worker, its folder, suffix and content type."""

    task: str
    folder: str
    suffix: str
    content_type: str
    version: int = 1  # of what is drawn: files of another version are made anew


STILL = Kind("still", "stills", ".jpg", "image/jpeg")
PROXY = Kind("proxy", "proxies", ".mp4", "video/mp4")
STRIP = Kind("strip", "strips", ".png", "image/png", spectrogram.VERSION)


@dataclass(frozen=True)
class Span:
    """A piece of a media file that was checked and may be read."""

    path: str
    start_s: float
    end_s: float
    stamp: str  # size and time of the file: a changed file is another span


def file_name(kind: Kind, span: Span) -> str:
    """What the file of a span is called; another one for a file that changed, or when it would be drawn otherwise."""
    text = json.dumps([span.path, span.start_s, span.end_s, span.stamp, STILL_HEIGHT_PX, PROXY_HEIGHT_PX, kind.version])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest() + kind.suffix


def length_s(span: Span) -> float:
    """How long the proxy and the strip of a span are."""
    return min(span.end_s - span.start_s, PROXY_MAX_S)


class Cutter:
    """Resident processes that decode, started as they are needed; files are kept in bounded folders."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sandboxes: dict[bool, Sandbox] = {}
        self._folders: dict[Path, BoundedFolder] = {}
        self._growing: dict[str, Path] = {}

    def growing(self, name: str) -> Path | None:
        """Where a proxy that is being cut can be played from, by its name; None for one that is not."""
        return self._growing.get(name)

    def give_up(self, name: str) -> None:
        """End the cutting of a proxy, if it is being cut: its makers are told that it was cancelled."""
        place = self._growing.get(name)
        if place is not None:
            place.unlink(missing_ok=True)

    def cut(self, kind: Kind, span: Span, folder: BoundedFolder, *, waited: bool = False) -> Path:
        """The file of a span, made if it is not there; sooner if somebody waits for it. Raises `MediaError`, or
        `ConcordError` on a full disk.
        """
        return folder.get(file_name(kind, span), lambda out: self._make(kind, span, out, waited=waited))

    def folder(self, path: Path, limit_bytes: int) -> BoundedFolder:
        """The one `BoundedFolder` of this process for a path."""
        with self._lock:
            if len(self._folders) > 200:
                self._folders.clear()
            return self._folders.setdefault(path, BoundedFolder(path, limit_bytes))

    def call(self, task: str, payload: dict[str, Any], *, waited: bool = False) -> dict[str, Any]:
        """Run a task in a worker; blocks."""
        found = dict(self._sandbox(waited=waited).call(task, payload))
        if set(self._sandboxes) == {False}:  # a still was seen: a clip will be clicked next
            self._sandbox(waited=True).warm()
        return found

    def _sandbox(self, *, waited: bool) -> Sandbox:
        with self._lock:
            if not self._sandboxes:
                atexit.register(self.close)
            if waited not in self._sandboxes:
                self._sandboxes[waited] = Sandbox(
                    workers=WAITED if waited else AHEAD,
                    time_limit_s=TIME_LIMIT_S,
                    memory_limit_mb=MEMORY_LIMIT_MB,
                    environment={} if waited else {NICE_VARIABLE: NICE},
                )
            return self._sandboxes[waited]

    def close(self) -> None:
        """End the processes; the next need starts new ones."""
        with self._lock:
            sandboxes, self._sandboxes = self._sandboxes, {}
        atexit.unregister(self.close)
        for sandbox in sandboxes.values():
            sandbox.close()

    def _make(self, kind: Kind, span: Span, out: Path, *, waited: bool) -> None:
        payload: dict[str, Any] = {"path": span.path, "out": str(out)}
        if kind is STILL:
            payload |= {"time_s": (span.start_s + span.end_s) / 2, "height": STILL_HEIGHT_PX}
        else:
            payload |= {"start_s": span.start_s, "end_s": min(span.end_s, span.start_s + PROXY_MAX_S)}
        if kind is not PROXY:
            self.call(kind.task, payload, waited=waited)
            return
        place = out.with_name(f".{out.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
        self._growing[out.name] = place
        try:
            self.call(kind.task, payload | {"height": PROXY_HEIGHT_PX, "live": str(place)}, waited=waited)
        finally:
            del self._growing[out.name]
            place.unlink(missing_ok=True)  # left by a process that died
