"""The law that a stage says what it is: under strange names everything gives the same numbers.

Two models of the same weights: GPT-2, and the same list of steps with every stage renamed. Whatever one does, the other
does, with the names exchanged.
"""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import openpyxl
import pytest

from models import write_random_model
from sheetgpt import load_model
from sheetgpt.cli import cli
from sheetgpt.fixtures import arrays as fixtures
from sheetgpt.lens import explain
from sheetgpt.models import kinds
from sheetgpt.models.config import MODELS, Config
from sheetgpt.models.step import Role
from sheetgpt.weights.folder import embedded_folder
from sheetgpt.workbook.reading.open import Workbook
from strange_model import NAME, strange

PROMPT = "Mike is quick. He moves"
CONFIG = Config(n_layer=2, n_head=2, n_embd=8, n_ctx=16, n_vocab=592)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """(GPT-2's folder, the strange one's): the same weights and tokens."""
    MODELS[NAME] = "strange_model"
    kinds._known.cache_clear()
    base = tmp_path_factory.mktemp("strange")
    write_random_model(base / "plain", CONFIG)
    for name in ("vocab_bpe.csv", "bpe_token_ids.csv"):
        shutil.copy(embedded_folder() / name, base / "plain" / name)
    shutil.copytree(base / "plain", base / "strange", ignore=shutil.ignore_patterns(".sheetgpt_cache"))
    with (base / "strange" / "constants.csv").open("a") as file:
        file.write(f"model,{NAME}\n")
    yield base / "plain", base / "strange"
    del MODELS[NAME]
    kinds._known.cache_clear()


@pytest.fixture(scope="module")
def traces(folders):
    return [load_model(folder).run(PROMPT) for folder in folders]


def run(capsys, *arguments, code=0) -> dict:
    """A command's `--json`."""
    with pytest.raises(SystemExit) as done:
        cli.main([*map(str, arguments), "--json"], standalone_mode=True)
    assert done.value.code == code, capsys.readouterr()
    return json.loads(capsys.readouterr().out)


def both(capsys, command, *arguments, folders, **kwargs) -> tuple[dict, dict]:
    return tuple(run(capsys, command, *arguments, "--weights", folder, **kwargs) for folder in folders)


def test_every_stage_has_a_strange_name_and_the_same_numbers(traces):
    plain, other = traces
    assert list(other) == [strange(name) for name in plain]
    for name in plain:
        assert plain[name].equals(other[strange(name)]), name


def test_the_csv_dump_is_the_same_file_by_file(traces, tmp_path):
    plain, other = (trace.to_csv(tmp_path / name) for trace, name in zip(traces, ("plain", "other"), strict=True))
    for name in traces[0]:
        assert (plain / f"{name}.csv").read_bytes() == (other / f"{strange(name)}.csv").read_bytes(), name


@pytest.mark.parametrize("formulas", [False, True], ids=["values", "live"])
def test_workbooks_hold_the_same_numbers_under_the_strange_names(traces, tmp_path, formulas):
    plain, other = (
        Workbook(trace.to_excel(tmp_path / f"{number}.xlsx", formulas=formulas)) for number, trace in enumerate(traces)
    )
    assert plain.tabs == other.tabs
    for name in traces[0]:
        areas = plain.names[name]
        assert other.names[strange(name)] == areas, name
        (a, texts), (b, other_texts) = plain.part(areas), other.part(areas)
        np.testing.assert_array_equal(a, b, err_msg=name)
        assert texts == other_texts


