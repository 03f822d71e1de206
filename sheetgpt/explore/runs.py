"""Runs as the page asks for them: by prompt and changed cells, computed once, stage by stage, and kept for a while.

A run is known by what was asked for, so nothing that one tab does is seen by another. The newest is computed first, and
only as long as somebody waits for it; in which threads belongs in `workers`.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Condition, Lock
from typing import Any, Self

import numpy as np

from sheetgpt.diff.result import plain
from sheetgpt.errors import SheetGPTError, StageError
from sheetgpt.explore import pictures
from sheetgpt.explore.formulas import LiveWorkbook
from sheetgpt.explore.workers import Workers
from sheetgpt.model import Model
from sheetgpt.run.edit import travel
from sheetgpt.run.trace import Trace

MOST_BYTES, MOST_RUNS = 1_000_000_000, 64  # that are kept
BEST = 10


@dataclass(frozen=True)
class Asked:
    """What a run is asked for by."""

    prompt: str | None = None
    ids: tuple[int, ...] | None = None
    sets: tuple[str, ...] = ()
    special: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Asked:
        """From the page's JSON. Raises StageError where it is none."""
        prompt, ids, sets = data.get("prompt"), data.get("ids"), data.get("sets", [])
        is_text = prompt is None or isinstance(prompt, str)
        is_ids = ids is None or (isinstance(ids, list) and all(type(i) is int for i in ids))
        if not (is_text and is_ids and isinstance(sets, list) and all(isinstance(one, str) for one in sets)):
            raise StageError("a run is asked for by a prompt or ids, and by sets")
        return cls(prompt, None if ids is None else tuple(ids), tuple(sets), bool(data.get("special")))

    @cached_property
    def key(self) -> str:
        text = json.dumps([self.prompt, self.ids, self.sets, self.special])
        return hashlib.blake2b(text.encode(), digest_size=9).hexdigest()

    def as_data(self) -> dict[str, Any]:
        """`Asked` of page/src/source.ts."""
        return {"prompt": self.prompt, "ids": self.ids, "sets": self.sets, "special": self.special}

    @property
    def unchanged(self) -> Asked:
        return Asked(self.prompt, self.ids, special=self.special)


class RunGoneError(SheetGPTError):
    """The run is no longer kept: the page asks for it again."""

    def __init__(self) -> None:
        super().__init__("this run is no longer kept", remedy="ask for it again")


class Wait:
    """Somebody who waits for runs, until it is over: they have come, or nobody is there any more."""

    def __init__(self) -> None:
        self.is_over = False
        self.runs: list[Run] = []

    def end(self) -> None:
        self.is_over = True
        for run in self.runs:
            run.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()


