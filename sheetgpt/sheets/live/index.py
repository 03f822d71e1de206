"""The first tab of the live workbook: how to play with it, what it predicts, where everything is; and the prediction.

The stages' formulas belong in `write`, the words in `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sheetgpt.models.kinds import kind_of
from sheetgpt.models.step import Role
from sheetgpt.sheets import shared
from sheetgpt.sheets.live.checks import FAULT
from sheetgpt.sheets.live.experiment import Experiment, experiment
from sheetgpt.sheets.live.merges import token_text
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import WORDS, words_area
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.places import INDEX, Place
from sheetgpt.workbook.references import N_TOKENS

SUBTITLE = "A language model in formulas: nothing here is computed anywhere else."
READY = "ready"  # the message where nothing is wrong
BRACES = "Formulas in braces fill a range: to replace one, select the range, copy, paste values, then change a cell."
ANY_CELL = "Each cell has a formula of its own: type over any of them."
LONGEST_PROMPT = 500  # words that a formula can join: it may have 8,192 characters
LEGEND = (
    ("legend input", "input", "cells and tab: type here, words or token ids"),
    ("legend parameter", "parameter", "cells and tabs: what training found; change it as you like"),
    ("legend stage", "formula", "cells and tabs: computed; empty and white beyond the prompt"),
)
MESSAGE_HEIGHT = 54  # four lines: whole in its cell, as the chart stands beside it
Fact = tuple[str, str, float | str, str]  # key, formula, cached value, format
NO_TOKENS = f'IF({N_TOKENS}=0,"",'  # begins what is empty while nothing can be predicted


def title_of(plan: Plan) -> str:
    return f"{kind_of(plan.trace.config).title}, live"


def how_to_play(plan: Plan, played: Experiment | None = None) -> list[str]:
    """Five lines. played: the cell to try."""
    room = f"There is room for {plan.max_tokens} tokens"
    if plan.portable:
        room = f"The sheet is laid out for {plan.max_tokens} tokens: a change keeps their number"
    if plan.has_words:
        word = "word on the tab words" + (", or a parameter on a green tab" if played else "")
        first = f"Change a {word}: everything down to the prediction follows. {room}."
        second = (
            "A word takes the space before it along. What can't be read is told beside it; nothing is predicted then."
        )
    elif plan.typed is None:
        first = f"Change a token id on the tab embeddings: everything down to the prediction follows. {room}."
        second = "This model has no token table, so tokens are shown by their ids."
    else:
        first = f"Change a cell of {plan.typed.name}: all steps of the blocks here follow. {room}."
        second = "This is a part of a model: its first block's input is typed, its last block's output goes nowhere."
    attention = [step.name for step in plan.steps if step.by_head and step.op.shares]
    named = attention[-1] if attention else plan.trace.steps.name(Role.LOGITS)
    third = f"Change a parameter on a green tab{f', or type over one cell of {named}' if attention else ''}."
    if played:
        third, named = played.sentence, played.found.stage
    return [
        first,
        second,
        third,
        f"Every stage has a name: type {named} into the name box to go there, or use it in formulas of your own.",
        ANY_CELL if plan.portable else BRACES,
    ]


def write_index(
    book: Book, plan: Plan, places: Mapping[str, Place], weights: Mapping[str, Area], best: Area | None
) -> None:
    """The first tab. best: the table of the best tokens, where there is one."""
    shared.index_head(book, title_of(plan), SUBTITLE)
    row, played = 3, experiment(plan, places)
    for number, line in enumerate(how_to_play(plan, played), start=1):
        if played and line == played.sentence:
            target, link = f"internal:{played.at.address()}", book.format("link")
            book.sheets[INDEX].write_url(row, 1, target, link, f"{number}.  {line}")
        else:
            book.text(INDEX, row, 1, f"{number}.  {line}", "line")
        row += 1
    row += 1
    top = row
    for fmt, name, meaning in LEGEND:
        book.text(INDEX, row, 1, name, fmt)
        book.text(INDEX, row, 2, meaning, "key")
        row += 1
    row = write_facts(book, plan, places, best, row + 1)
    if best:
        shared.place_chart(book, best, min(shared.BEST, plan.trace.config.n_vocab), top)
    row = max(row, top + 14)
    shared.write_stage_list(book, plan.steps, places, row)
    write_weight_list(book, weights, row + len(places) + 2)


def write_facts(book: Book, plan: Plan, places: Mapping[str, Place], best: Area | None, row: int) -> int:
    """What the sheet says of the prompt and the model; the row after it."""
    live: list[Fact] = [
        ("Message", f'=IF(message<>"",message,IF({FAULT}<>"",{FAULT},"{READY}"))', READY, "message lines"),
        ("Tokens in use", f"={N_TOKENS}", len(plan.trace.token_ids), "value"),
        *prompt_fact(plan),
        *(prediction_facts(plan, places, best) if best else []),
    ]
    warning = book.conditional({"font_color": style.WARNING})
    rule = {"type": "cell", "criteria": "!=", "value": f'"{READY}"', "format": warning}
    book.sheets[INDEX].conditional_format(row, 2, row, 2, rule)  # the message
    book.sheets[INDEX].set_row(row, MESSAGE_HEIGHT)
    for number, (key, formula, value, fmt) in enumerate(live, start=row):
        book.text(INDEX, number, 1, key, "key")
        book.formula(INDEX, number, 2, formula, value, fmt)
    changed = [(shared.CHANGED, ", ".join(plan.trace.overridden))] if plan.trace.overridden else []
    fixed: list[tuple[str, str | int]] = [*shared.model_facts(plan.trace), *changed, *plan.trace.config.rows()]
    for number, (key, text) in enumerate(fixed, start=row + len(live)):
        book.text(INDEX, number, 1, key, "key")
        if isinstance(text, str):
            book.text(INDEX, number, 2, text, "value")
        else:
            book.number(INDEX, number, 2, text, "value")
    return row + len(live) + len(fixed)


def prompt_fact(plan: Plan) -> list[Fact]:
    if not plan.has_words or plan.max_tokens > LONGEST_PROMPT:
        return []
    words = words_area(plan)
    joined = "&".join(f"{WORDS}!{cell(words.row + i, words.column)}" for i in range(words.rows))
    shown = plan.trace.prompt if plan.trace.merges else None
    return [(shared.PROMPT, f"={joined}", shown or "", "value")]


def prediction_facts(plan: Plan, places: Mapping[str, Place], best: Area) -> list[Fact]:
    token = places[plan.steps.name(Role.PREDICTION)].area.part(2, 1, 1, 1)
    share = f"{best.tab}!{cell(best.row, shared.BEST_COLUMNS.index('probability'))}"
    found = plan.trace.predictions(1)[0]
    return [
        ("Predicted token", f"={token.address()}", found.token, "message"),
        ("Its probability", f"={share}", found.probability, "share"),
    ]


def write_weight_list(book: Book, weights: Mapping[str, Area], row: int) -> None:
    """One line a parameter matrix, with the link to it."""
    for column, title in enumerate(("Parameters (their names)", "", "Shape", "", "Place"), start=1):
        book.text(INDEX, row, column, title, "table head")
    previous = None
    for number, (name, area) in enumerate(weights.items(), start=row + 1):
        line = "" if previous == area.tab else "first "
        previous = area.tab
        shared.list_line(book, number, line, name, "", f"{area.rows} x {area.columns}", "")
        shared.link_to(book, number, line, area, area.row - 2)


# ------------------------------------------------------------------------------------------------ the prediction


def write_predicted_token(book: Book, plan: Plan, area: Area, formulas: Sequence[str]) -> None:
    """The greatest logit, its token's id, its token."""
    texts = [f"={NO_TOKENS}{formula})" for formula in formulas]
    texts.append(f"={NO_TOKENS}{token_text(plan, cell(area.row + 1, area.column + 1))})")
    formats = ("live number", "live count", "live strong")
    lines = zip(plan.trace.prediction_table(), texts, formats, strict=True)
    for number, ((label, value), formula, fmt) in enumerate(lines, start=area.row):
        book.text(area.tab, number, area.column, label, "key")
        book.formula(area.tab, number, area.column + 1, formula, value, fmt)


