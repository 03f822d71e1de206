"""A generation on record: its tokens, why it ended, how each token was picked, as data and as a folder of CSVs.

`EXPORTS/NAME/pick_0001.csv` is the table of the first new token, and so on; `manifest.json` tells the whole generation.
Picking belongs in `sample`, decoding in `decode`, the workbook in `workbook`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sheetgpt.dump import MANIFEST, csv_bytes, replacing_folder
from sheetgpt.generate.decode import Generated, LanguageModel
from sheetgpt.generate.sample import COLUMNS, PickTable, Sampling
from sheetgpt.weights.folder import folder_name

__all__ = ["Record", "write_folder"]

GENERATOR = "PCG64, upper 53 bits"  # of the random numbers
ENDS = ("n", "end of text", "context", "interrupted")  # why a generation ended


@dataclass
class Record:
    """A generation as far as it went."""

    model: LanguageModel  #: what generates
    prompt: str | None  #: the text; None where token ids were given
    prompt_ids: Sequence[int]  #: the prompt's tokens
    n: int  #: how many tokens were asked for
    sampling: Sampling  #: how tokens are chosen
    keep_tables: bool = False  #: are the picks' tables kept? They are needed for dumps only
    #: of each new token id, token, text, logit, probability, rank
    tokens: list[dict[str, Any]] = field(default_factory=list)
    tables: list[PickTable] = field(default_factory=list)  #: the picks' tables, where they are kept
    interrupted: bool = False  #: by Ctrl-C, which whoever follows the tokens notes here
    slides: int = 0  #: how often a full context went on with its newest tokens
    ended_text: bool = False  #: did the model end the text?

    def following(self, tokens: Iterator[Generated]) -> Iterator[Generated]:
        """The same tokens, each one noted."""
        start = 0
        for token in tokens:
            self.slides += token.context_start != start
            start, self.ended_text = token.context_start, token.ends
            names = ("id", "token", "text", "logit", "probability", "rank")
            self.tokens.append({name: getattr(token, name) for name in names})
            if self.keep_tables:
                self.tables.append(token.pick.table())
            yield token

    @property
    def text(self) -> str:
        """The new tokens as text."""
        return "".join(token["text"] for token in self.tokens)

    @property
    def end(self) -> str:
        """One of ENDS."""
        if self.interrupted:
            return "interrupted"
        if self.ended_text:
            return "end of text"
        return "n" if len(self.tokens) == self.n else "context"

    def as_data(self) -> dict[str, Any]:
        """The record as JSON has it."""
        sampling = self.sampling
        return {
            "sheetgpt": version("sheetgpt"),
            "prompt": self.prompt,
            "prompt_tokens": [
                {"position": position, "id": i, "token": self.model.token(i)}
                for position, i in enumerate(self.prompt_ids)
            ],
            "text": self.text,
            "tokens": self.tokens,
            "end": self.end,
            "slides": self.slides,
            "sampling": {"greedy": sampling.greedy, **vars(sampling), "generator": GENERATOR},
            "constants": dict(self.model.config.rows()),
            "dtype": str(self.model.weights.dtype),
            "weights": folder_name(self.model.weights.folder) if self.model.weights.folder else None,
        }


def pick_name(number: int) -> str:
    """The stage's name of the pick of new token `number`, from 1.

    >>> pick_name(7)
    'pick_0007'
    """
    return f"pick_{number:04d}"


def pick_title(record: Record, number: int) -> str:
    token = record.tokens[number - 1]
    return f'new token {number}: "{token["token"]}" (id {token["id"]}, rank {token["rank"]})'


def write_folder(record: Record, folder: Path) -> Path:
    """Write every pick's table and the manifest, all or nothing. The record must have kept its tables."""
    stages = []
    with replacing_folder(folder) as temporary:
        for number, table in enumerate(record.tables, start=1):
            name = pick_name(number)
            rows = list(table.rows(record.model.token))
            if table.hidden:
                rows.append(["", "", table.left_out(), *[""] * (len(COLUMNS) - 3)])
            (temporary / f"{name}.csv").write_bytes(csv_bytes([COLUMNS, *rows]))
            stages.append({"name": name, "title": pick_title(record, number), "shape": [len(rows), len(COLUMNS)]})
        about = json.dumps(record.as_data() | {"stages": stages}, ensure_ascii=False, indent=1) + "\n"
        (temporary / MANIFEST).write_text(about, encoding="utf-8")
    return folder
