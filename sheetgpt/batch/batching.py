"""A whole batch: prompts in, a finished folder of runs out."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from sheetgpt.batch import workers
from sheetgpt.batch.extra import needed
from sheetgpt.batch.index import write_index
from sheetgpt.batch.planning import (
    SHARD,
    Job,
    Plan,
    begin,
    entries_of,
    job_of,
    manifest_of,
    plan_of,
    require_all,
    require_fitting,
    require_room,
    shards_of,
)
from sheetgpt.batch.prompts import Prompt
from sheetgpt.batch.shapes import chosen
from sheetgpt.batch.shards import Entry
from sheetgpt.batch.store import INDEX, Runs
from sheetgpt.errors import DumpError
from sheetgpt.model import Model

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Batch:
    """A batch that is planned: `plan` says what it takes, `write` does it."""

    def __init__(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        folder: Path,
        stages: str,
        *,
        shard: int = SHARD,
        strict: bool = False,
        special: bool = False,
    ):
        needed("pyarrow")  # before anything is computed
        self.model, self.folder = model, folder
        self.job: Job = job_of(model, folder, chosen(model.steps, stages), shard)
        self.entries: list[Entry] = entries_of(model, prompts, special=special)
        if strict:
            require_all(self.entries)
        self.about = manifest_of(self.job, self.entries)
        require_fitting(self.job, self.about)
        self.plan: Plan = plan_of(self.job, self.entries)

    @cached_property
    def tasks(self) -> list[workers.Task]:
        """The shards that were not there when the batch was planned."""
        return [task for task in shards_of(self.entries, self.job.shard) if not self.job.path(task[0]).is_file()]

    @property
    def left(self) -> int:
        """The number of prompts in them."""
        return sum(len(entries) for _, entries in self.tasks)

    @property
    def errors(self) -> dict[int, str]:
        """What is wrong with prompts, by number."""
        return {entry.number: entry.error for entry in self.entries if entry.error is not None}

    def write(
        self, done: workers.Done = lambda _: None, *, processes: int | None = None, address: str | None = None
    ) -> Runs:
        """Make what is missing: in this process, in so many others, or by the workers of a scheduler."""
        try:
            require_room(self.plan, self.folder)
            with self._client(processes, address) as client:  # who may be missing, before the folder is touched
                begin(self.job, self.about, self.model)
                if client is None:
                    workers.here(self.job, self.tasks, self.model, done)
                else:
                    workers.on_workers(client, self.job, self.tasks, done)
            runs = Runs(self.folder)
            if not (self.folder / INDEX).is_file():
                write_index(self.folder, runs)
        except OSError as error:
            room = "make room; " if error.errno in FULL else ""
            raise DumpError(workers.sentence_of(error, self.folder), remedy=room + workers.GO_ON) from None
        return runs

    def _client(self, processes: int | None, address: str | None) -> AbstractContextManager[Any]:
        """Of the workers; None where this process does it, or nothing is left."""
        if not self.tasks or (processes is None and address is None):
            return nullcontext()
        return workers.local_cluster(processes) if processes else workers.scheduler(str(address))
