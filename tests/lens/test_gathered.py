"""One lens over many prompts: each cell is the mean of the prompts' own tables, and its spread theirs."""

from __future__ import annotations

import json

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import sheetgpt_here
from conftest import require
from models import write_random_model
from sheetgpt import lens, load_model
from sheetgpt.errors import LensError
from sheetgpt.lens.gathered import FEW, LeftOut, gather
from sheetgpt.lens.spread import STATISTICS, Spread
from sheetgpt.lens.tables import Look
from sheetgpt.models.config import Config
from sheetgpt.training.loss import measure

TEXTS = ["Mike is quick. He moves", "Anna is slow. She moves", "Mike", "Tom is calm. He sings calmly. He"]
LOOKS = {"lens": lens.logit_lens, "attribute": lens.attribute, "ablate": lens.ablate}
numbers = st.floats(-1e6, 1e6) | st.just(np.nan)


@pytest.fixture(scope="module")
def traces():
    model = load_model()
    return [model.run(text) for text in TEXTS]


def cells(table: pd.DataFrame) -> pd.Series:
    return pd.Series({(row, column): table.loc[row, column] for row in table.index for column in table.columns})


def own_cells(found) -> dict[str, pd.Series]:
    """What a run's own tables say of the cells that mean the same in every prompt."""
    tables = {table.name: table.frame for table in found.report().tables}
    if isinstance(found, lens.logits.LogitLens):
        return {name: tables[name].iloc[-1] for name in ("rank", "probability", "best_probability")}
    if "parts" in tables:
        return {"parts": tables["parts"]["adds"], "blocks": cells(tables["blocks"])}
    maps = {name: cells(tables[name]) for name in ("logit", "probability")}
    return maps | {f"{name}_spread": found for name, found in maps.items()}


@pytest.mark.parametrize("name", LOOKS)
def test_every_cell_is_the_mean_and_the_spread_of_the_prompts_own_tables(name, traces):
    looks = [LOOKS[name](trace) for trace in traces]
    tables = {table.name: table.frame for table in gather(looks).report().tables}
    own = [own_cells(look) for look in looks]
    for table, first in own[0].items():
        rows = pd.DataFrame([one[table].reindex(first.index) for one in own]).astype(float)
        frame = tables[table]
        expected = dict(
            zip(STATISTICS, [rows.mean(), rows.std(ddof=0), rows.min(), rows.max(), rows.count()], strict=True)
        )
        if list(frame.columns) != list(STATISTICS):
            pd.testing.assert_series_equal(cells(frame).reindex(first.index), expected["mean"], **LOOSE)
            continue
        for statistic, values in expected.items():
            pd.testing.assert_series_equal(frame[statistic].reindex(values.index), values, **LOOSE)


LOOSE = {"check_names": False, "check_dtype": False, "rtol": 0, "atol": 1e-12, "check_index_type": False}


