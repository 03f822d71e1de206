"""A generation as others, or `sheetgpt generate`, write it: the prompt's ids, and of each new token its id and logits.

Read are JSON and JSON lines with an entry a step, .npz and .safetensors with all steps in one array, our own JSON and
our folder of picks. Comparing belongs in `steps`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sheetgpt.dump import MANIFEST, read_manifest
from sheetgpt.errors import DumpError
from sheetgpt.files.paths import existing
from sheetgpt.fixtures.files import load
from sheetgpt.fixtures.json_files import array_of
from sheetgpt.fixtures.named import DAMAGED, one_line
from sheetgpt.generate.record import pick_name

PROMPT_KEYS = ("prompt_ids", "token_ids")
ID, IDS, LOGITS, STEPS = "id", "ids", "logits", "steps"
OURS = ("prompt_tokens", "tokens", "sampling")  # what the record of `sheetgpt generate` has
JSON, JSON_LINES = ".json", ".jsonl"
ARRAYS = (".npz", ".safetensors")
KEY = re.compile(rb'"([^"\\]{1,40})"\s*:')
WRITE_SO = 'write {"prompt_ids": [...], "steps": [{"id": ..., "logits": [...]}, ...]}'


@dataclass(frozen=True)
class Step:
    """A new token: its id, and the logits that it was chosen from, as far as they are told."""

    id: int
    logits: np.ndarray = field(repr=False)  # [n]
    of: np.ndarray | None = field(default=None, repr=False)  # whose logits these are; None: ids 0, 1, 2, ...


@dataclass(frozen=True)
class Generation:
    """A prompt and the tokens that were made after it."""

    label: str
    prompt_ids: list[int] | None  # None: not told
    steps: list[Step]
    about: Mapping[str, Any] = field(default_factory=dict)  # our own record's other entries

    @property
    def is_greedy(self) -> bool | None:
        """None: not told."""
        greedy: bool | None = self.about.get("sampling", {}).get("greedy")
        return greedy


def is_generation(text: str) -> bool:
    """Is it, as it is typed, a generation?"""
    path = existing(text)
    try:
        return path is not None and reader_of(path) is not None
    except (*DAMAGED, DumpError):  # whatever opens it otherwise says better what is wrong
        return False


def opened(text: str) -> Generation:
    """Raises DumpError, in one line, where it can't be read."""
    path = existing(text)
    try:
        read = reader_of(path) if path is not None else None
        if path is None or read is None:
            raise DumpError("is no generation", where=text, remedy=WRITE_SO)
        return checked(read(path))
    except DAMAGED as error:
        raise DumpError(f"can't be read as a generation ({one_line(error)})", where=text, remedy=WRITE_SO) from None


def reader_of(path: Path) -> Callable[[Path], Generation] | None:
    """What reads it; None where it is no generation."""
    if path.is_dir():
        return from_folder if (path / MANIFEST).exists() and is_ours(read_manifest(path)) else None
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        names = set(load(path))
        return from_arrays if {IDS, LOGITS} <= names and names.intersection(PROMPT_KEYS) else None
    if suffix not in (JSON, JSON_LINES):
        return None
    keys = {key.decode(errors="replace") for key in KEY.findall(path.read_bytes())}  # parsing a large run takes long
    may_be = {ID, LOGITS} <= keys or set(OURS) <= keys
    return from_json if may_be and holds_steps(parsed(path)) else None


def is_ours(content: object) -> bool:
    return isinstance(content, dict) and set(OURS) <= set(content)


def holds_steps(content: object) -> bool:
    """Is it an entry a step, in a list or under its key, or our own record?"""
    if is_ours(content):
        return True
    entries = content.get(STEPS) if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return False
    made = [entry for entry in entries if ID in entry]
    others = [entry for entry in entries if ID not in entry]
    return bool(made) and all(set(entry).intersection(PROMPT_KEYS) for entry in others)


def parsed(path: Path) -> Any:
    text = path.read_bytes()
    if path.suffix.lower() == JSON:
        return json.loads(text)
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 and isinstance(lines[0], dict) and ID not in lines[0] else lines


def checked(found: Generation) -> Generation:
    """Raises DumpError where there is no step, or one has other logits than the first."""
    sizes = {len(step.logits) for step in found.steps if step.of is None}
    if not found.steps or len(sizes) > 1:
        what = f"holds logits of {' and '.join(map(str, sorted(sizes)))} tokens" if sizes else "holds no step"
        raise DumpError(what, where=found.label, remedy=WRITE_SO)
    return found


# ------------------------------------------------------------------------------------------------ reading


def from_json(path: Path) -> Generation:
    content = parsed(path)
    if is_ours(content):
        return from_record(str(path), content, lambda number: picked_only(content, number))
    parts: Sequence[Mapping[str, Any]] = content if isinstance(content, list) else [content, *content[STEPS]]
    told = (part[key] for part in parts for key in PROMPT_KEYS if key in part)
    prompt = next(told, None)
    steps = [from_entry(entry) for entry in parts if ID in entry]
    return Generation(str(path), None if prompt is None else whole(array_of(prompt)), steps)


def from_entry(entry: Mapping[str, Any]) -> Step:
    logits = entry.get(LOGITS)
    if logits is None:
        return Step(whole(np.array([entry[ID]]))[0], np.empty(0), np.empty(0, int))
    return Step(whole(np.array([entry[ID]]))[0], array_of(logits).ravel())


def from_arrays(path: Path) -> Generation:
    arrays = load(path)
    prompt = next(arrays[key] for key in PROMPT_KEYS if key in arrays)
    ids, logits = whole(arrays[IDS]), arrays[LOGITS].astype(np.float64)
    rows = logits.reshape(len(ids), -1) if ids else logits[:0]
    return Generation(str(path), whole(prompt), [Step(i, row) for i, row in zip(ids, rows, strict=True)])


def from_folder(folder: Path) -> Generation:
    """What `generate --dump-csv` wrote: a manifest, and a table of each pick."""
    return from_record(str(folder), read_manifest(folder), lambda number: picks_in(folder / f"{pick_name(number)}.csv"))


def from_record(label: str, about: Mapping[str, Any], logits_of: Callable[[int], Mapping[int, float]]) -> Generation:
    """about: our record. logits_of: of the candidates of new token `number`, from 1, as far as they are there."""
    steps = []
    for number, token in enumerate(about["tokens"], 1):
        known = logits_of(number)
        steps.append(Step(int(token[ID]), np.array([*known.values()]), np.array([*known], int)))
    return Generation(label, [int(token[ID]) for token in about["prompt_tokens"]], steps, about)


def picked_only(about: Mapping[str, Any], number: int) -> dict[int, float]:
    token = about["tokens"][number - 1]
    return {int(token[ID]): float(token["logit"])}


def picks_in(file: Path) -> dict[int, float]:
    with file.open(newline="", encoding="utf-8") as lines:
        rows: Iterator[dict[str, str]] = csv.DictReader(lines)
        return {int(row[ID]): float(row["logit"]) for row in rows if row[ID]}


def whole(ids: np.ndarray) -> list[int]:
    """Raises ValueError where ids are no whole numbers."""
    flat = np.asarray(ids).ravel()
    if flat.dtype.kind not in "iuf" or not all(i == int(i) for i in flat.tolist()):
        raise ValueError("its ids are no whole numbers")
    return [int(i) for i in flat.tolist()]
