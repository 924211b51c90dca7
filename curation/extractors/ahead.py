"""Items in, the same items out, made in a thread of their own while the caller is busy with those before."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Iterates `items`, at most `most` of them ahead of the caller; an error of theirs is raised at its place.

    Closed by leaving the context: the thread stops at the next item.
    """

    def __init__(self, items: Iterator[T], most: int) -> None:
        self._items, self._box = items, queue.Queue[tuple[str, T | BaseException | None]](max(1, most))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="ahead", daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        while self._thread.is_alive():  # one that waits for room must find some
            with contextlib.suppress(queue.Empty):
                self._box.get_nowait()
            self._thread.join(0.01)

    def _taken(self) -> Iterator[T]:
        while True:
            kind, item = self._box.get()
            if kind == "end":
                return
            if isinstance(item, BaseException) and kind == "error":
                raise item
            yield item  # type: ignore[misc]

    def _fill(self) -> None:
        try:
            for item in self._items:
                self._box.put(("item", item))
                if self._stop.is_set():
                    return
        except BaseException as error:  # it belongs to the caller, who raises it
            self._box.put(("error", error))
        else:
            self._box.put(("end", None))