@pytest.mark.office
def test_the_live_workbook_recalculates_to_the_same_numbers(traces, tmp_path, recalculate):
    _, other = traces
    path = other.to_excel(tmp_path / "strange.xlsx", formulas=True)
    book = Workbook(recalculate(path))
    for name in other:
        if not other.step(name).is_text:
            found, _ = book.part(book.names[name])
            np.testing.assert_allclose(found, other.array(name), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("kind", ["csv", "values", "live"])
def test_dumps_are_read_back_as_equal_and_a_changed_cell_is_found_in_every_stage(
    folders, traces, tmp_path, capsys, kind
):
    other = traces[1]
    dump = other.to_csv(tmp_path / "dump")
    side = dump if kind == "csv" else other.to_excel(tmp_path / "book.xlsx", formulas=kind == "live")
    found = run(capsys, "diff", dump, side)
    assert found["equal"]
    assert {stage["stage"] for stage in found["stages"] if stage["verdict"] == "equal"} >= set(other)
    for name in other:
        if kind != "csv" and other.step(name).is_text:
            continue
        changed = shutil.copytree(dump, tmp_path / "changed", dirs_exist_ok=True)
        change_a_cell(changed / f"{name}.csv")
        found = run(capsys, "diff", side, changed, code=1)
        assert found["first"] == name
        shutil.rmtree(changed)


def change_a_cell(path) -> None:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    rows[1][-1] = "777" if rows[1][-1].replace(".", "").replace("-", "").replace("e", "").isdigit() else "changed"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize(
    ("stage", "cell"), [("block_0_step_7", "[1,-1,2]"), ("position_embeddings", "[2,3]"), ("final_tokens", "[1,-2]")]
)
def test_a_set_cell_travels_as_far(folders, capsys, stage, cell):
    plain, other = (
        run(capsys, "run", PROMPT, "--weights", folder, "--set", f"{name}{cell}=5")
        for folder, name in zip(folders, (stage, strange(stage)), strict=True)
    )
    assert plain["predictions"] == other["predictions"]
    assert [(part["part"], part["largest_change"], strange(part["stage"])) for part in plain["travel"]] == [
        (part["part"], part["largest_change"], part["stage"]) for part in other["travel"]
    ]


def test_every_number_has_the_same_terms(traces):
    plain, odd = traces
    for step in plain.steps.computed:
        found, same = (
            explain(trace, f"{name}[-1,0]", depth=2) for trace, name in ((plain, step.name), (odd, strange(step.name)))
        )
        for one, other in zip(found.levels, same.levels, strict=True):
            assert [term.value for term in one.rows] == [term.value for term in other.rows]
            assert (one.value, one.label, one.in_numbers) == (other.value, other.label, other.in_numbers)


def test_an_edited_workbook_resumes_to_the_same_answer(folders, traces, tmp_path, capsys):
    answers = []
    for trace, stage in zip(traces, ("block_1_step_3", strange("block_1_step_3")), strict=True):
        path = trace.to_excel(tmp_path / f"{stage}.xlsx")
        area = Workbook(path).names[stage][0]
        book = openpyxl.load_workbook(path)
        book[area.tab].cell(area.row + 2, area.column + 3).value = 4.0
        book.save(path)
        answers.append(run(capsys, "resume", path))
    plain, other = answers
    assert [edit["stage"] for edit in other["edits"]] == [strange(edit["stage"]) for edit in plain["edits"]]
    assert plain["edits"]
    assert plain["predictions"] == other["predictions"]


def test_the_same_text_is_generated(folders, capsys):
    plain, other = both(capsys, "generate", PROMPT, "-n", 12, "--temperature", 1, "--seed", 3, folders=folders)
    assert plain["tokens"] == other["tokens"]


def test_the_same_loss_is_measured(folders, capsys):
    plain, other = both(capsys, "loss", "Mike is quick. He moves quickly.", folders=folders)
    assert plain == other


def test_a_training_step_shows_the_same_numbers(folders, capsys, tmp_path):
    books = []
    for number, folder in enumerate(folders):
        options = ["--dump-xlsx", "--dump-csv", "--exports", tmp_path, "--name", str(number), "--steps", 1]
        books.append(run(capsys, "train-step", PROMPT, "--weights", folder, *options))
    plain, other = books
    assert plain["losses"] == other["losses"]
    assert plain["update"] == other["update"]
    names = {path.stem for path in (tmp_path / "0" / "step_1").iterdir()}
    renamed = {path.stem for path in (tmp_path / "1" / "step_1").iterdir()}
    assert {name for name in names if "model_" in name} <= renamed
    assert (tmp_path / "1" / "step_1" / f"d_{strange('logits')}.csv").exists()


def test_training_gives_the_same_weights(folders, tmp_path):
    from sheetgpt.training import train

    corpus = tmp_path / "corpus.txt"
    corpus.write_text("Mike is quick. He moves quickly.\n" * 40)
    settings = train.Settings(steps=3, batch=4, warmup=1)
    for model in ("gpt2", NAME):
        new = train.NewModel(n_layer=1, n_head=2, n_embd=8, n_ctx=8, vocab_size=270, model=model)
        trainer = train.prepare(corpus, tmp_path / model, new, settings)
        train.run(trainer, tmp_path / model, report=lambda *_: None)
    plain, other = (load_model(tmp_path / model) for model in ("gpt2", NAME))
    for name, matrix in plain.weights.items():
        np.testing.assert_array_equal(matrix, other.weights[name], err_msg=name)


def test_fixtures_in_our_names_hold_the_same_arrays(folders, tmp_path):
    plain, other = (
        fixtures.read(fixtures.make(load_model(folder), PROMPT).save(tmp_path / f"{number}.npz"))
        for number, folder in enumerate(folders)
    )
    assert list(other) == [strange(name) for name in plain]
    for name, array in plain.items():
        np.testing.assert_array_equal(array, other[strange(name)], err_msg=name)


def test_the_stage_of_each_role_is_found(traces):
    plain, other = traces
    for role in (Role.TOKENS, Role.LOGITS, Role.PREDICTION):
        np.testing.assert_array_equal(plain.role(role), other.role(role))
