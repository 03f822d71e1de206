"""A model: constants, tokenizer and weights from one CSV folder, and what it can do with a prompt.

`load_model(folder).run(prompt)` is the whole pipeline in Python. Reading files belongs in `weights` and `bpe`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sheetgpt.bpe import MergeTrace, Tokenizer
from sheetgpt.bpe.tables import MERGES_FILE, TOKENS_FILE
from sheetgpt.errors import PromptError
from sheetgpt.models import kinds
from sheetgpt.models.config import Config
from sheetgpt.models.sizes import Sizes
from sheetgpt.models.step import Role, Steps
from sheetgpt.run import frames
from sheetgpt.run.forward import NO_OVERRIDES, OnStage, Overrides, forward
from sheetgpt.run.trace import Trace
from sheetgpt.weights.folder import EMBEDDED, Weights, load_weights, named_folder

if TYPE_CHECKING:
    from sheetgpt.generate.decode import Generated
    from sheetgpt.run.edit import Edit

__all__ = ["Model", "load_model"]

TOKEN_FILES = (MERGES_FILE, TOKENS_FILE)


@dataclass(frozen=True)
class Model:
    """A GPT-2 that runs, or a smaller model of the ladder. Without a tokenizer only token ids go in."""

    weights: Weights  #: the matrices by name
    tokenizer: Tokenizer | None  #: None for a folder without token files

    @property
    def config(self) -> Config:
        """The model's constants."""
        return self.weights.config

    def in_passing(self) -> Model:
        """The same model with its large matrices in memory one at a time, see `Weights.in_passing`."""
        return replace(self, weights=self.weights.in_passing())

    @cached_property
    def steps(self) -> Steps:
        """The model's stages, in order."""
        return kinds.model_steps(self.config, untied=self.weights.untied)

    def run(
        self,
        prompt: str | None = None,
        *,
        token_ids: Sequence[int] | None = None,
        special: bool = False,
        overrides: Overrides = NO_OVERRIDES,
        base: Trace | None = None,
        on_stage: OnStage | None = None,
    ) -> Trace:
        """Every stage of a prompt (or of token ids).

        special: each special token in the prompt (`<|endoftext|>`) is one token, not the letters that spell it.
        overrides: matrices [rows, columns] that replace a stage or a weight by name (`final_tokens`: the token ids); of
        a stage also a function of the matrix that is computed.
        base: the same prompt's run without overrides; only what depends on them is then computed again.
        on_stage: called with each stage's name and matrix as soon as it is there; what it raises ends the run.
        Raises PromptError where the prompt is empty, longer than n_ctx, or holds ids that the model doesn't have;
        StageError where an override has no stage's name, or another shape, or is a function of a weight.
        """
        merges, ids = self.encode(prompt, token_ids, special=special)
        tokens = self.steps.name(Role.TOKENS)
        set_ids = None
        if overrides:
            from sheetgpt.run import edit  # only where it is needed, as all that `run` alone doesn't need

            overrides = edit.checked(overrides, Sizes(self.config, len(ids), untied=self.weights.untied))
            set_ids = overrides.get(tokens)
        if isinstance(set_ids, np.ndarray):
            merges, ids = self.encode(None, set_ids.tolist())
            base = None  # every stage depends on the ids
        arrays = forward(
            self.steps,
            self.weights,
            self.steps.inputs(ids),
            dtype=self.weights.dtype,
            overrides=overrides,
            base=base.arrays if base else NO_OVERRIDES,
            on_stage=on_stage,
        )
        return Trace(
            config=self.config,
            steps=self.steps,
            arrays=arrays,
            labels=frames.Labels([self.token(i) for i in ids], self.config.n_head, self.vocabulary),
            prompt=prompt,
            merges=merges,
            weights=self.weights,
            tokenizer=self.tokenizer,
            overrides={name: arrays[name] if callable(one) else one for name, one in overrides.items()},
        )

    def run_edited(self, before: Trace, edits: Iterable[Edit | str], on_stage: OnStage | None = None) -> Trace:
        """The run that follows from these edits of a run, some as `--set` has them; the rest of it is taken from there.

        Raises StageError where a text is no edit of the run.
        """
        from sheetgpt.run import edit

        ids = before.token_ids if before.prompt is None else None
        return self.run(
            before.prompt,
            token_ids=ids,
            special=before.reads_special,
            overrides=edit.overrides_of(before, edit.read(edits, before.sizes)),
            base=before,
            on_stage=on_stage,
        )

    def generate(
        self,
        prompt: str | None = None,
        n: int = 20,
        *,
        token_ids: Sequence[int] | None = None,
        special: bool = False,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        greedy: bool = False,
        stop_at_eos: bool = True,
        slide: bool = True,
    ) -> Iterator[Generated]:
        """Up to n new tokens, each as soon as it is made; greedy where no sampling option is given.

        What the options mean stands in `sample.Sampling` and `decode.generate`. Raises PromptError at once, not at
        the first token, where an option or the prompt doesn't fit.
        """
        from sheetgpt.generate import decode
        from sheetgpt.generate.sample import Sampling

        sampling = Sampling.of(temperature, top_k, top_p, seed, greedy=greedy)
        _, ids = self.encode(prompt, token_ids, special=special)
        return decode.generate(self, ids, n, sampling, stop_at_eos=stop_at_eos, slide=slide)

    def encode(
        self, prompt: str | None, token_ids: Sequence[int] | None, *, special: bool = False
    ) -> tuple[MergeTrace | None, list[int]]:
        """The prompt's tokens, checked against the model: (how they were made, their ids).

        Raises PromptError where there is no token, more than the context holds, an id that the model doesn't have, or a
        text and no tokenizer.
        """
        merges, ids = None, list(token_ids or ())
        if (read := self._to_read(prompt, token_ids)) is not None:
            tokenizer, text = read
            merges = tokenizer.trace(text, special=special)
            ids = list(merges.ids)
        if not ids:
            raise PromptError("the prompt is empty", remedy="give at least one token")
        if len(ids) > self.room(len(ids)):
            raise PromptError(
                f"the prompt has {len(ids)} tokens and the model's context holds {self.config.n_ctx}",
                remedy="shorten it",
            )
        self._require_known(ids)
        return merges, ids

    def ids_of(self, text: str | None, token_ids: Sequence[int] | None = None, *, special: bool = False) -> list[int]:
        """The tokens of a text of any length, checked against the model. Raises PromptError as `encode` does, but for
        their number.
        """
        read = self._to_read(text, token_ids)
        ids = list(token_ids or ()) if read is None else read[0].encode(read[1], special=special)
        self._require_known(ids)
        return ids

    def _to_read(self, text: str | None, token_ids: Sequence[int] | None) -> tuple[Tokenizer, str] | None:
        """(what reads the text, the text); None where ids are given instead."""
        if (text is None) == (token_ids is None):
            raise PromptError("give either a prompt or token ids" + (", not both" if text is not None else ""))
        if text is None:
            return None
        if self.tokenizer is None:
            what = f"has no {' and '.join(TOKEN_FILES)}, so it can't read text"
            raise PromptError(what, where=self.weights.folder, remedy="give --token-ids")
        return self.tokenizer, text

    def _require_known(self, ids: Sequence[int]) -> None:
        for position, i in enumerate(ids):
            if not 0 <= i < self.config.n_vocab:
                raise PromptError(
                    f"token id {i} (position {position}) is not in the model",
                    remedy=f"ids are 0 to {self.config.n_vocab - 1}",
                )

    def room(self, wanted: int) -> int:
        """How many tokens a run can hold: n_ctx, or as many as wanted where positions don't end with a table."""
        return self.config.n_ctx if kinds.has_last_position(self.config) else max(wanted, self.config.n_ctx)

    def special_notice(self, text: str | None) -> str | None:
        """What to say of a text that holds special tokens and is read letter by letter."""
        found = self.tokenizer.first_special(text) if self.tokenizer and text else None
        return f"{found} is read as the letters that spell it: --special reads it as one token." if found else None

    def length_notice(self, n_tokens: int) -> str | None:
        """What to say of a run that is longer than the model was trained for."""
        if n_tokens <= self.config.n_ctx or not kinds.kind_of(self.config).attends:
            return None
        return (
            f"{n_tokens} tokens are more than the {self.config.n_ctx} that the model was trained with: "
            f"{self.config.position} positions go on, but predictions may get worse."
        )

    def token(self, token_id: int) -> str:
        """A token as the token table spells it; `#id` where there is no table, or the table ends before."""
        if self.tokenizer is not None and token_id < self.tokenizer.n_vocab:
            return self.tokenizer.token(token_id)
        return f"#{token_id}"

    def vocabulary(self) -> list[str]:
        """Every token by id."""
        return self._vocabulary

    @cached_property
    def _vocabulary(self) -> list[str]:
        known = self.tokenizer.tokens[: self.config.n_vocab] if self.tokenizer else []
        return known + [f"#{i}" for i in range(len(known), self.config.n_vocab)]


def load_model(folder: str | Path | None = None, dtype: str = "float64") -> Model:
    """The model in a CSV folder (default: the one that ships with sheetgpt), or one that ships by its name, such as
    "rotary".

    dtype: "float64" computes on the CSV's decimals as doubles, as a spreadsheet does; "float32" as PyTorch does. Raises
    WeightsError where the folder holds no whole model, TokenizerError where its token tables are damaged.
    """
    path = named_folder(EMBEDDED if folder is None else folder)
    weights = load_weights(path, dtype)
    has_tokens = any((path / name).exists() for name in TOKEN_FILES)
    return Model(weights, Tokenizer.read(path) if has_tokens else None)
