"""Each step of a generation against what LEFT's model predicts for RIGHT's ids so far: the first to diverge, and why.

Reading generations belongs in `dumps`, what wrong caches lead to in `caches`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sheetgpt.diff import diff
from sheetgpt.diff.generation.caches import wrong_caches
from sheetgpt.diff.generation.dumps import Generation, Step, is_generation, opened
from sheetgpt.diff.grain import FINE, Grain, Kind, grain_of
from sheetgpt.diff.matrices import Tolerance, finite, tolerance_for
from sheetgpt.diff.rerun import folder_of
from sheetgpt.diff.result import MISTAKE, PATTERN, plain
from sheetgpt.diff.sides import RunSide, Side, open_side
from sheetgpt.diff.tokens import where_cut_differs
from sheetgpt.errors import DumpError
from sheetgpt.generate.decode import Context, kept_after_slide
from sheetgpt.model import Model, load_model
from sheetgpt.models.step import Role
from sheetgpt.weights.embedded import named_folder

BETTER = 10  # times nearer than the right logits: what those of a wrong cache must be to count


@dataclass(frozen=True)
class GenerationStep:
    """A new token on RIGHT, and its logits against LEFT's."""

    step: int  # from 1
    id: int
    token: str
    rank: int | None  # of the token among RIGHT's own logits, from 1; None where these aren't told
    predicted: int  # what LEFT's model would take
    largest_difference: float
    cells_out: int
    cells: int

    @property
    def equal(self) -> bool:
        return self.cells_out == 0


@dataclass(frozen=True)
class GenerationReport:
    """A generation, step by step."""

    left: str
    right: str
    tolerance: Tolerance
    precision: tuple[str, str]
    steps: list[GenerationStep]
    cause: str  # why the first step diverges; empty where none does
    picks: str  # whether the tokens follow from RIGHT's own logits
    picks_wrong: bool
    notes: tuple[str, ...] = ()  # of the prompt, of what is not compared
    tokens_differ: bool = False  # in the prompt

    @property
    def first(self) -> GenerationStep | None:
        return next((step for step in self.steps if not step.equal), None)

    @property
    def equal(self) -> bool:
        return self.first is None and not self.tokens_differ and not self.picks_wrong

    def as_data(self) -> dict[str, Any]:
        """The report as JSON has it."""
        first = {"first": self.first.step if self.first else None, "equal": self.equal}
        found: dict[str, Any] = plain(asdict(self) | first)
        return found


def compare(
    left: str,
    right: str,
    *,
    weights: str | None = None,
    dtype: str = "float64",
    atol: float | None = None,
    rtol: float | None = None,
) -> GenerationReport:
    """The comparison of two sides as they are typed. Raises DumpError where RIGHT is no generation.

    weights, dtype: of LEFT's model; by default those that a dump names.
    """
    if not is_generation(right):
        raise DumpError("is no generation, and LEFT is one", where=right, remedy="give the run first: diff RUN PORT")
    there = opened(right)
    prompt, model = left_of(left, weights, dtype)
    notes, differ = [], False
    if there.prompt_ids is not None and there.prompt_ids != prompt:
        spelled = [model.token(i) for i in prompt]
        notes, differ = [where_cut_differs(spelled, prompt, there.prompt_ids, model.tokenizer)], True
        prompt = there.prompt_ids
    model.encode(None, prompt)  # refuses ids that the model doesn't have, and too many
    return Comparison(left, there, prompt, model, atol, rtol).report(notes, differ=differ)


def left_of(left: str, weights: str | None, dtype: str) -> tuple[list[int], Model]:
    """The prompt's ids and the model of LEFT: a run, a dump of one, or a generation of ours."""
    if is_generation(left):
        generation = opened(left)
        name = weights or generation.about.get("weights")
        ids, folder = generation.prompt_ids, named_folder(name) if name else None
    else:
        side: Side = open_side(left, weights=weights, dtype=dtype)
        ids, folder = side.token_ids, folder_of(side, weights)
    if not ids or folder is None:
        what = "tells no prompt's token ids" if folder else "names no weights"
        raise DumpError(what, where=left, remedy="give LEFT as run:PROMPT, and --weights")
    return list(ids), load_model(folder, dtype)


