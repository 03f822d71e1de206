"""The first tab of the live workbook: how to play with it, what it predicts, where everything is; and the prediction.

The stages' formulas are `live`'s, the words' `live_words`' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheetgpt.sheets.live.merges import token_text
from sheetgpt.sheets.live.words import words_area
from sheetgpt.sheets.values import BEST, best_tokens_head, model_facts, place_chart, write_stage_list
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.places import HEAD, INDEX, WORDS, Area, Place, cell
from sheetgpt.workbook.references import N_TOKENS

if TYPE_CHECKING:
    from sheetgpt.sheets.live.plan import Plan

HEADINGS = {
    WORDS: "Type the words here, one a cell: a word takes the space before it along",
    "Prompt_to_Tokens": "From words to tokens: in each pass the pair with the best score merges",
    "weights_wte": "Parameters: a vector for each token",
    "weights_wpe": "Parameters: a vector for each position",
    "weights_head": "Parameters of the final layer norm",
    "weights_lm_head": "Parameters of the language head: a vector for each token",
}
LONGEST_PROMPT = 500  # words that a formula can join: it may have 8,192 characters
LEGEND = (
    ("legend input", "input", "type here: words, token ids"),
    ("legend parameter", "parameter", "what training found; change it as you like"),
    ("legend stage", "formula", "computed; empty beyond the prompt"),
)


def how_to_play(plan: Plan) -> list[str]:
    """Five lines."""
    room = f"There is room for {plan.max_tokens} tokens"
    if plan.has_words:
        first = f"Change a word on the tab words: everything down to the prediction follows. {room}."
        second = (
            "A word takes the space before it along. What can't be read is told beside it; nothing is predicted then."
        )
    elif plan.blocks is None:
        first = f"Change a token id on the tab embeddings: everything down to the prediction follows. {room}."
        second = "This model has no token table, so tokens are shown by their ids."
    else:
        first = f"Change a cell of block_{plan.blocks.start}_step_1: all steps of the blocks here follow. {room}."
        second = "This is a part of a model: its first block's input is typed, its last block's output goes nowhere."
    attention = [step.name for step in plan.steps if step.name.endswith("_step_7")]
    third = f" or type over one cell of {attention[-1]}: where does attention go then?" if attention else ""
    named = attention[-1] if attention else "logits"
    return [
        first,
        second,
        f"Change a parameter on a green tab{',' if third else '.'}{third}",
        f"Every stage has a name: type {named} into the name box to go there, or use it in formulas of your own.",
        "Formulas in braces fill a range: to replace one, select the range, copy, paste values, then change a cell.",
    ]


def write_index(book: Book, plan: Plan, places: dict[str, Place], weights: dict[str, Area]) -> None:
    """The first tab."""
    sheet = book.sheets[INDEX]
    for column, width in enumerate((3, 25, 32, 14, 66, 26)):
        sheet.set_column(column, column, width)
    sheet.set_row(0, 30)
    book.text(INDEX, 0, 1, "GPT-2, live", "title")
    book.text(INDEX, 1, 1, "A language model in formulas: nothing here is computed anywhere else.", "subtitle")
    row = 3
    for number, line in enumerate(how_to_play(plan), start=1):
        book.text(INDEX, row, 1, f"{number}.  {line}", "line")
        row += 1
    row += 1
    top = row
    for fmt, name, meaning in LEGEND:
        book.text(INDEX, row, 1, name, fmt)
        book.text(INDEX, row, 2, meaning, "key")
        row += 1
    row = write_facts(book, plan, places, row + 1)
    if HEAD in book.sheets:
        table_row = places["predicted_token"].last_row + 4
        place_chart(book, table_row, min(BEST, plan.model.config.n_vocab), top)
    row = max(row, top + 14)
    write_stage_list(book, places, row)
    write_weight_list(book, weights, row + len(places) + 2)


def write_facts(book: Book, plan: Plan, places: dict[str, Place], row: int) -> int:
    """What the sheet says of the prompt; the row after it."""
    trace = plan.trace
    book.text(INDEX, row, 1, "Message", "key")
    ready = '=IF(message="","ready",message)'
    book.formula(INDEX, row, 2, ready, "ready", "message")
    facts = [("Tokens in use", f"={N_TOKENS}", len(trace.token_ids), "value")]
    if plan.has_words and plan.max_tokens <= LONGEST_PROMPT:
        words = words_area(plan)
        joined = "&".join(f"{WORDS}!{cell(words.row + i, words.column)}" for i in range(words.rows))
        shown = trace.prompt if trace.merges and trace.prompt is not None else ""
        facts.append(("Prompt", f"={joined}", shown, "value"))
    if HEAD in book.sheets:
        best = trace.predictions(1)[0]
        token = places["predicted_token"].area.part(2, 1, 1, 1).address()
        share = f"{HEAD}!{cell(places['predicted_token'].last_row + 4, 4)}"
        facts += [
            ("Predicted token", f"={token}", best.token, "message"),
            ("Its probability", f"={share}", best.probability, "share"),
        ]
    for number, (key, formula, value, fmt) in enumerate(facts, start=row + 1):
        book.text(INDEX, number, 1, key, "key")
        book.formula(INDEX, number, 2, formula, value, fmt)
    row += len(facts) + 1
    for key, value in [*model_facts(trace), *trace.config.rows()]:
        book.text(INDEX, row, 1, key, "key")
        write = book.text if isinstance(value, str) else book.number
        write(INDEX, row, 2, value, "value")
        row += 1
    return row


def write_weight_list(book: Book, weights: dict[str, Area], row: int) -> None:
    """One line a parameter matrix, with the link to it."""
    for column, title in enumerate(("Parameters (their names)", "", "Shape", "", "Place"), start=1):
        book.text(INDEX, row, column, title, "table head")
    previous = None
    for number, (name, area) in enumerate(weights.items(), start=row + 1):
        line = "" if previous == area.tab else "first "
        previous = area.tab
        book.text(INDEX, number, 1, name, f"{line}plain")
        for column in (2, 4):
            book.text(INDEX, number, column, "", f"{line}plain")
        book.text(INDEX, number, 3, f"{area.rows} x {area.columns}", f"{line}shape")
        target = f"internal:'{area.tab}'!A{area.row - 1}"
        link = book.format(f"{line}link")
        book.sheets[INDEX].write_url(number, 5, target, link, f"{area.tab}!{area.range()}")


# ------------------------------------------------------------------------------------------------ the prediction


def write_predicted_token(book: Book, plan: Plan, place: Place, formulas: list) -> None:
    """The greatest logit, its token's id, its token."""
    area, best = place.area, plan.trace.text_table("predicted_token")
    texts = [f'=IF({N_TOKENS}=0,"",{formula})' for _, formula, _ in formulas]
    texts.append(f'=IF({N_TOKENS}=0,"",{token_text(plan, cell(area.row + 1, area.column + 1))})')
    formats = ("live number", "live count", "live strong")
    for number, ((label, value), formula, fmt) in enumerate(zip(best, texts, formats, strict=True), start=area.row):
        book.text(HEAD, number, area.column, label, "key")
        book.formula(HEAD, number, area.column + 1, formula, value, fmt)


def write_best_tokens(book: Book, plan: Plan, places: dict[str, Place]) -> None:
    """The ten best tokens, without FILTER or SORT; of equals, the smaller id comes first."""
    row = places["predicted_token"].last_row + 2
    best_tokens_head(book, row)
    first = row + 2
    for number, one in enumerate(plan.trace.predictions(BEST), start=first):
        rank, token_id, logit = (cell(number, column) for column in (0, 2, 3))
        alike = f"SUM(--({cell(first, 3, fixed=True)}:{logit}={logit}))"
        ids = f"SMALL(IF(logits={logit},logit_ids),{alike})"
        book.number(HEAD, number, 0, one.rank, "position")
        empty = f'IF({N_TOKENS}=0,"",'
        book.formula(HEAD, number, 1, f"={empty}{token_text(plan, token_id)})", one.token, "live text")
        book.formula(HEAD, number, 2, f"{{={empty}{ids})}}", one.id, "live count")
        book.formula(HEAD, number, 3, f"={empty}LARGE(logits,{rank}))", one.logit, "live number")
        book.formula(
            HEAD, number, 4, f"={empty}INDEX(token_probabilities,{token_id}+1))", one.probability, "live probability"
        )
