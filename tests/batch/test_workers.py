"""Workers that several batches share, or that have another disk: each batch has its own shards, or a line says why."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import require
from sheetgpt import batch, load_model
from sheetgpt.batch import workers
from sheetgpt.batch.batching import Batch
from sheetgpt.batch.prompts import Prompt
from sheetgpt.batch.workers import WorkersError

pytestmark = pytest.mark.slow  # each starts a process


@pytest.fixture(scope="module")
def cluster():
    """One worker's process, and its scheduler's address."""
    require("distributed", "batch")
    with workers.local_cluster(1) as client:
        yield client


def address_of(client) -> str:
    return client.scheduler_info()["address"]


def batch_of(folder, stages: str, seed: int) -> Batch:
    words, rng = "Mike Anna is quick He moves".split(), random.Random(seed)
    prompts = [Prompt(" ".join(rng.choices(words, k=4))) for _ in range(60)]
    return Batch(load_model(dtype="float32"), prompts, folder, stages, shard=3)


def test_two_batches_at_the_same_time_get_their_own_shards_of_one_scheduler(cluster, tmp_path):
    given = {"one": ("logits", 1), "other": ("block_0_step_7", 2)}
    both = [batch_of(tmp_path / name, *arguments) for name, arguments in given.items()]
    counts = [[], []]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one, count: one.write(count.append, address=address_of(cluster)), both, counts))
    assert counts == [[3] * 20, [3] * 20]
    for name, arguments in given.items():
        alone = batch_of(tmp_path / f"{name} alone", *arguments)
        alone.write()
        for path in alone.folder.iterdir():
            assert path.read_bytes() == (tmp_path / name / path.name).read_bytes()
        assert len(batch.open(tmp_path / name)) == 60


def test_no_worker_is_paused_for_weights_that_are_mapped(cluster):
    limits = [worker["memory_limit"] for worker in cluster.scheduler_info()["workers"].values()]
    assert limits == [0]
    assert list(cluster.run(lambda dask_worker: dask_worker.memory_manager.memory_limit).values()) == [None]


def killed(_job, _task):
    import os

    os._exit(1)


def broken(_job, _task):
    raise RuntimeError("a mistake of ours")


def test_a_shard_that_ends_its_workers_is_one_line_and_a_mistake_is_raised_as_it_is(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "in_worker", killed)
    with pytest.raises(WorkersError, match="several workers ended while they made the same shard"):
        batch_of(tmp_path / "killed", "logits", 1).write(address=address_of(cluster))
    cluster.wait_for_workers(1)
    monkeypatch.setattr(workers, "in_worker", broken)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        batch_of(tmp_path / "broken", "logits", 1).write(address=address_of(cluster))


def elsewhere(folder: str) -> None:
    """In the worker's process: what it writes lands on another disk."""
    from dataclasses import replace
    from pathlib import Path

    from sheetgpt.batch import workers

    write = workers.write_shard
    Path(folder).mkdir()
    workers.write_shard = lambda job, *others, **options: write(replace(job, folder=Path(folder)), *others, **options)


def test_a_disk_that_is_not_shared_is_one_line(tmp_path, monkeypatch):
    require("distributed", "batch")
    monkeypatch.setattr(workers, "SEEN_SECONDS", 0.2)
    with workers.local_cluster(1) as client:
        client.run(elsewhere, str(tmp_path / "another disk"))
        with pytest.raises(WorkersError, match=r"shard_0.* isn't in .*runs here, so the disk isn't shared: name a"):
            batch_of(tmp_path / "runs", "logits", 1).write(address=address_of(client))
    assert not list((tmp_path / "runs").glob("shard_*"))