class Run:
    """One run: its stages as they are computed, then its trace. Whoever asks for a stage waits until it is there."""

    def __init__(self, model: Model, asked: Asked, before: Trace | None):
        self.model, self.asked, self.before = model, asked, before
        self.arrays: dict[str, np.ndarray] = {}
        self.trace: Trace | None = None
        self.error: Exception | None = None
        self.bytes = 0  # that only this run holds
        self._held = {id(array.base) for array in before.arrays.values()} if before else set()
        self._waits: set[Wait] = set()
        self._changed = Condition()

    def join(self, wait: Wait) -> bool:
        """Wait for the run from now on; False where it was given up, or failed."""
        wait.runs.append(self)
        with self._changed:
            if self.error is not None:
                return False
            self._waits.add(wait)
        if wait.is_over:  # subtle: looked at last, as it may end at any time
            self.leave(wait)
        return True

    def leave(self, wait: Wait) -> None:
        """Wait no more; a run that nobody waits for is given up."""
        with self._changed:
            self._waits.discard(wait)
            if not self._waits:
                self.give_up()

    def give_up(self) -> None:
        """Compute no more of it; whoever waits need not wait any longer. A run that is whole stays."""
        with self._changed:
            if not self.is_over:
                self.error = RunGoneError()
                self._changed.notify_all()

    def compute(self) -> None:
        """All of it, as long as somebody waits; in a thread of its own."""
        try:
            self._require_wanted()
            found = self._trace()
            with self._changed:
                self.trace = found
        except Exception as error:  # noqa: BLE001 - whoever waits for the run raises it
            with self._changed:
                self.error = error
        with self._changed:
            self._changed.notify_all()

    def _trace(self) -> Trace:
        if self.before is None:
            asked, ids = self.asked, self.asked.ids
            return self.model.run(
                asked.prompt if ids is None else None, token_ids=ids, special=asked.special, on_stage=self._keep
            )
        return self.model.run_edited(self.before, self.asked.sets, on_stage=self._keep)

    def _keep(self, name: str, matrix: np.ndarray) -> None:
        self._require_wanted()
        with self._changed:
            self.arrays[name] = matrix
            if id(matrix.base) not in self._held:
                self._held.add(id(matrix.base))
                self.bytes += matrix.nbytes
            self._changed.notify_all()

    def _require_wanted(self) -> None:
        """Raises RunGoneError where the run was given up."""
        if self.error is not None:
            raise self.error

    def begun(self) -> Run:
        """The run when something of it is there. Raises what it raised before that."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self.arrays) or self.is_over)
        if not self.arrays:
            self.whole()
        return self

    def stages(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each stage as soon as it is computed. Raises what the run raised."""
        for step in self.model.steps.computed:
            found = self._wait_for(step.name)
            if found is None:
                break
            yield step.name, found
        self.whole()

    def _wait_for(self, name: str) -> np.ndarray | None:
        """A stage, as soon as it is there; None where the run ended without it."""
        with self._changed:
            self._changed.wait_for(lambda: name in self.arrays or self.is_over)
        return self.arrays.get(name)

    @property
    def is_over(self) -> bool:
        return self.trace is not None or self.error is not None

    def whole(self) -> Trace:
        """The run when all of it is there. Raises what it raised."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over)
        if self.trace is None:
            assert self.error is not None
            raise self.error
        return self.trace

    def matrix(self, name: str) -> np.ndarray:
        """A stage or weight, waited for. Raises UnknownStageError."""
        found = self._wait_for(name) if name in self.model.steps.computed.by_name else None
        return self.whole().matrix(name) if found is None else found


class Runs:
    """The runs of one model, the latest kept."""

    def __init__(self, model: Model):
        self.model = model
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = Lock()
        self._workers = Workers()

    def start(self, asked: Asked, wait: Wait) -> Run:
        """The run, under way or done already. Raises what the run without changes raises."""
        before = self.start(asked.unchanged, wait).whole() if asked.sets else None
        with self._lock:
            found = self._runs.get(asked.key)
            if found is None or not found.join(wait):
                found = self._runs[asked.key] = Run(self.model, asked, before)
                found.join(wait)
                self._workers.take(found)
            self._runs.move_to_end(asked.key)
            self._let_go()
        return found

    def whole(self, asked: Asked) -> Trace:
        """The run when all of it is there. Raises what it raises."""
        with Wait() as wait:
            return self.start(asked, wait).whole()

    def get(self, key: str, wait: Wait) -> Run:
        """A run that is kept. Raises RunGoneError."""
        with self._lock:
            found = self._runs.get(key)
        if found is None or not found.join(wait):
            raise RunGoneError
        return found

    def close(self) -> None:
        """Nothing is computed any more, and nobody waits."""
        self._workers.close()
        with self._lock:
            for run in self._runs.values():
                run.give_up()

    def _let_go(self) -> None:
        while len(self._runs) > 2 and (len(self._runs) > MOST_RUNS or self._bytes() > MOST_BYTES):
            self._runs.popitem(last=False)

    def _bytes(self) -> int:
        return sum(run.bytes for run in self._runs.values())


# ------------------------------------------------------------------------------------------------ as data


def messages(run: Run) -> Iterator[dict[str, Any]]:
    """What the page is told of a run, as it is computed: its tokens, each stage that changed, the answer."""
    before = run.before
    yield beginning(run.begun())
    for name, matrix in run.stages():
        old = None if before is None else before.arrays[name]
        if old is None or old is not matrix:
            yield stage(name, matrix, old)
    trace = run.whole()
    has_same_words = before is not None and before.token_ids == trace.token_ids
    said = {"tables": tables(before) | tables(trace)} if before and has_same_words else words(run.model, trace)
    yield said | answer(trace, before)


def beginning(run: Run) -> dict[str, Any]:
    """Which run it is, and the tokens, before anything is computed."""
    asked = run.asked
    if run.before is not None:
        ids = run.before.token_ids
    else:
        _, ids = run.model.encode(asked.prompt if asked.ids is None else None, asked.ids, special=asked.special)
    return {"run": asked.key, "ids": ids, "tokens": [run.model.token(i) for i in ids]}


def words(model: Model, trace: Trace) -> dict[str, Any]:
    """The prompt's tokens, how they were made, and where the run's stages would stand in the live workbook."""
    notices = [model.special_notice(trace.prompt), model.length_notice(len(trace.token_ids))]
    return {
        "prompt": trace.prompt,
        "ids": trace.token_ids,
        "tokens": trace.tokens,
        "words": trace.merges.words if trace.merges else [],
        "tables": tables(trace),
        "places": LiveWorkbook(trace).places,
        "notices": [notice for notice in notices if notice],
    }


def tables(trace: Trace) -> dict[str, Any]:
    """The run's stages of text, the predicted token among them, as the reference lays them out."""
    texts = [step.name for step in trace.steps if step.is_text and step.name in trace]
    return {name: plain(trace.text_table(name)) for name in texts}


def stage(name: str, matrix: np.ndarray, before: np.ndarray | None) -> dict[str, Any]:
    """`StageInfo` of page/src/source.ts."""
    rows, columns = matrix.shape
    end = pictures.scale_end(matrix if before is None else before)
    return {
        "stage": name,
        "rows": rows,
        "columns": columns,
        "end": end,
        "picture": pictures.picture(matrix, end),
        "statistics": plain(pictures.statistics(matrix)),
        "change": None if before is None else plain(pictures.change(before, matrix, end)),
    }


def answer(trace: Trace, before: Trace | None) -> dict[str, Any]:
    """The best next tokens, beside what they were before the changes; and how far these got."""
    best, old = trace.predictions(BEST), {}
    found = [] if before is None else travel(before, trace)
    if before is not None:
        probabilities, _ = before.ranking()
        old = {one.id: {"probability": float(probabilities[one.id]), "rank": int(before.ranks[one.id])} for one in best}
    return {
        "done": True,
        "best": [
            {
                "id": one.id,
                "token": one.token,
                "logit": plain(one.logit),
                "probability": plain(one.probability),
                "rank": one.rank,
                "before": plain(old.get(one.id)),
            }
            for one in best
        ],
        "travel": plain([vars(part) for part in found]),
    }
