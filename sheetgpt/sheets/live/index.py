"""The first tab of the live workbook: how to play with it, what it predicts, where everything is; and the prediction.

The stages' formulas belong in `writer`, the words in `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sheetgpt.models.kinds import kind_of
from sheetgpt.models.step import Role
from sheetgpt.run.trace import Prediction
from sheetgpt.sheets import first_tab, shared, weight_tabs
from sheetgpt.sheets.live import checks, picks
from sheetgpt.sheets.live.checks import FAULT
from sheetgpt.sheets.live.experiment import Experiment
from sheetgpt.sheets.live.merges import token_text
from sheetgpt.sheets.live.plan import Plan
from sheetgpt.sheets.live.words import WORDS, words_area
from sheetgpt.sheets.way import PICTURES, Way, write_way
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.grid import Area, cell
from sheetgpt.workbook.places import INDEX, Place, tabs
from sheetgpt.workbook.references import N_TOKENS

SUBTITLE = "A language model in formulas: nothing here is computed anywhere else."
TOP = 3  # the row of the prompt
MESSAGE = "Message"
READY = "ready"  # the message where nothing is wrong
BRACES = "Formulas in braces fill a range: to replace one, select the range, copy, paste values, then change a cell."
ANY_CELL = "Each cell has a formula of its own: type over any of them."
LONGEST_PROMPT = 500  # words that a formula can join: it may have 8,192 characters
LEGEND = (
    ("legend input", "input", "cells and tab: type here, words or token ids"),
    ("legend parameter", "parameter", "cells and tabs: what training found; change it as you like"),
    ("legend stage", "formula", "cells and tabs: computed; empty and white beyond the prompt"),
)
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
    book: Book,
    plan: Plan,
    places: Mapping[str, Place],
    weights: Mapping[str, Area],
    best: Area | None,
    played: Experiment | None,
) -> None:
    """The first tab. best: the table of the best tokens, where there is one; played: the cell to try."""
    first_tab.first_tab(book, title_of(plan), SUBTITLE)
    facts = [*prompt_fact(plan), *message_fact()]
    first_tab.high_rows(book, TOP, TOP + len(facts))
    write_live_facts(book, facts, TOP)
    row = top = TOP + len(facts)
    facts = [*(prediction_facts(plan, places, best) if best else []), tokens_fact(plan)]
    first_tab.high_rows(book, row, row + len(facts) - 1)
    row = write_live_facts(book, facts, row) + 1
    for row, (fmt, name, meaning) in enumerate(LEGEND, start=row):  # noqa: B020 - goes on from there
        book.text(INDEX, row, 1, name, fmt)
        book.text(INDEX, row, 2, meaning, "key")
    behind = write_how_to_play(book, plan, played, top)
    way = Way(book, plan.trace, plan.steps, places, plan.max_tokens, live=True, top=max(row, behind) + 2)
    row = write_way(way, best)
    changed = [(shared.CHANGED, ", ".join(plan.trace.overridden))] if plan.trace.overridden else []
    row = first_tab.write_facts(book, [*shared.model_facts(plan.trace), *changed, *plan.trace.config.rows()], row) + 1
    row = first_tab.write_parameters(book, plan.trace.sizes.weights, row) + 1
    listed = {*tabs(places), *(area.tab for area in weights.values())}
    row = first_tab.write_tab_list(book, listed, {picks.PICK: picks.HEADING, checks.CHECKS: checks.HEADING}, row)
    row = first_tab.write_stage_list(book, plan.steps, places, row) + 1
    targets = {name: weight_tabs.title_of(area) for name, area in weights.items()}
    first_tab.write_weight_list(book, plan.weights, targets, row)
    shared.link_weights(book, plan.steps, places, targets)


def write_how_to_play(book: Book, plan: Plan, played: Experiment | None, top: int) -> int:
    """The lines beside the prediction; the row behind. played: the cell to try, to which its line leads."""
    lines = how_to_play(plan, played)
    for row, line in enumerate(lines, start=top):
        text = f"{row - top + 1}.  {line}"
        if played and line == played.sentence:
            book.link(INDEX, row, PICTURES, played.at.address(), text, "link")
        else:
            book.text(INDEX, row, PICTURES, text, "line")
    return top + len(lines)


def write_live_facts(book: Book, facts: Sequence[Fact], top: int) -> int:
    """What the sheet says of the prompt; the row behind."""
    for row, (key, formula, value, fmt) in enumerate(facts, start=top):
        book.text(INDEX, row, 1, key, "key")
        book.leaf(INDEX, row, 2, formula, value, fmt)
        if key == MESSAGE:
            warning = book.conditional({"font_color": style.WARNING})
            rule = {"type": "cell", "criteria": "!=", "value": f'"{READY}"', "format": warning}
            book.rule(rule, Area(INDEX, row, 2, 1, 1))
        elif fmt == "answer":
            book.show_spaces(Area(INDEX, row, 2, 1, 1))
    return top + len(facts)


def message_fact() -> list[Fact]:
    return [(MESSAGE, f'=IF(message<>"",message,IF({FAULT}<>"",{FAULT},"{READY}"))', READY, "message")]


def tokens_fact(plan: Plan) -> Fact:
    return ("Tokens in use", f"={N_TOKENS}", len(plan.trace.token_ids), "value")


def prompt_fact(plan: Plan) -> list[Fact]:
    if not plan.has_words or plan.max_tokens > LONGEST_PROMPT:
        return []
    words = words_area(plan)
    joined = "&".join(f"{WORDS}!{cell(words.row + i, words.column)}" for i in range(words.rows))
    shown = plan.trace.prompt if plan.trace.merges else None
    return [(shared.PROMPT, f"={joined}", shown or "", "prompt")]


def prediction_facts(plan: Plan, places: Mapping[str, Place], best: Area) -> list[Fact]:
    token = places[plan.steps.name(Role.PREDICTION)].area.part(2, 1, 1, 1)
    share = f"{best.tab}!{cell(best.row, shared.BEST_COLUMNS.index('probability'))}"
    found = plan.trace.predictions(1)[0]
    return [
        ("Predicted token", f"={token.address()}", found.token, "answer"),
        ("Its probability", f"={share}", found.probability, "answer share"),
    ]


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
    """The best tokens, without FILTER or SORT; of equals, the smaller id comes first. Returns where they stand."""
    area = shared.best_tokens_head(book, places[plan.steps.name(Role.PREDICTION)], plan.trace.config.n_vocab)
    logits = plan.steps.name(Role.LOGITS)
    for row, one in enumerate(plan.trace.predictions(area.rows), start=area.row):
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
    if not plan.by_token:  # a chart has its cells computed when the workbook is opened
        shared.place_chart(book, area)
    return area


def write_winners(book: Book, winners: Area, best: Area, found: Sequence[Prediction]) -> None:
    """On top of the logits the best tokens once more, in the columns of that tab. best: their table."""
    formats = ("live count", "live text", "live number", "live probability", "live count")
    for row, one in enumerate(found):
        for column, (name, fmt) in enumerate(zip(shared.TOKEN_COLUMNS, formats, strict=True)):
            there = best.part(row, shared.BEST_COLUMNS.index(name), 1, 1).address()
            formula = f"={NO_TOKENS}{there})"
            book.formula(winners.tab, winners.row + row, column, formula, getattr(one, name), fmt)
