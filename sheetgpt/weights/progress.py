"""How far long work is: counted as it goes on, shown by whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

Progress = Callable[[int, int], object]  # (what is done, of what in all)


class Counter:
    """Adds up what is done, from several threads too, and passes the sum on."""

    def __init__(self, total: int, progress: Progress | None):
        self.total, self.done = total, 0
        self._progress, self._one_at_a_time = progress, Lock()

    def advance(self, count: int) -> None:
        with self._one_at_a_time:
            self.done = min(self.done + count, self.total)  # a file that changes while it is read is read twice
            if self._progress:
                self._progress(self.done, self.total)
