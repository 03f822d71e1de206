"""The lenses on a run as the page asks for them: their tables, and the stage that each row and cell speaks of.

What the lenses find belongs in `sheetgpt.lens`; options have the names of the command line's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sheetgpt.errors import PromptError, StageError
from sheetgpt.lens import ablation, attribution, logits, patching
from sheetgpt.lens.directions import Part
from sheetgpt.lens.stream import stream_of
from sheetgpt.lens.tables import Look, Report, Table, fact_text
from sheetgpt.models.step import Axis
from sheetgpt.run.edit import parse
from sheetgpt.run.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

OF_ONE_RUN = ("lens", "attribute", "ablate")  # those that need no second prompt
LOOKS = {
    Look.PLAIN: "plain",
    Look.DIVERGING: "values",
    Look.SHARES: "shares",
    Look.RANKS: "ranks",
    Look.TOKENS: "tokens",
    Look.TEXTS: "plain",
}
Options = Mapping[str, str]
Place = tuple[str, int, int]  # stage or weight, row, column


@dataclass(frozen=True)
class Spoken:
    """What a table's rows and cells speak of, as its frame has them."""

    links: Sequence[str | None]
    places: Sequence[Sequence[Place | None]]


def tables(trace: Trace, name: str, options: Options, second: Callable[[], Trace]) -> list[dict[str, Any]]:
    """A lens on the run, by its command's name. second: the other prompt's run. Raises StageError, LensError."""
    made = {"lens": logit_lens, "attribute": attribute, "ablate": ablate}.get(name)
    if made is not None:
        return as_data(*made(trace, options))
    if name != "patch":
        raise StageError(f"there is no lens {name!r}", remedy="ask for lens, attribute, ablate or patch")
    other = second()
    clean, corrupt = (trace, other) if options.get("clean") == "this" else (other, trace)
    return as_data(*patch(clean, corrupt, options))


def as_data(report: Report, spoken: Sequence[Spoken]) -> list[dict[str, Any]]:
    """Each table as `Table` of page/src/source.ts; the first has the report's facts, the last its notes."""
    found = [table_data(table, said) for table, said in zip(report.tables, spoken, strict=True)]
    found[0]["facts"] = [(name, text_of(value)) for name, value in report.facts.items()]
    found[-1]["notes"] = [*found[-1]["notes"], *report.notes]
    return found


def text_of(fact: Any) -> str:
    """A fact as the command prints it; what holds quotes needs none around it."""
    return fact if isinstance(fact, str) and '"' in fact else fact_text(fact)


def table_data(table: Table, spoken: Spoken) -> dict[str, Any]:
    columns = range(table.frame.shape[1])
    looks = [table.look_of(column) for column in columns]
    return {
        "title": table.title,
        "facts": [],
        "notes": list(table.notes),
        "rowNames": table.row_names,
        "rows": [[str(level) for level in label] for label in table.row_labels()],
        "columnNames": [str(name or "") for name in table.frame.columns.names],
        "columns": [levels(label) for label in table.frame.columns],
        "cells": table.cells(),
        "looks": [LOOKS[look] for look in looks],
        "ends": [table.largest(None if look is table.look else column) for column, look in enumerate(looks)],
        "links": spoken.links,
        "places": spoken.places,
    }


def levels(label: Any) -> list[str]:
    return [str(one) for one in (label if isinstance(label, tuple) else (label,))]


# ------------------------------------------------------------------------------------------------ the lenses


def logit_lens(trace: Trace, options: Options) -> tuple[Report, list[Spoken]]:
    """Rows are tokens, so it is the columns that speak of stages."""
    found = logits.logit_lens(trace, options.get("token"), sublayers="sublayers" in options)
    report = found.report()
    rows = range(len(trace.token_ids))
    spoken = Spoken([None for _ in rows], [[(stage, row, 0) for stage in found.stages] for row in rows])
    return report, [spoken for _ in report.tables]


def attribute(trace: Trace, options: Options) -> tuple[Report, list[Spoken]]:
    """Blocks speak of what they leave behind, parts of the stage or weight that they come from."""
    found = attribution.attribute(trace, options.get("token"), options.get("against"))
    report = found.report(by_token="by_token" in options)
    parts = list(map(part_of, records(found.parts)))
    own = {part.label: place_of(trace, part.source, part.head) for part in parts}
    inside = {(part.block, part.place): own[part.label] for part in parts}
    leaves = {block: writes[-1].after.name for block, writes in stream_of(trace).blocks.items()}
    blocks = found.blocks
    spoken = [
        Spoken(
            [leaves[block] for block in blocks.index],
            [[inside.get((block, place)) for place in blocks.columns] for block in blocks.index],
        ),
        parts_spoken(report.tables[1].frame, own),
    ]
    if len(report.tables) > len(spoken):
        spoken.append(heads_spoken(trace, found.by_token, parts))
    return report, spoken


