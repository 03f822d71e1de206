"""A run on the spot as a side: by its prompt, however long and of whatever characters, and by its token ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import sheetgpt_here
from sheetgpt.bpe import write_tables
from sheetgpt.diff import diff, open_side
from sheetgpt.diff.sides import FolderSide, RunSide, WorkbookSide
from sheetgpt.diff.sides.run import ids_in
from sheetgpt.errors import PromptError
from sheetgpt.files.paths import existing
from sheetgpt.models.config import Config
from sheetgpt.training.documents import character_tables
from sheetgpt.training.trainer import initial_weights
from sheetgpt.weights.folder import write_weights

PROMPT = "Mike is quick. He moves"


def test_a_run_of_token_ids_is_the_run_of_the_prompt_that_has_them():
    by_prompt = open_side(f"run:{PROMPT}")
    by_ids = open_side("run-ids:" + ",".join(map(str, by_prompt.token_ids)))
    assert isinstance(by_ids, RunSide)
    assert by_ids.token_ids == by_prompt.token_ids
    report = diff(by_prompt, by_ids)
    assert report.equal
    assert [stage.stage for stage in report.missing] == ["separated_into_words", "prompt_to_tokens"]


@given(st.lists(st.integers(0, 10**18 - 1)), st.sampled_from([",", ", ", " ", ",,"]))
def test_ids_are_read_as_they_are_typed(ids, between):
    assert ids_in("run-ids:" + between.join(map(str, ids))) == ids


@pytest.mark.parametrize("ids", ["1,x", "-1", "1.5", "1_0", "²", "9" * 5000])
def test_what_is_no_id_is_refused_in_one_line(ids):
    with pytest.raises(PromptError, match="^run-ids: takes whole numbers such as run-ids:3,1,2, not 'run-ids:"):
        open_side(f"run-ids:{ids}")


def test_ids_that_the_model_has_not_and_no_ids_are_refused():
    assert "token id 592 (position 1) is not in the model" in sheetgpt_here("diff", "run-ids:1,592", "run:Mike").error
    assert "the prompt is empty" in sheetgpt_here("diff", "run:Mike", "run-ids:").error


@pytest.mark.parametrize("prompt", ["ab" * 200, "a\0b", "a/b/" * 70, "b.xlsx", "ab.json"])
def test_a_prompt_is_no_path_however_long_and_whatever_it_holds(tmp_path, prompt):
    config = Config(1, 1, 2, 512, len(set("ab\0/.xlsjon")) + 1, model="bigram")
    write_weights(tmp_path, config, initial_weights(config, np.random.default_rng(1)))
    write_tables(tmp_path, *character_tables("ab\0/.xlsjon"))
    side = f"run:{prompt}"
    found = diff(open_side(side, weights=str(tmp_path)), open_side(side, weights=str(tmp_path)))
    assert found.equal


def test_the_command_compares_prompts_that_are_longer_than_a_file_name():
    prompt = " quickly" * 40
    assert len(prompt) > 250
    done = sheetgpt_here("diff", f"run:{prompt}", f"run:{prompt}")
    assert (done.code, done.err) == (0, "")


@given(st.text())
def test_any_text_is_asked_for_as_a_path_without_an_error(text):
    for typed in (text, text * 300, f"{text}\0"):
        path = existing(typed)
        assert path is None or path.exists()
        for kind in (FolderSide, WorkbookSide, RunSide):
            kind.recognises(typed)
