"""Folders of many prompts' runs: each prompt's verdict is that of the two runs alone; the worst first, and totals."""

from __future__ import annotations

import gc
import itertools
import json
import math
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import sheetgpt_here
from models import write_random_model
from sheetgpt import load_model
from sheetgpt.batch.batching import Batch
from sheetgpt.batch.prompts import Prompt
from sheetgpt.commands.diff_many import in_ranges
from sheetgpt.diff import diff, open_side
from sheetgpt.diff.many import compare, open_folder
from sheetgpt.diff.many.folders import Files, by_number
from sheetgpt.errors import DumpError
from sheetgpt.models.config import Config

TEXTS = [
    "Mike is quick. He moves",
    "Anna is slow. She moves",
    "Tom is calm. He sings",
    "Mike",
    "They",
    "Anna is kind. She",
]
WRONG_GELU, SCALED, GONE = (1, 5), 2, 3


@pytest.fixture(scope="module")
def model():
    return load_model()


def exact_gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def write(path, trace) -> None:
    """As a port has it: every matrix and the token ids, no manifest."""
    arrays = {name: trace.array(name) for name in trace if not trace.step(name).is_text}
    np.savez(path, **arrays, final_tokens=np.array(trace.token_ids))


def port_of(model, folder, texts=TEXTS, name="prompt_{:03d}.npz"):
    """A port with two mistakes, each in some prompts, and with one prompt missing."""
    folder.mkdir()
    for number, text in enumerate(texts):
        right, wrong = model.run(text), {}
        if number in WRONG_GELU:
            wrong = {"block_0_step_14": exact_gelu(right.array("block_0_step_13"))}
        if number == SCALED:
            wrong = {"block_1_step_7": 1.25 * right.array("block_1_step_7")}
        if number != GONE:
            write(folder / name.format(number), model.run(text, overrides=wrong))
    return folder


@pytest.fixture(scope="module")
def folders(model, tmp_path_factory):
    """`runs` as `sheetgpt batch` keeps them (and a bad prompt), `right` and `port` as files."""
    at = tmp_path_factory.mktemp("many")
    Batch(model, [*map(Prompt, TEXTS), Prompt("")], at / "runs", "*", shard=4).write()
    (at / "right").mkdir()
    for number, text in enumerate(TEXTS):
        write(at / "right" / f"{number}.npz", model.run(text))
    port_of(model, at / "port")
    (at / "port" / "notes.txt").write_text("x", encoding="utf-8")
    return at


def found(folders, left, right, **how):
    return compare(open_folder(str(folders / left)), open_folder(str(folders / right)), **how)


@pytest.mark.parametrize("left", ["runs", "right"])
def test_each_mistake_is_found_in_its_prompts_with_its_stage_and_cause(left, folders):
    outcomes = {one.number: one for one in found(folders, left, "port").outcomes}
    assert sorted(outcomes) == [0, 1, 2, 4, 5]
    assert {number for number, one in outcomes.items() if not one.equal} == {*WRONG_GELU, SCALED}
    for number in WRONG_GELU:
        assert (outcomes[number].first, outcomes[number].mistakes) == ("block_0_step_14", ("exact (erf) GELU",))
    assert outcomes[SCALED].first == "block_1_step_7"
    assert "1.25 times" in outcomes[SCALED].sentence


def test_what_is_said_of_a_prompt_is_what_diff_says_of_it_alone(folders):
    for one in found(folders, "right", "port").outcomes:
        pair = folders / "right" / f"{one.number}.npz", folders / "port" / f"prompt_{one.number:03d}.npz"
        alone = diff(*(open_side(str(path)) for path in pair))
        assert one.equal == alone.equal
        assert one.first == (alone.first.stage if alone.first else "")
        why = alone.diagnosis
        assert (one.stage, one.cause, one.sentence) == ((why.stage, why.cause, why.sentence) if why else ("", "", ""))
        assert one.largest == max((s.largest_difference for s in alone.stages if s.verdict == "different"), default=0)


