"""Who makes the shards: this process, processes of this machine, or the workers of a Dask scheduler.

A shard is a task; it is done when its file is there, whoever wrote it. What a worker that died had begun is begun again
by another.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from sheetgpt.batch.computing import Batches, compute_shard, cores
from sheetgpt.batch.extra import needed
from sheetgpt.batch.planning import Job, fingerprint
from sheetgpt.batch.shards import Entry, writing
from sheetgpt.errors import DumpError, SheetGPTError
from sheetgpt.model import Model, load_model

Task = tuple[int, Sequence[Entry]]  # a shard's number, its prompts
Done = Callable[[int], None]  # called with the number of prompts of each shard that is made
AHEAD = 4  # tasks a worker that the scheduler knows of: enough that none waits
CONNECT_SECONDS = 10
SEEN_SECONDS = 60  # in which NFS shows a file that another machine made
UNSTOPPED = "sheetgpt.batch.unstopped"
UNREADABLE = "deserialization"  # what Dask's RuntimeError names where what was sent can't be read there


class WorkersError(SheetGPTError):
    """The scheduler or its workers are lost; what is done stays."""


GO_ON = "what is done stays; run the same command again to go on"


# ------------------------------------------------------------------------------------------------ one shard


@lru_cache(1)
def model_of(weights: Path, dtype: str, expected: str) -> Model:
    """The model that this process computes with: its matrices are mapped from the one cache beside the CSVs."""
    model = load_model(weights, dtype)
    if fingerprint(model) != expected:
        raise DumpError("holds another model here than where the batch was started", where=weights)
    return model


def write_shard(job: Job, task: Task, model: Model, threads: int) -> int:
    """Make a shard, unless it is there. Returns the number of its prompts."""
    number, entries = task
    if not job.path(number).is_file():
        with writing(job.path(number), job.shapes, entries, job.dtype) as writer:
            compute_shard(Batches(model, job.shapes), entries, writer, threads)
    return len(entries)


@dataclass(frozen=True)
class Refused:
    """What a worker says instead, as its exceptions need not survive the way."""

    sentence: str


def in_worker(job: Job, task: Task) -> int | Refused:
    """The same in a worker's process. Returns the shard's number."""
    try:
        write_shard(job, task, model_of(job.weights, job.dtype, job.fingerprint), threads=1)
    except (SheetGPTError, OSError) as error:
        return Refused(sentence_of(error, job.folder))
    return task[0]


def sentence_of(error: SheetGPTError | OSError, folder: Path) -> str:
    return f"can't write {folder} ({error.strerror or error})" if isinstance(error, OSError) else str(error)


# ------------------------------------------------------------------------------------------------ all shards


def here(job: Job, tasks: Sequence[Task], model: Model, done: Done) -> None:
    """All shards, one after another, in this process."""
    for task in tasks:
        done(write_shard(job, task, model, cores()))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the log in which Dask tells of workers and schedulers that end: one line of ours says it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def local_cluster(count: int) -> Iterator[Any]:
    """A client of so many processes of this machine."""
    distributed = needed("distributed")
    options = {
        "n_workers": count,
        "threads_per_worker": 1,
        "memory_limit": 0,  # mapped weights count as each worker's memory, and Dask would pause it for good
        "dashboard_address": None,
        "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"},  # its server of pages: a port that no other has
        "preload": UNSTOPPED,
    }
    with (
        quiet(),
        distributed.LocalCluster(**options, silence_logs=logging.CRITICAL) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@contextmanager
def scheduler(address: str) -> Iterator[Any]:
    """A client of a scheduler that runs somewhere. Raises WorkersError where none answers."""
    distributed = needed("distributed")
    with quiet():
        try:
            client = distributed.Client(address, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TypeError) as error:
            what = f"no scheduler answers at {address} ({type(error).__name__})"
            raise WorkersError(what, remedy="start one by `dask scheduler`, and workers by `dask worker`") from None
        with client:
            yield client


def on_workers(client: Any, job: Job, tasks: Sequence[Task], done: Done) -> None:
    """All shards, by the workers of a client."""
    distributed = needed("distributed")
    left, running, made = iter(tasks), distributed.as_completed(), Made(job, dict(tasks))
    try:
        top_up(client, running, job, left)
        for future in running:
            done(made.accepted(future.result()))
            top_up(client, running, job, left)
        made.require_all()
    except (SheetGPTError, KeyboardInterrupt):
        raise
    except Exception as error:
        sentence = refusal(error)
        if sentence is None:
            raise
        raise sentence from None


class Made:
    """What the workers say is made. The first shard and, in the end, all are looked for where they should be."""

    def __init__(self, job: Job, tasks: Mapping[int, Sequence[Entry]]):
        self.job, self.tasks = job, tasks
        self.is_disk_shared = False

    def accepted(self, found: int | Refused) -> int:
        """The number of a shard's prompts. Raises WorkersError where it wasn't made, or not here."""
        if isinstance(found, Refused):
            raise WorkersError(found.sentence, remedy=GO_ON)
        if not self.is_disk_shared:
            self._require(found)
            self.is_disk_shared = True
        return len(self.tasks[found])

    def require_all(self) -> None:
        for number in self.tasks:
            self._require(number)

    def _require(self, number: int) -> None:
        path, end = self.job.path(number), time.monotonic() + SEEN_SECONDS
        while not path.is_file():
            if time.monotonic() > end:
                what = f"a worker made {path.name}, but it isn't in {path.parent} here, so the disk isn't shared"
                raise WorkersError(what, remedy="name a folder by -o that this process and all workers see")
            time.sleep(0.1)


def top_up(client: Any, running: Any, job: Job, left: Iterator[Task]) -> None:
    """Give out so many tasks that no worker waits; workers may come and go."""
    wanted = AHEAD * max(1, len(client.nthreads()))
    for task in islice(left, max(0, wanted - running.count())):
        running.add(client.submit(in_worker, job, task, pure=False))  # by a key that no other batch has


def refusal(error: Exception) -> WorkersError | None:
    """What went wrong among the workers, as one line; None for what is a mistake of ours."""
    distributed = needed("distributed")
    if isinstance(error, distributed.KilledWorker):
        what = "several workers ended while they made the same shard, so the memory may not suffice"
        return WorkersError(what, remedy=f"give fewer --workers or --stages; {GO_ON}")
    if isinstance(error, ImportError) or (type(error) is RuntimeError and UNREADABLE in str(error)):
        what = f"the scheduler or a worker can't take the work ({str(error).splitlines()[0]})"
        return WorkersError(what, remedy="install the same sheetgpt[batch] there")
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in (
        "distributed",
        "concurrent",
        "asyncio",
    ):
        return WorkersError("the scheduler is lost", remedy=GO_ON)
    return None