class Comparison:
    """A generation and the model that it is held against."""

    def __init__(
        self,
        left: str,
        right: Generation,
        prompt: list[int],
        model: Model,
        atol: float | None = None,
        rtol: float | None = None,
    ):
        self.left, self.right, self.prompt, self.model = left, right, prompt, model
        self.known, self.notes = self._known()
        here = FINE if str(model.weights.dtype) == "float64" else Grain(Kind.FLOAT32)
        self.grains = here, self._grain()
        self.tolerance = tolerance_for(self.grains, atol, rtol)

    def _grain(self) -> Grain:
        """The rounding of RIGHT's logits: what they look like, else what it says of itself."""
        seen, said = grain_of(np.concatenate([step.logits for step in self.known])), self.right.about.get("dtype")
        return Grain(Kind(said)) if seen == FINE and said in set(Kind) else seen

    def _known(self) -> tuple[list[Step], list[str]]:
        """RIGHT's steps up to the first token that the model doesn't have, and what is to be said of the others."""
        n_vocab = self.model.config.n_vocab
        notes: list[str] = []
        known: list[Step] = []
        for number, step in enumerate(self.right.steps, 1):
            if step.of is None and len(step.logits) < n_vocab:
                what = f"step {number} has {len(step.logits)} logits and the model has {n_vocab} tokens"
                raise DumpError(what, where=self.right.label, remedy="compare it with its own model's run (--weights)")
            if step.of is None and len(step.logits) > n_vocab and number == 1:
                more = len(step.logits) - n_vocab
                notes.append(f"RIGHT's vocabulary is padded to {len(step.logits):,} rows, {more:,} too many: left out")
            if not 0 <= step.id < n_vocab:
                notes.append(
                    f"step {number} takes token id {step.id}, which is not in the model: what follows is left out"
                )
                return [*known, trimmed(step, n_vocab)], notes
            known.append(trimmed(step, n_vocab))
        return known, notes

    def report(self, notes: Sequence[str], *, differ: bool) -> GenerationReport:
        expected = list(self.expected())
        steps = [
            self.step(number, step, row) for number, (step, row) in enumerate(zip(self.known, expected, strict=True))
        ]
        found = next((at for at, step in enumerate(steps) if not step.equal), None)
        cause = "" if found is None else self.why(found, expected)
        picks, wrong = self.picks(steps)
        label, precision = self.right.label, (str(self.grains[0]), str(self.grains[1]))
        every = (*notes, *self.notes, *self.slide())
        return GenerationReport(self.left, label, self.tolerance, precision, steps, cause, picks, wrong, every, differ)

    def slide(self) -> list[str]:
        """What is to be said of a context that is full."""
        room = self.model.room(len(self.prompt) + len(self.known))
        first = room - len(self.prompt) + 2
        if len(self.known) < first:
            return []
        kept = kept_after_slide(room)
        return [f"the context is full before step {first}: as `generate` does, its newest {kept} tokens go on alone"]

    def expected(self) -> Iterator[np.ndarray]:  # of [n_vocab]
        """What the model predicts at each step, after RIGHT's ids so far."""
        context = Context(self.model, self.prompt, self.model.room(len(self.prompt) + len(self.known)))
        yield context.logits.astype(np.float64)
        for step in self.known[:-1]:
            yield context.add(step.id).astype(np.float64)

    def step(self, at: int, step: Step, expected: np.ndarray) -> GenerationStep:
        difference, out = self.differences(step, expected)
        return GenerationStep(
            at + 1, step.id, self.model.token(step.id), rank_of(step), int(expected.argmax()),
            float(difference.max(initial=0)), int(out.sum()), difference.size,
        )  # fmt: skip

    def differences(self, step: Step, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(how far the logits that are told lie from these, which are beyond the tolerance)."""
        there = expected if step.of is None else expected[step.of]
        with np.errstate(invalid="ignore"):
            difference = np.abs(step.logits - there)
        difference[np.isnan(difference)] = np.inf
        return difference, ~(difference <= self.tolerance.allowed(finite(step.logits)))

    # -------------------------------------------------------------------------------------------- why

    def why(self, at: int, expected: list[np.ndarray]) -> str:
        """What the first step that diverges is, as far as a wrong cache explains it."""
        step = self.known[at]
        largest = float(self.differences(step, expected[at])[0].max())
        if not np.isfinite(step.logits).all():
            count = int((~np.isfinite(step.logits)).sum())
            return f"{count:,} of its {len(step.logits):,} logits are NaN or infinite"
        found: dict[str, float] = {}
        for name, logits in self.hypotheses(at, expected):
            difference, out = self.differences(step, logits)
            if not out.any() and float(difference.max()) * BETTER <= largest:
                found.setdefault(name, float(difference.max()))
        if found:
            best = min(found.values())
            names = [name for name, size in found.items() if size <= BETTER * best]
            return f"{' or '.join(names)} (within {best:.0e})"
        if at == 0:
            return f"it comes before any cache counts: {self.of_stages(step)}"
        before = "the one before it is right" if at == 1 else f"the {at} before it are right"
        return f"no known mistake of caches reproduces it; it differs by {largest:.0e}, and {before}"

    def of_stages(self, step: Step) -> str:
        """What is known of the prompt's run from its logits alone."""
        next_ = "dump the prompt's stages, and compare them with the same run"
        if step.of is not None:
            return next_
        trace = self.model.run(token_ids=self.prompt)
        name = trace.steps.name(Role.LOGITS)
        port = replace(
            trace, arrays={**trace.arrays, name: step.logits.reshape(-1, 1)}
        )  # as if all before it were right
        found = diff(RunSide(trace, self.model.weights), RunSide(port), weights=self.model.weights).diagnosis
        return f"{found.sentence}; {next_}" if found and found.cause in (MISTAKE, PATTERN) else next_

    def hypotheses(self, at: int, expected: list[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """(what is wrong, the logits that it leads to)."""
        made = [step.id for step in self.known[:at]]
        if made:
            for name, cached in wrong_caches(self.prompt, made):
                logits = cached.logits(self.model)
                if logits is not None:
                    yield name, logits.astype(np.float64)
        elif len(self.prompt) > 1:
            yield "these are the logits before the prompt's last token", self._without_last()
        for other, logits in enumerate(expected):
            if other not in (at, at - 1):
                yield f"these are the logits of step {other + 1}", logits

    def _without_last(self) -> np.ndarray:
        return Context(self.model, self.prompt[:-1], self.model.room(len(self.prompt))).logits.astype(np.float64)

    def picks(self, steps: Sequence[GenerationStep]) -> tuple[str, bool]:
        """(whether the tokens are the best of RIGHT's own logits, is one picked wrongly)."""
        others = [step for step in steps if step.rank is not None and step.rank > 1]
        if all(step.rank is None for step in steps):
            return "RIGHT tells too few logits to say how its tokens were picked", False
        if not others:
            return "every token is the best of RIGHT's own logits", False
        first = others[0]
        many = f"{len(others)} of {len(steps)} tokens are not the best of RIGHT's own logits"
        where = f'the first at step {first.step}, "{first.token}" (rank {first.rank})'
        if self.right.is_greedy is False:
            return f"RIGHT's tokens were sampled: {many}", False
        shifted = self.shifted()
        if shifted:
            return f"{many}, {where}: {shifted}", True
        if self.right.is_greedy:
            return f"{many}, {where}, and RIGHT says that it takes the best", True
        return f"{many}, {where}: sampled, or picked wrongly", False

    def shifted(self) -> str:
        """Are all of them the best of another step's logits?"""
        if len(self.known) < 3:  # one alone may be so by chance
            return ""
        best = [int(step.logits.argmax()) if step.of is None else None for step in self.known]
        ids = [step.id for step in self.known]
        if ids[1:] == best[:-1]:
            return "each is the best of the step before"
        return "each is the best of the step after" if ids[:-1] == best[1:] else ""


def trimmed(step: Step, n_vocab: int) -> Step:
    return replace(step, logits=step.logits[:n_vocab]) if step.of is None else step


def rank_of(step: Step) -> int | None:
    """The place of the token among the step's own logits, of equals the first; None where these don't tell."""
    if step.of is not None:
        if len(step.of) < 2 or step.id not in step.of:
            return None
        own = float(step.logits[step.of.tolist().index(step.id)])
    else:
        if not 0 <= step.id < len(step.logits):
            return None
        own = float(step.logits[step.id])
    return 1 + int((step.logits > own).sum())