def test_the_worst_stands_first_and_totals_are_by_stage_and_cause(folders):
    gathered = found(folders, "runs", "port")
    sizes = [one.largest for one in gathered.diverging]
    assert sizes == sorted(sizes, reverse=True)
    assert gathered.diverging[0].number == SCALED
    totals = [(total.stage, total.cause, total.prompts) for total in gathered.totals]
    assert totals[0] == ("block_0_step_14", "exact (erf) GELU", 2)
    assert sum(total.prompts for total in gathered.totals) == len(gathered.diverging) == 3


def test_runs_that_are_kept_are_equal_to_those_of_files_whichever_side_they_are(folders):
    for sides in (("runs", "right"), ("right", "runs"), ("runs", "runs")):
        gathered = found(folders, *sides)
        assert gathered.equal
        assert len(gathered.outcomes) == len(TEXTS)
        assert all(one.stages > 40 for one in gathered.outcomes)


def test_prompts_that_one_side_lacks_are_said_with_the_reason_that_is_known(folders):
    gathered = found(folders, "runs", "port")
    assert gathered.missing == ({}, {GONE: ""})
    write(folders / "port" / "6.npz", load_model().run("Mike"))
    missing = found(folders, "runs", "port").missing
    (folders / "port" / "6.npz").unlink()
    assert missing == ({6: "the prompt is empty: give at least one token"}, {GONE: ""})


def test_another_prompt_under_the_same_number_is_said_to_have_other_tokens(folders, model, tmp_path):
    for side, texts in (("a", ["Mike is quick", "Mike is slow"]), ("b", ["Mike is quick", "Anna is slow"])):
        (tmp_path / side).mkdir()
        for number, text in enumerate(texts):
            write(tmp_path / side / f"{number}.npz", model.run(text))
    gathered = found(tmp_path, "a", "b")
    (one,) = gathered.diverging
    assert (one.number, one.first, one.cause) == (1, "final_tokens", "tokens")
    assert not gathered.without_tokens


def test_token_ids_that_a_side_does_not_hold_are_said_not_to_be_compared(folders, model, tmp_path):
    (tmp_path / "logits").mkdir()
    np.savez(tmp_path / "logits" / "0.npz", logits=model.run(TEXTS[0]).array("logits"))
    result = sheetgpt_here("diff", folders / "runs", tmp_path / "logits")
    assert result.code == 0
    assert "No prompt diverges: 1 compared, 1 stages of each." in result.out
    assert "Token ids not compared, as a side holds none: 0" in result.out
    assert f"Not in {tmp_path / 'logits'}, 5: 1-5" in result.out


def test_a_damaged_file_is_a_trouble_of_its_prompt_alone(folders, model, tmp_path):
    port = port_of(model, tmp_path / "port", TEXTS[:2])
    (port / "prompt_000.npz").write_bytes(b"PK torn")
    gathered = compare(open_folder(str(folders / "right")), open_folder(str(port)))
    assert [one.number for one in gathered.troubled] == [0]
    assert [one.number for one in gathered.diverging] == [1]
    (port / "prompt_001.npz").write_bytes(b"")
    with pytest.raises(DumpError, match="no prompt can be compared; number 0: .*prompt_000.npz"):
        compare(open_folder(str(folders / "right")), open_folder(str(port)))


def test_only_one_pair_of_sides_is_held_at_a_time(folders, monkeypatch):
    sides, most, make = weakref.WeakSet(), [], Files.side

    def side(self, number):
        gc.collect()
        most.append(len(sides))
        made = make(self, number)
        sides.add(made)
        return made

    monkeypatch.setattr(Files, "side", side)
    found(folders, "right", "port")
    assert max(most) <= 3  # a pair until it is replaced, and the first of the next


# ------------------------------------------------------------------------------------------------ the command


def test_exit_codes_and_json_for_ci(folders):
    equal, different = (sheetgpt_here("diff", "runs", side, "--json", cwd=folders) for side in ("right", "port"))
    assert (equal.code, different.code) == (0, 1)
    assert json.loads(equal.out)["equal"] is True
    data = json.loads(different.out)
    assert (data["equal"], data["prompts"], data["diverging"]) == (False, 5, 3)
    assert data["missing_right"] == {str(GONE): ""}
    assert data["unread"] == ["port/notes.txt"]
    assert data["outcomes"][0]["number"] == SCALED
    assert data["outcomes"][0]["prompt"] == TEXTS[SCALED]
    every = json.loads(sheetgpt_here("diff", "runs", "port", "--json", "--all", cwd=folders).out)
    assert sorted(one["number"] for one in every["outcomes"]) == [0, 1, 2, 4, 5]


