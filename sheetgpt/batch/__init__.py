"""Many prompts: computed together, kept on disk, opened again.

>>> from sheetgpt import batch
>>> batch.open("RUNS")[17]["block_0_step_7"]  # doctest: +SKIP

`open` needs nothing but the core; `Runs.index` and writing need the extra `batch`.
"""

from sheetgpt.batch.shards import Answer, Entry
from sheetgpt.batch.store import Runs
from sheetgpt.batch.store import open_runs as open  # noqa: A004 - it is read as `batch.open`

__all__ = ["Answer", "Entry", "Runs", "open"]