@given(st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_spread_is_numpys_whatever_is_empty(rows):
    frame = pd.DataFrame(rows, columns=list("abcd"))
    spread = Spread.of(frame.iloc[0])
    for number in range(1, len(frame)):
        spread = spread.with_more(frame.iloc[number])
    found = spread.table()
    for label, column in frame.items():
        values = column.dropna().to_numpy()
        assert (label in found.index) == bool(len(values))
        if len(values):
            expected = [values.mean(), values.std(), values.min(), values.max(), len(values)]
            np.testing.assert_allclose(found.loc[label, list(STATISTICS)].astype(float), expected, rtol=1e-9, atol=1e-6)


def test_one_prompt_is_its_own_mean_without_spread(traces):
    for look in LOOKS.values():
        for table in gather([look(traces[0])]).report().tables:
            if list(table.frame.columns) == list(STATISTICS):
                np.testing.assert_array_equal(table.frame["mean"], table.frame["greatest"])
                assert not table.frame["standard deviation"].any()
                assert set(table.frame["prompts"]) == {1}


def test_a_share_of_prompts_is_that_of_changed_predictions(traces):
    looks = [lens.ablate(trace) for trace in traces]
    (found,) = [table for table in gather(looks).report().tables if table.name == "changed"]
    changed = [
        (look.prediction != trace.predicted_token).astype(float) for look, trace in zip(looks, traces, strict=True)
    ]
    np.testing.assert_allclose(found.frame, sum(changed) / len(traces), atol=1e-12)
    assert found.look is Look.SHARES


def test_the_token_is_said_and_what_is_averaged(traces):
    one = gather(lens.attribute(trace, " quickly", " slowly") for trace in traces).report()
    assert (one.facts["token"], one.facts["against"], one.facts["prompts"]) == (" quickly", " slowly", len(TEXTS))
    own = gather(map(lens.attribute, traces)).report()
    assert own.facts["token"] == ["each prompt's own, 4 different ones"]
    assert gather(map(lens.logit_lens, traces)).report().facts["token"] == ["each prompt's own prediction"]
    for report in (one, own):
        assert report.notes[:-1] == lens.attribute(traces[0]).report().notes
        assert "Averaged over 4 prompts, each counted once: what each part adds" in report.notes[-1]


def test_prompts_that_are_left_out_are_counted_and_named(traces):
    left_out = [LeftOut(number, "", "it is empty") for number in range(FEW + 2)]
    report = gather([*left_out, lens.ablate(traces[0])]).report()
    assert (report.facts["prompts"], report.facts["left out"]) == (1, FEW + 2)
    assert len(report.tables[-1].frame) == FEW + 2
    with pytest.raises(LensError, match="none of 12 prompts can be looked at; number 0: it is empty"):
        gather(left_out)
    with pytest.raises(LensError, match="no prompts to look at"):
        gather([])


# ------------------------------------------------------------------------------------------------ the commands

JSON_LINES = [*(json.dumps({"prompt": text}) for text in TEXTS), '{"token_ids": [3, 1, 2]}']
BAD = ["nothing", '{"token_ids": [1, 9999]}', '{"prompt": ""}', json.dumps({"prompt": "Mike " * 200})]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    (tmp_path / "mixed.jsonl").write_text("\n".join([*JSON_LINES, *BAD]) + "\n", encoding="utf-8")
    (tmp_path / "bad.jsonl").write_text("\n".join(BAD) + "\n", encoding="utf-8")
    (tmp_path / "short.txt").write_text("Mike\n\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text("text,other\nMike,1\nTom is,2\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", LOOKS)
def test_a_command_over_prompts_gives_what_python_gives(command, traces, folder):
    data = json.loads(sheetgpt_here(command, "--prompts", "texts.txt", "--json", cwd=folder).out)
    assert data.pop("files") == []
    assert data == json.loads(json.dumps(gather(map(LOOKS[command], traces)).report().as_data()))


@pytest.mark.parametrize("command", LOOKS)
def test_bad_lines_are_counted_and_named_and_the_others_looked_at(command, folder):
    result = sheetgpt_here(command, "--prompts", "mixed.jsonl", "--json", cwd=folder)
    data = json.loads(result.out)
    assert (result.code, data["prompts"], data["left_out"]) == (0, 5, 4)
    (table,) = [one for one in data["tables"] if one["name"] == "left_out"]
    assert table["rows"] == [5, 6, 7, 8]
    reasons = [reason for _, reason in table["values"]]
    for reason, part in zip(reasons, ["no JSON", "9999", "is empty", "context holds"], strict=True):
        assert part in reason
    printed = sheetgpt_here(command, "--prompts", "mixed.jsonl", cwd=folder).out
    assert "left out: 4" in printed
    assert all(reason in printed for reason in reasons)


def test_cells_are_set_in_every_run_and_a_workbook_and_a_picture_hold_the_report(folder):
    require("matplotlib", "plot")
    options = ["--set", "block_0_step_15=0", "--dump-xlsx", "--plot", "x.png", "--json"]
    result = sheetgpt_here("ablate", "--prompts", "texts.txt", *options, cwd=folder)
    data = json.loads(result.out)
    assert data["set"] == ["block_0_step_15"]
    assert [*map(str, data["files"])] == ["exports/ablate-texts.xlsx", "x.png"]
    book = openpyxl.load_workbook(folder / "exports" / "ablate-texts.xlsx")
    assert book.sheetnames == ["index", *(table["name"] for table in data["tables"])]


def test_a_column_of_a_csv_and_a_mean_over_a_corpus(folder):
    options = ["--column", "text", "--mean", "texts.txt", "--json"]
    data = json.loads(sheetgpt_here("ablate", "--prompts", "table.csv", *options, cwd=folder).out)
    assert data["prompts"] == 2
    assert data["instead"].endswith("of 4 documents")


def test_a_model_without_a_tokenizer_takes_ids(folder):
    write_random_model(folder / "w", Config(1, 2, 8, 8, 10))
    (folder / "ids.jsonl").write_text('{"token_ids": [1, 2]}\n{"token_ids": [3]}\n"text"\n', encoding="utf-8")
    for command in LOOKS:
        result = sheetgpt_here(command, "--prompts", "ids.jsonl", "--weights", "w", "--json", cwd=folder)
        data = json.loads(result.out)
        assert (data["prompts"], data["left_out"]) == (2, 1)


REFUSALS = {
    "two prompts": (["lens", "Mike", "--prompts", "texts.txt"], "--prompts and a prompt don't go together"),
    "ids beside": (["ablate", "--token-ids", "1", "--prompts", "texts.txt"], "--prompts and --token-ids don't"),
    "positions": (["attribute", "--by-token", "--prompts", "texts.txt"], "--prompts and --by-token don't"),
    "a text beside": (["loss", "Mike", "--prompts", "texts.txt"], "--prompts and a text don't"),
    "a file beside": (["loss", "--file", "texts.txt", "--prompts", "texts.txt"], "--prompts and --file don't"),
    "a column of one": (["lens", "Mike", "--column", "text"], "--column goes with --prompts"),
    "a format of one": (["loss", "Mike", "--format", "csv"], "--format goes with --prompts"),
    "no file": (["lens", "--prompts", "nowhere.txt"], "nowhere.txt"),
    "only bad ones": (["lens", "--prompts", "bad.jsonl"], "none of 4 prompts can be looked at; number 0: no JSON"),
    "only bad ones of loss": (["loss", "--prompts", "short.txt"], "none of 2 prompts can be looked at"),
    "no such token": (["lens", "--prompts", "texts.txt", "--token", "xyzzy"], '"xyzzy" is no token'),
    "no such piece": (["ablate", "--prompts", "texts.txt", "--what", "block_9"], "--what 'block_9' is no piece"),
    "no such stage": (["lens", "--prompts", "texts.txt", "--set", "block_9_step_1=0"], "no stage is called"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_is_one_line(case, folder):
    arguments, expected = REFUSALS[case]
    assert expected in sheetgpt_here(*arguments, cwd=folder).error


# ------------------------------------------------------------------------------------------------ loss


def test_the_loss_over_prompts_is_that_of_each_and_of_all_their_tokens(folder):
    data = json.loads(sheetgpt_here("loss", "--prompts", "mixed.jsonl", "--json", cwd=folder).out)
    model = load_model()
    own = [measure(model, model.ids_of(text, None)) for text in TEXTS if text != "Mike"]
    own += [measure(model, [3, 1, 2]), measure(model, model.ids_of("Mike " * 200, None))]
    means = np.array([table.mean for table in own])
    spread = [data[name] for name in ("mean", "standard_deviation", "least", "greatest")]
    np.testing.assert_allclose(spread, [means.mean(), means.std(), means.min(), means.max()], atol=1e-12)
    penalties = [token.penalty for table in own for token in table.tokens]
    assert data["perplexity"] == pytest.approx(np.exp(np.mean(penalties)), rel=1e-12)
    assert data["predictions"] == len(penalties)
    assert [text["number"] for text in data["texts"]] == [0, 1, 3, 4, 8]
    left_out = {one["number"]: one["reason"] for one in data["left_out"]}
    assert "needs at least 2 tokens" in left_out[2]
    assert list(left_out) == [2, 5, 6, 7]  # a text longer than the context is read in windows


def test_the_loss_prints_a_line_a_prompt_and_names_what_it_left_out(folder):
    result = sheetgpt_here("loss", "--prompts", "mixed.jsonl", "--top", "2", cwd=folder)
    assert "... and 3 more (--top)" in result.out
    assert max(map(len, result.out.splitlines()[:4])) < 150
    assert "Left out, 4:" in result.out
    assert "Loss of a prompt: mean " in result.out
