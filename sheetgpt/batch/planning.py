"""What a batch will do: its prompts as tokens, its stages, the model's fingerprint; what that takes, before it starts.

A folder that another job began is refused here. Prompts are read in `prompts`, shards written by `workers`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sheetgpt.batch.prompts import Prompt
from sheetgpt.batch.shapes import StageShapes
from sheetgpt.batch.shards import Entry, layout_of
from sheetgpt.batch.store import MANIFEST, TOKENS, read_json, shard_path
from sheetgpt.errors import DumpError, PromptError, SheetGPTError
from sheetgpt.files import atomic
from sheetgpt.files.text import counted
from sheetgpt.model import TOKEN_FILES, Model
from sheetgpt.models.config import Config
from sheetgpt.weights.folder import folder_name

SHARD = 256  # prompts


@dataclass(frozen=True)
class Job:
    """All that a worker needs to make a shard."""

    folder: Path
    weights: Path
    dtype: str
    stages: tuple[str, ...]
    config: Config
    untied: bool
    fingerprint: str
    shard: int = SHARD

    @property
    def shapes(self) -> StageShapes:
        return shapes_of(self.config, self.stages, self.untied)

    def path(self, number: int) -> Path:
        return shard_path(self.folder, number)


@lru_cache(1)
def shapes_of(config: Config, stages: tuple[str, ...], untied: bool) -> StageShapes:
    """One for all tasks of a process; it isn't sent with each."""
    return StageShapes(config, stages, untied=untied)


def job_of(model: Model, folder: Path, stages: Sequence[str], shard: int = SHARD) -> Job:
    weights = model.weights
    place = weights.folder.resolve()
    about = (model.config, weights.untied, fingerprint(model), shard)
    return Job(folder.resolve(), place, weights.dtype, tuple(stages), *about)


def fingerprint(model: Model) -> str:
    """A hash of a model's constants, matrices in its dtype and token files."""
    found = hashlib.blake2b(digest_size=16)
    found.update(json.dumps([model.config.rows(), list(model.weights)]).encode())
    found.update(model.weights.digest)
    for name in TOKEN_FILES:
        path = model.weights.folder / name
        found.update(path.read_bytes() if model.tokenizer and path.exists() else b"-")
    return found.hexdigest()


# ------------------------------------------------------------------------------------------------ prompts


def entries_of(model: Model, prompts: Sequence[Prompt], *, special: bool = False) -> list[Entry]:
    """The prompts as tokens; what is wrong with one stands in its error."""
    return [entry_of(model, number, prompt, special=special) for number, prompt in enumerate(prompts)]


def entry_of(model: Model, number: int, prompt: Prompt, *, special: bool = False) -> Entry:
    if prompt.error is not None:
        return Entry(number, prompt.text, error=prompt.error)
    try:
        ids = model.ids_of(prompt.text, prompt.token_ids, special=special)
        model.encode(None, ids)  # it says what is wrong with their number
    except SheetGPTError as error:
        return Entry(number, prompt.text, error=str(error))
    return Entry(number, prompt.text, tuple(ids), tuple(map(model.token, ids)))


def require_all(entries: Sequence[Entry]) -> None:
    """Raises PromptError where something is wrong with a prompt."""
    bad = [entry for entry in entries if entry.error is not None]
    if bad:
        others = f" (and {len(bad) - 1} more are bad)" if len(bad) > 1 else ""
        raise PromptError(f"prompt {bad[0].number}{others}: {bad[0].error}", remedy="leave --strict out to go on")


def shards_of(entries: Sequence[Entry], size: int) -> Iterator[tuple[int, Sequence[Entry]]]:
    """(number, prompts) of each shard."""
    for number, begin in enumerate(range(0, len(entries), size)):
        yield number, entries[begin : begin + size]


# ------------------------------------------------------------------------------------------------ the folder


def manifest_of(job: Job, entries: Sequence[Entry]) -> dict[str, Any]:
    from importlib.metadata import version

    prompts = hashlib.blake2b(digest_size=16)
    for entry in entries:
        prompts.update(entry.line)
    return {
        "sheetgpt": version("sheetgpt"),
        "weights": folder_name(job.weights),
        "fingerprint": job.fingerprint,
        "constants": dict(job.config.rows()),
        "untied": job.untied,
        "dtype": job.dtype,
        "stages": list(job.stages),
        "shard": job.shard,
        "prompts": len(entries),
        "prompts_digest": prompts.hexdigest(),
    }


