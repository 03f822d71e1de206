"""The live workbook: weights as values, every stage a formula: a change anywhere runs through to the prediction.

`Writer` lays the sheet out for more tokens than the prompt has; rows that are not in use are empty. The
formulas belong in `ops` and `references`, words in `words` and `merges`, the first tab in `index`. Every formula cell
carries the run's own value, so that readers that don't calculate show it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from sheetgpt.models.step import POSITIONS, Axis, Role, Step
from sheetgpt.ops import Box, Piece
from sheetgpt.sheets import marks, neighbours, positions, shared, weight_tabs
from sheetgpt.sheets.colours import highlight
from sheetgpt.sheets.live import checks, index, merges, picks, readings, sets, words
from sheetgpt.sheets.live.experiment import experiment
from sheetgpt.sheets.live.labels import BEST_IDS, Labels
from sheetgpt.sheets.live.plan import MANY_CELLS, Plan, lay_out_weights
from sheetgpt.workbook import style
from sheetgpt.workbook.book import Book
from sheetgpt.workbook.cells import Formulas, Numbers
from sheetgpt.workbook.grid import Area, boxes, cell, column_letters, width
from sheetgpt.workbook.places import INDEX, Place, lay_out, tabs
from sheetgpt.workbook.references import N_TOKENS, Input, Names, Slot, Source, formulas

ZERO = style.STAGE_FILL  # numbers near 0 look like what they are, computed
GROWS = {Axis.KEYS: "both", Axis.HEADS_BY_KEYS: "heads"}  # with the prompt: `references.Source.live`


class Writer:
    """One live workbook being written: the places, the sources that formulas name, and the names in use."""

    def __init__(self, plan: Plan):
        self.plan, self.trace = plan, plan.trace
        self.places = lay_out(map(plan.panel, plan.steps))
        self.weights = lay_out_weights(plan.weights)
        self.book = Book(index.title_of(plan))
        self.names: Names = {}
        by_token = (step for step in plan.steps if step.rows is Axis.TOKENS)
        self.master = next((self.places[step.name].area for step in by_token), None)  # its labels are everybody's
        self.labels = Labels(self.book, plan, self.master)
        self.count = len(self.trace.token_ids)  # tokens in use
        self.changed = sets.changed_stages(plan)
        self.unset = lay_out([one.panel(plan) for one in self.changed.values() if self.needs_unset(one)])

    @cached_property
    def tokens(self) -> Area:
        """The tokens and, under them, their ids."""
        return self.places[self.plan.steps.name(Role.TOKENS)].area

    @cached_property
    def typed(self) -> Area | None:
        """The matrix that is typed instead of computed: the first block's input, where only some blocks are there."""
        return self.places[self.plan.typed.name].area if self.plan.typed else None

    @cached_property
    def sources(self) -> dict[str, Source]:
        """What formulas take in, by the name that steps have for it."""
        n_head = self.trace.config.n_head
        found = {name: Source(name, area) for name, area in self.weights.items()}
        for step in self.plan.steps.computed:
            if not step.is_text:
                live = self.grows(live_axes(step))
                found[step.name] = Source(step.name, self.places[step.name].area, live, heads=n_head)
        found[self.plan.steps.name(Role.TOKENS)] = Source("token_ids", self.tokens.part(row=1), vector=True)
        if self.master:
            positions = Area(self.master.tab, self.master.row, 0, self.master.rows, 1)
            found[POSITIONS] = Source("positions", positions, self.grows("rows"), vector=True)
        return found

    def write(self, path: Path) -> Path:
        self.book.add_tab(INDEX)
        if self.plan.has_words:
            self.write_words()
        if self.plan.is_whole:
            picks.add_tab(self.book)
        for tab, found in tabs(self.places).items():
            self.add_tab(tab, found)
            for place in found:
                self.book.panel_head(place)
                self.write_stage(place)
        self.write_unset()
        best = self.write_prediction() if self.plan.is_whole else None
        if self.plan.has_words:
            self.write_tables()
            sets.mark_token_ids(self.book, self.plan)
        addressed = self.plan.size.cells < MANY_CELLS
        weight_tabs.write_weights(self.book, self.trace, self.weights, live=True, addressed=addressed)
        if self.plan.is_whole:
            neighbours.add_tab(self.book, self.trace, live=True)
        self.names |= self.write_checks()
        self.define_names()
        shared.navigate(self.book, self.plan.steps, self.places)
        played = experiment(self.plan, self.places)
        index.write_index(self.book, self.plan, self.places, self.weights, best, played)
        self.book.save(path)
        return path

    def write_prediction(self) -> Area:
        """The best tokens, the tab of picks, and what both say beside the words. Returns the table of the best."""
        book, plan = self.book, self.plan
        best = self.write_best_tokens()
        self.names[BEST_IDS] = best.part(column=shared.BEST_COLUMNS.index("id"), columns=1).address()
        logits, predicted = (self.places[plan.steps.name(role)].area for role in (Role.LOGITS, Role.PREDICTION))
        winners = shared.winners_area(logits)
        index.write_winners(book, winners, best, self.trace.predictions(winners.rows))
        picked = picks.Picks(book, plan, logits, best, self.tokens.part(row=1))
        self.names |= picked.write()
        if plan.has_words:
            readings.write_prediction(book, plan, predicted.part(2, 1, 1, 1), best, picked.token, picks.FIRST_INPUT)
            self.write_next(picked)
        return best

    def add_tab(self, tab: str, places: Sequence[Place]) -> None:
        step = self.plan.steps[places[0].panel.name]
        heading = merges.HEADING if tab == shared.MERGES else shared.heading(step)
        look = shared.tab_look(step) | {"colour": style.STAGE_FILL}
        self.book.add_tab(tab, heading, width([place.area for place in places]), **look)

    def define_names(self) -> None:
        """Every stage, every weight, what their formulas use, the tokens, and how many there are."""
        for source in self.sources.values():
            self.names[source.name] = source.refers_to()
        tokens, head = self.tokens, self.tokens.row - 1
        in_use = {self.plan.steps.name(Role.TOKENS): tokens, "tokens": tokens.part(rows=1), "token_ids": tokens.part(1)}
        self.names |= {name: Source("", area, self.grows("columns")).refers_to() for name, area in in_use.items()}
        self.names[N_TOKENS] = Area(tokens.tab, head, tokens.column, 1, 1).address()
        self.names["message"] = Area(tokens.tab, head, tokens.column + 1, 1, 1).address()
        self.names |= self.other_names()
        for name, refers_to in sorted(self.names.items()):
            self.book.define(name, refers_to)

    # what a workbook for programs with fewer functions has otherwise: `portable`

    def write_next(self, picked: picks.Picks) -> None:
        readings.write_readings_and_next(self.book, self.plan, picked.token)

    def needs_unset(self, stage: sets.ChangedStage) -> bool:
        return stage.needs_unset

    def write_checks(self) -> Names:
        return checks.write_checks(self.book, self.checks, self.count)

    def grows(self, live: str) -> str:
        """Which axes of what is so laid out have room for more tokens: see `references.Source`."""
        return live

    def other_names(self) -> Names:
        """What the formulas of words and stages use besides."""
        used = {"used": f'{self.sources[POSITIONS].area.address()}<>""'} if self.master else {}
        if not self.plan.has_words:
            return used
        return used | words.names(self.plan) | words.constants(self.plan) | merges.names(self.plan, self.places)

    def write_words(self) -> None:
        words.write_words(self.book, self.plan)

    def write_merges(self, area: Area) -> None:
        merges.write_merges(self.book, self.plan, area)

    def write_tokens(self, area: Area) -> None:
        merges.write_tokens(self.book, self.plan, area, self.typed)

    def write_tables(self) -> None:
        merges.write_tables(self.book, self.plan)

    def write_best_tokens(self) -> Area:
        return index.write_best_tokens(self.book, self.plan, self.places)

    # -------------------------------------------------------------------------------------------- stages

    def write_stage(self, place: Place) -> None:
        step, area = self.plan.steps[place.panel.name], place.area
        if step.role is Role.WORDS:
            merges.write_word_row(self.book, self.plan, area)
        elif step.role is Role.MERGES:
            self.write_merges(area)
        elif step.role is Role.TOKENS:
            self.write_tokens(area)
        elif step.role is Role.PREDICTION:
            found = self.formulas_of(step, area.part(rows=2, column=1))
            index.write_predicted_token(self.book, self.plan, area, [formula for _, formula in found])
            self.names[step.name] = place.refers_to()
        else:
            self.write_matrix(step, area)
            self.label(step, place)
            added = positions.write_references(self.book, step, place, self.trace, self.weights)
            if added:
                self.leave_white(step, added)

    def pieces_of(self, step: Step, out: Area) -> Iterator[tuple[Slot, str, list[Input]]]:
        return formulas(step.op, out, [self.sources[name] for name in step.inputs], self.names)

    def formulas_of(self, step: Step, out: Area) -> Iterator[tuple[Box, str]]:
        """Each piece of a stage and its formula."""
        return ((slot.box, formula) for slot, formula, _ in self.pieces_of(step, out))

    def guarded_formulas(self, step: Step, area: Area) -> dict[Box, str]:
        """The same, with formulas that leave cells empty where there is no token."""
        found = self.pieces_of(step, area)
        return {slot.box: guarded(step, formula, inputs, area) for slot, formula, inputs in found}

    def write_matrix(self, step: Step, area: Area) -> None:
        """A matrix stage: formulas, or values where it is the input of the first block."""
        if step is self.plan.typed:
            self.book.put(Numbers(area.part(rows=self.count), self.trace.array(step.name)), "input matrix")
            self.book.blank(area.part(row=self.count), "input matrix")
        elif step.name in self.changed:
            self.write_changed(self.changed[step.name], area)
        else:
            self.put_formulas(step, area, sets.laid_out(self.plan, step, self.trace.array(step.name)))

    def put_formulas(self, step: Step, area: Area, values: sets.Rows) -> None:
        self.book.put(Formulas(area, values, self.guarded_formulas(step, area)), "live number")

    def write_changed(self, stage: sets.ChangedStage, area: Area) -> None:
        """A stage with cells that were set: these are values."""
        step, matrix = stage.step, self.trace.array(stage.step.name)
        if stage.is_whole:
            parts = list(sets.segments(self.plan, step, area))
            for part, columns in parts:
                self.book.put(Numbers(part, matrix[:, columns]), "input matrix")
            for part in sets.spare(area, (part for part, _ in parts)):
                self.book.blank(part, "input matrix")
        else:
            if self.needs_unset(stage):
                there = self.unset[stage.panel(self.plan).name].area
                texts = {box: there.part(*box).address() for box in boxes(~stage.cells)}
            else:
                found = self.guarded_formulas(step, area)
                texts = {box: text for box, text in found.items() if not stage.cells[box[:2]]}
            self.book.put(Formulas(area, sets.laid_out(self.plan, step, matrix), texts), "live number")
        marks.mark(self.book, [area], stage.found)

    def write_unset(self) -> None:
        """What changed stages would be, which they refer to around the cells that were set."""
        if self.unset:
            width_of_all = width([place.area for place in self.unset.values()])
            self.book.add_tab(sets.UNSET, sets.HEADING, width_of_all, colour=style.STAGE_FILL)
        for stage in self.changed.values():
            if self.needs_unset(stage):
                place = self.unset[stage.panel(self.plan).name]
                self.book.panel_head(place)
                before = marks.followed(self.trace, stage.step)
                self.put_formulas(stage.step, place.area, sets.laid_out(self.plan, stage.step, before))
                self.labels.label_rows(stage.step, place.area)
                self.labels.label_columns(stage.step, place)
                self.leave_white(stage.step, place.area)

    def label(self, step: Step, place: Place) -> None:
        if step.role is Role.LOGITS:
            self.names |= self.labels.label_logits(step, place.area)
        else:
            self.labels.label_rows(step, place.area)
            self.labels.label_columns(step, place)
            self.leave_white(step, place.area)
            room, matrix = self.plan.max_tokens, self.trace.array(step.name)
            changed = self.changed[step.name].cells if step.name in self.changed else None
            highlight(self.book, step, place.area, room, matrix, changed=changed, zero=ZERO)

    def leave_white(self, step: Step, area: Area) -> None:
        """Rows and columns for tokens that are not there look empty."""
        if step.rows is Axis.TOKENS and step is not self.plan.typed:
            blank = f'$A{area.row + 1}=""'
            if shared.is_by_key(step):
                key = f"{column_letters(area.column)}${area.row - 1}"
                blank = f'OR({blank},{key}="")'
            self.book.blank_where(area, f"={blank}")

    @property
    def checks(self) -> list[checks.Check]:
        """Every matrix in causal order, weights first."""
        stages = (step.name for step in self.plan.steps.computed if not step.is_text)
        return [
            *(checks.Check(self.sources[name], computed=False) for name in self.weights),
            *(checks.Check(self.sources[name], computed=True) for name in stages),
        ]


def live_axes(step: Step) -> str:
    """Which axes of a stage grow with the prompt: see `references.Source`."""
    return GROWS.get(step.columns, "rows") if step.rows is Axis.TOKENS else ""


def guarded(step: Step, formula: str, inputs: Sequence[Input], area: Area) -> str:
    """A formula that leaves cells empty where there is no token. area: of the stage."""
    if step.rows is not Axis.TOKENS:
        return f'IF({N_TOKENS}=0,"",{formula})'
    slot, by_key = inputs[0].slot, shared.is_by_key(step)
    label = cell(area.row + slot.box[0], 0)  # the row's position
    if slot.piece is Piece.ROW:
        return f'IF({label}="","",{formula})'
    if slot.piece is Piece.CELL:
        return f'IF({inputs[0].cell if by_key else label}="","",{formula})'
    used = "used*TRANSPOSE(used)" if by_key else "used"
    return f'IF({used},{formula},"")'
