"""The threads that compute runs, the newest first: whoever types sees the answer to what stands there."""

from __future__ import annotations

from threading import Condition, Thread
from typing import Protocol

COUNT = 2


class Work(Protocol):
    """What is computed, and may be given up."""

    def compute(self) -> None: ...

    def give_up(self) -> None: ...


class Workers:
    """Threads that don't keep the program from ending; each is started when there is work for it."""

    def __init__(self) -> None:
        self._stack: list[Work] = []
        self._changed = Condition()
        self._started = 0
        self._is_closed = False

    def take(self, work: Work) -> None:
        """Compute it before all that waits; given up where no more is computed."""
        with self._changed:
            if self._is_closed:
                work.give_up()
                return
            self._stack.append(work)
            if self._started < COUNT:
                Thread(target=self._compute, daemon=True, name="run").start()
                self._started += 1
            self._changed.notify()

    def _compute(self) -> None:
        while work := self._newest():
            work.compute()

    def _newest(self) -> Work | None:
        """The work that came last, waited for; None where no more is computed."""
        with self._changed:
            self._changed.wait_for(lambda: self._stack or self._is_closed)
            return None if self._is_closed else self._stack.pop()

    def close(self) -> None:
        """What is not begun is given up."""
        with self._changed:
            self._is_closed = True
            left, self._stack = self._stack, []
            self._changed.notify_all()
        for work in left:
            work.give_up()
