"""Files that a page's sessions begin with: what a port dumped, its token ids, what it generated; edited workbooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from foreign_workbook import write_foreign
from sheetgpt.diff.mistakes import known_mistakes
from sheetgpt.model import load_model
from sheetgpt.run.forward import forward
from sheetgpt.run.trace import Trace
from sheetgpt.workbook.grid import cell
from workbooks import areas_of, set_cell

PROMPT = "Mike is quick. He moves"
MISTAKES = {  # of the port whose numbers docs/diff.md looks into, by the stage in which each is made
    "block_0_step_2": "sample variance",
    "block_0_step_14": "exact (erf) GELU",
    "block_1_step_10": "block 0's residual",
}
STALE_STEP = 4  # of the port's generation, from 1
EDITED_BY_OTHERS = "block_1_step_9"


def arrays_of_a_port(folder: Path) -> None:
    np.savez(folder / "port.npz", **stages_of_a_port(load_model().run(PROMPT)))


def of_a_port(folder: Path) -> None:
    model = load_model()
    trace = model.run(PROMPT)
    np.savez(folder / "port.npz", **stages_of_a_port(trace))
    np.savetxt(folder / "mine.csv", trace.array("block_1_step_9"), delimiter=",")
    lines = ["Mike is quick. He moves", "Mike moves quickly"]
    (folder / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    token = model.tokenizer.tokens.index
    ids = [model.tokenizer.encode(lines[0]), [*model.tokenizer.encode("Mike moves"), token(" quick"), token("ly")]]
    (folder / "port.jsonl").write_text("\n".join(map(json.dumps, ids)), encoding="utf-8")
    (folder / "generated.json").write_text(json.dumps(generated_by_a_port(trace.token_ids)), encoding="utf-8")


def stages_of_a_port(trace: Trace) -> dict[str, np.ndarray]:
    """All stages, computed on from the three mistakes."""
    mistakes = {one.name: one for one in known_mistakes(trace.sizes)}
    wrong = {name: mistakes[cause].change(trace.steps[name], trace.steps) for name, cause in MISTAKES.items()}
    assert None not in wrong.values()
    steps = type(trace.steps)([wrong.get(step.name, step) for step in trace.steps])
    made = forward(steps, trace.weights, trace.steps.inputs(trace.token_ids), dtype=trace.dtype)
    return {name: np.atleast_2d(made[name]) for name in trace if name in made}


def generated_by_a_port(prompt_ids: list[int]) -> dict[str, object]:
    """Six greedy steps, written with five decimals; once the logits are those of the step before."""
    model, ids, steps = load_model(), list(prompt_ids), []
    logits = np.zeros(0)
    for number in range(1, 7):
        if number != STALE_STEP:
            logits = model.run(token_ids=ids).array("logits")[:, 0]
        ids.append(int(logits.argmax()))
        steps.append({"id": ids[-1], "logits": np.round(logits, 5).tolist()})
    return {"prompt_ids": prompt_ids, "steps": steps}


def prompts(folder: Path) -> None:
    """A prompt for each of six people, and a line that holds none."""
    people = [("Mike", "He"), ("Anna", "She"), ("Tom", "He")]
    lines = [f"{name} is {word}. {one} moves" for name, one in people for word in ("quick", "slow")]
    (folder / "prompts.txt").write_text("\n".join([*lines, "", ""]), encoding="utf-8")


def of_others(folder: Path) -> None:
    """A workbook that names no stage, in which a cell was changed."""
    write_foreign(folder / "theirs.xlsx", load_model().run(PROMPT), edited=EDITED_BY_OTHERS)


def typed_over(folder: Path) -> None:
    """The workbook of a run, with a 0 where the last token looks at the adjective."""
    book = load_model().run(PROMPT).to_excel(folder / "edited.xlsx")
    area = areas_of(book)["block_1_step_7"][0]
    set_cell(book, f"{area.tab}!{cell(area.row + 5, area.column + 14)}", 0)


GIVEN: dict[str, Callable[[Path], None]] = {
    "docs/commands/diff": arrays_of_a_port,
    "docs/commands/locate": of_others,
    "docs/commands/resume": typed_over,
    "docs/diff": of_a_port,
    "docs/lenses": prompts,
}
