"""A folder of runs: what it says of itself, and each prompt's run as a trace whose matrices are mapped from disk.

    RUNS/manifest.json             the model's fingerprint and constants, stages, dtype, version
    RUNS/tokens.json               the model's tokens by id, for labels
    RUNS/shard_00000.safetensors   see `shards`
    RUNS/index.parquet             a row a prompt; written last, so a folder that has one is finished

Making these belongs in `computing`, `workers` and `index`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.batch.extra import needed
from sheetgpt.batch.shapes import StageShapes
from sheetgpt.batch.shards import Answer, Entry, Shard
from sheetgpt.errors import DamagedError, DumpError, PromptError
from sheetgpt.models import manifests
from sheetgpt.models.sizes import Sizes, config_of
from sheetgpt.models.step import POSITIONS, Role
from sheetgpt.run import frames
from sheetgpt.run.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

MANIFEST, TOKENS, INDEX = "manifest.json", "tokens.json", "index.parquet"
AGAIN = "run the same `sheetgpt batch` again"
OPEN_SHARDS = 2  # mapped at once


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard_{number:05d}.safetensors"


def is_runs(folder: Path) -> bool:
    """Is this a folder of runs, finished or not?"""
    try:
        return "fingerprint" in json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DumpError(f"has no {path.name}", where=path.parent, remedy="name a folder of `sheetgpt batch`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedError(f"is damaged ({error})", where=path, remedy=AGAIN) from None


class Runs:
    """The runs of many prompts. `runs[17]` is the 18th prompt's run, with the stages that were kept.

    Iterating gives every run in turn, in the memory of one; `items()` with their numbers. A bad prompt has no run:
    asking for it raises PromptError, iterating leaves it out, `index` and `entry` say what is wrong. Raises
    DamagedError where what the folder says of itself is damaged.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.manifest: Mapping[str, Any] = read_json(folder / MANIFEST)
        fault = self._fault()
        if fault:
            raise DamagedError(f"is damaged ({fault})", where=folder / MANIFEST, remedy=AGAIN)
        self._shard = lru_cache(OPEN_SHARDS)(self._opened)

    def _fault(self) -> str:
        if not isinstance(self.manifest, dict):
            return "no manifest"
        names = ("fingerprint", "constants", "untied", "dtype", "stages", "shard", "prompts")
        missing = [name for name in names if name not in self.manifest]
        if missing:
            return f"no {missing[0]}"
        counts = [self.manifest[name] for name in ("shard", "prompts")]
        if not all(type(count) is int and count > 0 for count in counts):
            return "its counts are none"
        constants = self.manifest["constants"]
        found = manifests.fault({"constants": constants})
        if found or not (config := config_of(constants)):
            return found or "a constant is missing"
        known, stages = Sizes(config, 1, untied=bool(self.manifest["untied"])).shapes, self.manifest["stages"]
        return "" if isinstance(stages, list) and all(one in known for one in stages) else "its stages are none"

    @cached_property
    def shapes(self) -> StageShapes:
        """The shapes of the kept stages."""
        config = config_of(self.manifest["constants"])
        assert config is not None
        return StageShapes(config, self.stages, untied=self.manifest["untied"])

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that were kept, in the order of the data."""
        return tuple(self.manifest["stages"])

    @property
    def dtype(self) -> str:
        """The type of the numbers, float64 or float32."""
        return str(self.manifest["dtype"])

    @property
    def fingerprint(self) -> str:
        """Of the model: two that differ in a weight, a constant or a token have different ones."""
        return str(self.manifest["fingerprint"])

    @property
    def shard_size(self) -> int:
        """How many prompts a shard holds."""
        return int(self.manifest["shard"])

    def __len__(self) -> int:
        """The number of prompts."""
        return int(self.manifest["prompts"])

    @cached_property
    def vocabulary(self) -> list[str]:
        """Every token by id."""
        found: list[str] = read_json(self.folder / TOKENS)
        return found

    @cached_property
    def index(self) -> pd.DataFrame:
        """A row a prompt, [prompts, columns]: number, prompt, token ids, tokens, predicted token, probability, loss,
        error, place.
        """
        return read_index(self.folder / INDEX)

    def _opened(self, number: int) -> Shard:
        return Shard(shard_path(self.folder, number), self.shapes)

    def _place(self, number: int) -> tuple[Shard, int]:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} prompts, numbered from 0, and none is {number}")
        shard, row = divmod(number % len(self), self.shard_size)
        return self._shard(shard), row

    def entry(self, number: int) -> Entry:
        """The prompt, its tokens, and what was wrong with it."""
        shard, row = self._place(number)
        return shard.entries[row]

    def answer(self, number: int) -> Answer | None:
        """The predicted token's id, its probability and the mean loss; None where something was wrong."""
        shard, row = self._place(number)
        return shard.answer(row)

    def __getitem__(self, number: int) -> Trace:
        """The run of a prompt. Raises PromptError where something was wrong with it, IndexError where there is none."""
        shard, row = self._place(number)
        entry = shard.entries[row]
        if entry.error is not None:
            raise PromptError(f"prompt {entry.number} has no run: {entry.error}")
        steps, config, ids = self.shapes.steps, self.shapes.config, np.array(entry.token_ids)
        arrays = {steps.name(Role.TOKENS): ids, POSITIONS: np.arange(len(ids))}
        arrays |= {stage: shard.stage(stage, row) for stage in self.stages}
        labels = frames.Labels(list(entry.tokens), config.n_head, lambda: self.vocabulary)
        return Trace(config=config, steps=steps, arrays=arrays, labels=labels, prompt=entry.prompt)

    def __iter__(self) -> Iterator[Trace]:
        return (trace for _, trace in self.items())

    def items(self) -> Iterator[tuple[int, Trace]]:
        """(number, run) of every prompt that has one, in the memory of one."""
        for number in range(len(self)):
            shard, row = self._place(number)
            if shard.entries[row].error is None:
                yield number, self[number]
                shard.release()


def open_runs(folder: str | Path) -> Runs:
    """The runs in a folder that `sheetgpt batch` wrote. Raises DumpError where it is none, or unfinished."""
    path = Path(folder)
    runs = Runs(path)
    if not (path / INDEX).is_file():
        count = -(-len(runs) // runs.shard_size)
        done = sum(shard_path(path, number).is_file() for number in range(count))
        raise DumpError(f"is unfinished ({done} of {count} shards)", where=path, remedy=AGAIN)
    return runs


def read_index(path: Path) -> pd.DataFrame:
    """The index as a DataFrame by number. Raises DamagedError where it can't be read."""
    pa, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DamagedError(f"is damaged ({str(error).splitlines()[0]})", where=path, remedy=AGAIN) from None
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable).set_index("number")
    return frame


def nullable(kind: Any) -> Any:
    """The predicted id stays a whole number where a prompt has none."""
    import pandas as pd

    pa = needed("pyarrow")
    return pd.Int64Dtype() if kind == pa.int64() else None