def best_id(logits: str, best: Area, row: int) -> str:
    """The formula for the id of the best token in a row of their table; of equals, the smaller id comes first."""
    first, logit = cell(best.row, 3, fixed=True), cell(row, 3)
    return f"SMALL(IF({logits}={logit},logit_ids),SUM(--({first}:{logit}={logit})))"


def write_best_tokens(
    book: Book, plan: Plan, places: Mapping[str, Place], id_formula: Callable[[str, Area, int], str] = best_id
) -> Area:
    """The ten best tokens, without FILTER or SORT; of equals, the smaller id comes first. Returns where they stand."""
    area = shared.best_tokens_head(book, places[plan.steps.name(Role.PREDICTION)])
    logits = plan.steps.name(Role.LOGITS)
    for row, one in enumerate(plan.trace.predictions(shared.BEST), start=area.row):
        rank, token_id = cell(row, 0), cell(row, 2)
        ids = id_formula(logits, area, row)
        share = f"INDEX(token_probabilities,{token_id}+1)"
        book.number(area.tab, row, 0, one.rank, "position")
        cells: tuple[tuple[str, float | str, str], ...] = (
            (f"={NO_TOKENS}{token_text(plan, token_id)})", one.token, "live text"),
            (f"{{={NO_TOKENS}{ids})}}", one.id, "live count"),
            (f"={NO_TOKENS}LARGE({logits},{rank}))", one.logit, "live number"),
            (f"={NO_TOKENS}{share})", one.probability, "live probability"),
        )
        for column, (formula, value, fmt) in enumerate(cells, start=1):
            book.formula(area.tab, row, column, formula, value, fmt)
    return area