def test_the_table_shows_the_worst_and_all_totals(folders):
    result = sheetgpt_here("diff", "runs", "port", "--top", "1", "--all", cwd=folders)
    assert result.code == 1
    lines = result.out.splitlines()
    assert lines[0] == f"3 of 5 prompts diverge, worst number {SCALED}: first block_1_step_7."
    assert "... and 2 more (--top)" in lines
    assert "Equal: 0, 4" in lines
    assert f"Not in port, 1: {GONE}" in lines
    assert "Not read, no prompt's number in its name: port/notes.txt" in lines
    assert sum("exact (erf) GELU" in line for line in lines) == 1


def test_a_prompt_that_is_missing_is_a_difference_where_strict(folders, tmp_path):
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "0.npz").write_bytes((folders / "right" / "0.npz").read_bytes())
    options = [folders / "right", tmp_path / "few", "--stages", "block_0_step_7"]
    assert sheetgpt_here("diff", *options).code == 0
    assert sheetgpt_here("diff", *options, "--strict").code == 1


def test_another_model_is_said_to_be_one(folders, tmp_path):
    sides = []
    for seed in (1, 2):
        write_random_model(tmp_path / f"w{seed}", Config(1, 2, 8, 8, 10), seed=seed)
        other = load_model(tmp_path / f"w{seed}")
        Batch(other, [Prompt(token_ids=(1, 2))], tmp_path / f"runs{seed}", "logits").write()
        sides.append(tmp_path / f"runs{seed}")
    result = sheetgpt_here("diff", *sides)
    assert result.code == 1
    assert "The two sides are runs of different models." in result.out


REFUSALS = {
    "one run and many": (["run:Mike", "runs"], "run:Mike is no folder of many prompts' runs, as the other side is"),
    "a file and many": (["port", "port/notes.txt"], "is no folder of many prompts' runs"),
    "a map": (["runs", "port", "--map", "x.csv"], "--map doesn't go with folders of many prompts"),
    "a report": (["runs", "port", "--report", "x.xlsx"], "--report doesn't go with folders"),
    "no such stage": (["runs", "port", "--stages", "xyz"], "--stages xyz: no stage is called so"),
    "nothing in common": (["runs", "far"], "have no prompt in common"),
    "a number twice": (["runs", "twice"], "both of prompt 1"),
    "nothing there": (["runs", "nowhere"], "nowhere is no folder of many prompts' runs"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_one_line(case, folders):
    for name, files in (("far", ["99.npz"]), ("twice", ["1.npz", "001.npz"])):
        (folders / name).mkdir(exist_ok=True)
        for file in files:
            (folders / name / file).write_bytes((folders / "right" / "0.npz").read_bytes())
    arguments, expected = REFUSALS[case]
    assert expected in sheetgpt_here("diff", *arguments, cwd=folders).error


@given(st.sets(st.integers(0, 60)))
def test_ranges_hold_the_numbers_and_no_others(numbers):
    parts = [part.split("-") for part in in_ranges(sorted(numbers)).split(", ") if part]
    spans = [range(int(part[0]), int(part[-1]) + 1) for part in parts]
    assert [number for span in spans for number in span] == sorted(numbers)
    assert all(after.start > before.stop for before, after in itertools.pairwise(spans))


def test_a_folder_of_many_files_is_opened_in_the_time_that_it_takes_to_list_them(tmp_path):
    for number in range(3000):
        (tmp_path / f"{number}.npz").touch()
    (tmp_path / "notes.txt").touch()
    start = time.process_time()
    by_number(tmp_path)
    listed = time.process_time()
    assert Files(tmp_path).unread == ["notes.txt"]
    assert time.process_time() - listed < 5 * (listed - start)
