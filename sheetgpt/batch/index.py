"""RUNS/index.parquet: a row a prompt, made from the shards in order by one writer. Reading belongs in `store`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sheetgpt.batch.extra import needed
from sheetgpt.batch.shards import Entry, Shard
from sheetgpt.batch.store import INDEX, Runs, shard_path
from sheetgpt.files import atomic

COLUMNS = {  # name -> its type, as pyarrow calls it
    "number": "int64",
    "prompt": "string",
    "token_ids": "list<int64>",
    "tokens": "list<string>",
    "predicted_id": "int64",
    "predicted_token": "string",
    "probability": "double",
    "mean_loss": "double",
    "perplexity": "double",
    "error": "string",
    "shard": "int64",
    "row": "int64",
}


def schema() -> Any:
    pa = needed("pyarrow")

    def kind(name: str) -> Any:
        inner = name.removeprefix("list<").removesuffix(">")
        found = pa.float64() if inner == "double" else getattr(pa, inner)()
        return pa.list_(found) if inner != name else found

    return pa.schema([(name, kind(of)) for name, of in COLUMNS.items()])


def write_index(folder: Path, runs: Runs) -> Path:
    """The index of all shards, which must be there."""
    pa, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    path, columns = folder / INDEX, schema()
    with atomic.replacing(path) as temporary, parquet.ParquetWriter(temporary, columns) as out:
        for number in range(-(-len(runs) // runs.shard_size)):
            shard = Shard(shard_path(folder, number), runs.shapes)
            rows = [row_of(runs, shard, number, row) for row in range(len(shard.entries))]
            out.write_table(pa.Table.from_pylist(rows, schema=columns))
    return path


def row_of(runs: Runs, shard: Shard, number: int, row: int) -> dict[str, Any]:
    entry, answer = shard.entries[row], shard.answer(row)
    found: dict[str, Any] = {**texts_of(entry), "number": entry.number, "shard": number, "row": row}
    if answer is not None:
        found |= {"predicted_id": answer.predicted, "predicted_token": runs.vocabulary[answer.predicted]}
        found |= {"probability": answer.probability} | losses(answer.mean_loss)
    return found


def texts_of(entry: Entry) -> Mapping[str, Any]:
    prompt = None if entry.prompt is None else entry.prompt.encode(errors="backslashreplace").decode()
    return {"prompt": prompt, "token_ids": entry.token_ids, "tokens": entry.tokens, "error": entry.error}


def losses(mean: float) -> dict[str, float]:
    """The mean loss and the perplexity; nothing of a prompt of one token."""
    if math.isnan(mean):
        return {}
    return {"mean_loss": mean, "perplexity": math.exp(mean) if mean < math.log(1.7e308) else math.inf}
