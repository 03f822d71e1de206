"""A run as Jupyter shows it: the prompt's tokens, the tokens that may come next, and its stages, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby

import numpy as np

from sheetgpt.files.text import counted
from sheetgpt.models.step import Part, Role, Step
from sheetgpt.notebook import looks
from sheetgpt.notebook.cells import hint, token
from sheetgpt.notebook.strips import image, span
from sheetgpt.notebook.tables import GAP, picked
from sheetgpt.run.trace import Prediction, Trace

BEST = 10  # tokens
MOST_TOKENS = 60  # of the prompt
MOST_IMAGES = 80  # stages of a run, beyond which only each block has one


def html(trace: Trace) -> str:
    """The whole of it."""
    return looks.whole(prompt(trace), best(trace), *groups(trace))


def prompt(trace: Trace) -> str:
    """The tokens with their ids, and the answer; of a long prompt the first and the last."""
    places = picked(range(len(trace.token_ids)), MOST_TOKENS)
    tokens = "".join("… " if place is GAP else boxed(trace.tokens[place], trace.token_ids[place]) for place in places)
    count = f"<small>{len(trace.token_ids)} tokens</small>" if GAP in places else ""
    return f'<div class="tokens">{tokens}{answer(trace)}</div>{count}{changes(trace)}'


def answer(trace: Trace) -> str:
    if not trace.has(Role.PREDICTION):
        return ""
    _, (_, token_id), (_, text) = trace.prediction_table()
    return f'<span class="answer">→ {escape(token(text))} <small>{token_id}</small></span>'


def changes(trace: Trace) -> str:
    names = ", ".join(map(escape, trace.overridden))
    return names and f"<p><small>set by hand: {names}</small></p>"


def boxed(text: str, token_id: int) -> str:
    return f"<span{hint(text)}>{escape(token(text))} <small>{token_id}</small></span> "


def best(trace: Trace) -> str:
    """The most probable next tokens with bars; nothing where a kept run has no logits."""
    if not trace.has(Role.LOGITS):
        return ""
    with np.errstate(all="ignore"):
        rows = "".join(map(likely, trace.predictions(BEST)))
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("rank", "token", "id", "logit", "probability", ""))
    return (
        f'<p><small>what comes next</small></p><div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def likely(one: Prediction) -> str:
    width = 100 * np.nan_to_num(one.probability)
    return (
        f'<tr><th scope="row">{one.rank}</th><td class="t"{hint(one.token)}>{escape(token(one.token))}</td>'
        f'<td class="z">{one.id}</td><td title="{one.logit}">{one.logit:.3f}</td>'
        f'<td title="{one.probability}">{one.probability:.2%}</td>'
        f'<td class="bar" style="--s:{width:.1f}%"></td></tr>'
    )


# ------------------------------------------------------------------------------------------------ stages


def groups(trace: Trace) -> Iterator[str]:
    """The stages, those of a part of the model or of a block together."""
    for name, steps in groupby((trace.step(name) for name in trace), part_of):
        yield folded(trace, name, list(steps))


def part_of(step: Step) -> str:
    if step.block is not None:
        return f"block {step.block}"
    return Part.HEAD.value if step.part is Part.LOGITS else step.part.value


def folded(trace: Trace, name: str, steps: list[Step]) -> str:
    """A group, of which a closed one shows its last matrix."""
    last = next((strip(trace, step) for step in reversed(steps) if not step.is_text), "")
    rows = "".join(stage(trace, step) for step in steps)
    count = counted(len(steps), "stage")
    return (
        f"<details><summary>{name} <small>{count}</small>{last}</summary>"
        f'<div class="scroll"><table><tbody>{rows}</tbody></table></div></details>'
    )


def stage(trace: Trace, step: Step) -> str:
    shape = " × ".join(map(str, shape_of(trace, step)))
    drawn = strip(trace, step) if len(trace) <= MOST_IMAGES else ""
    spanned = "" if step.is_text else span(trace.array(step.name))
    return (
        f'<tr><th scope="row"><b>{escape(step.name)}</b></th><td class="t">{escape(step.title)}</td>'
        f'<td>{shape}</td><td>{drawn}</td><td class="z">{spanned}</td></tr>'
    )


def shape_of(trace: Trace, step: Step) -> tuple[int, ...]:
    if not step.is_text:
        return trace.array(step.name).shape
    table = trace.text_table(step.name)
    return len(table), max(map(len, table), default=0)


def strip(trace: Trace, step: Step) -> str:
    return "" if step.is_text else image(trace.array(step.name), shares=step.op.shares)