DIFFERENT = {  # what a manifest says -> what it is called where it differs
    "dtype": "another --dtype",
    "fingerprint": "another model",
    "stages": "other --stages",
    "shard": "another --shard",
    "prompts": "other prompts",
    "prompts_digest": "other prompts",
    "sheetgpt": "another version of sheetgpt",
}


def require_fitting(job: Job, about: Mapping[str, Any]) -> None:
    """Raises DumpError where the folder holds something else, or another job's shards."""
    if (job.folder / MANIFEST).exists():
        require_same(job.folder, about)
    elif job.folder.exists() and (not job.folder.is_dir() or any(job.folder.iterdir())):
        raise DumpError("holds something else", where=job.folder, remedy="name a new folder by -o")


def begin(job: Job, about: Mapping[str, Any], model: Model) -> None:
    """The folder, and what it says of itself."""
    atomic.sweep(job.folder)
    atomic.write_file(job.folder / TOKENS, [json.dumps(model.vocabulary(), ensure_ascii=False).encode()])
    atomic.write_file(job.folder / MANIFEST, [json.dumps(about, indent=1).encode() + b"\n"])


def require_same(folder: Path, about: Mapping[str, Any]) -> None:
    before = read_json(folder / MANIFEST)
    known = before if isinstance(before, dict) and "fingerprint" in before else {}
    if not known:
        raise DumpError("holds something else", where=folder, remedy="name a new folder by -o")
    for name, what in DIFFERENT.items():
        if known.get(name) != about[name]:
            raise DumpError(
                f"was begun with {what}", where=folder, remedy="name a new folder by -o, or delete this one"
            )


# ------------------------------------------------------------------------------------------------ what it takes


@dataclass(frozen=True)
class Plan:
    """What a job takes."""

    prompts: int
    bad: int
    shards: int
    done: int  # shards
    stages: int
    bytes: int  # of all shards
    missing_bytes: int  # of those that are not there
    free_bytes: int

    @property
    def bytes_a_prompt(self) -> float:
        return self.bytes / max(1, self.prompts - self.bad)

    def sentence(self) -> str:
        bad = f" ({self.bad:,} bad)" if self.bad else ""
        done = f", {self.done:,} of them done" if self.done else ""
        stages = counted(self.stages, "stage") if self.stages else "no stages"
        return (
            f"{counted(self.prompts, 'prompt')}{bad} in {counted(self.shards, 'shard')}{done}; {stages}: "
            f"{size(self.bytes_a_prompt)} a prompt, {size(self.bytes)} in all; {size(self.free_bytes)} are free."
        )


def plan_of(job: Job, entries: Sequence[Entry]) -> Plan:
    shards = list(shards_of(entries, job.shard))
    sizes = [shard_bytes(job, some) for _, some in shards]
    there = [job.path(number).is_file() for number, _ in shards]
    missing = sum(size for size, is_there in zip(sizes, there, strict=True) if not is_there)
    bad = sum(entry.error is not None for entry in entries)
    free = shutil.disk_usage(nearest(job.folder)).free
    return Plan(len(entries), bad, len(shards), sum(there), len(job.stages), sum(sizes), missing, free)


def shard_bytes(job: Job, entries: Sequence[Entry]) -> int:
    """The numbers of a shard; its header is a little more."""
    return sum(tensor.nbytes for tensor in layout_of(job.shapes, entries, job.dtype).values())


def nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def require_room(plan: Plan, folder: Path) -> None:
    """Raises DumpError where the disk can't hold what is still to be written."""
    if plan.missing_bytes > plan.free_bytes:
        what = f"has {size(plan.free_bytes)} free, and the shards take {size(plan.missing_bytes)} more"
        raise DumpError(what, where=nearest(folder), remedy="keep fewer --stages, or name another folder by -o")


def size(count: float) -> str:
    """Bytes as people read them.

    >>> size(900), size(8_960_000), size(2.5e12)
    ('900 B', '9.0 MB', '2.5 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