def part_of(record: Mapping[str, Any]) -> Part:
    """A row of an attribution's parts as the part that it was."""
    block, head = (int(one) if is_there(one := record[name]) else None for name in ("block", "head"))
    return Part(record["kind"], record["source"], record["adds"], block, head)


def parts_spoken(parts: pd.DataFrame, own: Mapping[str, Place]) -> Spoken:
    return Spoken(list(parts["source"]), [[own[part] for _ in parts.columns] for part in parts.index])


def heads_spoken(trace: Trace, by_token: pd.DataFrame, parts: Sequence[Part]) -> Spoken:
    """What a head adds by token: the weight with which the last token looks at that token."""
    sources = {(part.block, part.head): part.source for part in parts if part.head is not None}
    count = len(trace.token_ids)
    lines = [(sources[line], line[1]) for line in by_token.index]
    return Spoken(
        [source for source, _ in lines],
        [
            [(trace.steps[source].inputs[0], count - 1, head * count + key) for key in range(count)]
            for source, head in lines
        ],
    )


def ablate(trace: Trace, options: Options) -> tuple[Report, list[Spoken]]:
    """Cells speak of the stage that is changed, blocks of what they leave behind."""
    found = ablation.ablate(trace, options.get("token"), what=options.get("what"))
    report, frame = found.report(), found.logit
    pieces = {(piece.block, piece.place): piece for piece in ablation.pieces_of(stream_of(trace))}
    leaves = {block: piece.stage for (block, _), piece in pieces.items()}  # the last of a block is all of it
    known = [[pieces.get((block, place)) for place in frame.columns] for block in frame.index]
    places = [[None if one is None else place_of(trace, one.stage, one.head) for one in row] for row in known]
    return report, [Spoken([leaves[block] for block in frame.index], places) for _ in report.tables]


def patch(clean: Trace, corrupt: Trace, options: Options) -> tuple[Report, list[Spoken]]:
    """A row speaks of its stage, a cell of the piece that was put there."""
    stages = options.get("stage")
    found = patching.patch(clean, corrupt, None if stages is None else stages.split(), options.get("metric"))
    rows = found.patches
    kinds = rows["stage"].map(lambda name: corrupt.steps[name].in_any_block)
    spoken = [patches_spoken(corrupt, rows[kinds == kind]) for kind in found.maps]
    return found.report(), spoken


def patches_spoken(corrupt: Trace, rows: pd.DataFrame) -> Spoken:
    """The patches of one kind of stage, in the order of their map."""
    ordered = rows.assign(block=rows["block"].fillna(0), head=rows["head"].fillna(patching.WHOLE))
    ordered = ordered.sort_values(["block", "head", "position"], kind="stable")
    count = len(corrupt.token_ids)
    cells = [
        (str(row["stage"]), int(row["position"]), first_column(corrupt, row["stage"], int(row["head"])))
        for row in records(ordered)
    ]
    places = [cells[start : start + count] for start in range(0, len(cells), count)]
    return Spoken([row[0][0] for row in places], places)


def first_column(trace: Trace, stage: str, head: int) -> int:
    """Where a head's slice of a stage begins; 0 where all of a row is meant."""
    return patching.columns_of(trace.steps[stage], trace, head).start or 0


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, by the columns' names."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


# ------------------------------------------------------------------------------------------------ the second prompt


def prompt_in(options: Options) -> dict[str, Any]:
    """What the second run is asked for by: `second`, or ids as `second_ids`. Raises PromptError."""
    if "second_ids" not in options:
        return {"prompt": options.get("second", "")}
    try:
        return {"ids": [int(part) for part in options["second_ids"].replace(",", " ").split()]}
    except ValueError:
        what = f'token ids are whole numbers such as "3,1,2", not {options["second_ids"]!r}'
        raise PromptError(what) from None


def of_weights(sets: Sequence[str], trace: Trace) -> tuple[str, ...]:
    """Those that change weights: they hold for every prompt."""
    return tuple(text for text in sets if parse(text, trace.sizes).stage in trace.sizes.weights)


# ------------------------------------------------------------------------------------------------ places


def place_of(trace: Trace, name: str, head: int | None = None) -> Place:
    """Where the last token's row stands in a stage or weight, at the first column of a head."""
    step = trace.steps.by_name.get(name)
    if step is None:
        return name, row_of_weight(trace, name), 0
    matrix = trace.arrays[name]
    columns = matrix.shape[1] // step.op.groups
    return name, len(matrix) - 1, (head or 0) * columns


def is_there(number: Any) -> bool:
    """Is it the number of a block or head, and not pandas' missing one?"""
    return isinstance(number, int | np.integer)


def row_of_weight(trace: Trace, name: str) -> int:
    """The row of a weight that the last token takes."""
    counts = trace.sizes.weights[name].rows
    if counts is Axis.VOCABULARY:
        return trace.token_ids[-1]
    return len(trace.token_ids) - 1 if counts is Axis.POSITIONS else 0
