"""A folder of runs, opened again: labelled frames, mapped; what is damaged or unfinished says so."""

from __future__ import annotations

import json
import mmap
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import require
from sheetgpt import batch, load_model
from sheetgpt.batch.batching import Batch
from sheetgpt.batch.planning import size
from sheetgpt.batch.prompts import Prompt
from sheetgpt.batch.shards import Entry
from sheetgpt.batch.workers import WorkersError
from sheetgpt.errors import DamagedError, DumpError, PromptError, StageError

TEXTS = ["Mike is quick. He moves", "", "He", "Mike is quick.", "They"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("batch") / "runs"
    Batch(load_model(), [Prompt(text) for text in TEXTS], made, "block_*_step_7,logits", shard=2).write()
    return made


@pytest.fixture
def runs(folder):
    return batch.open(folder)


def base_of(array):
    while isinstance(array, np.ndarray | memoryview):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return array


def test_a_stage_is_the_frame_of_the_prompts_own_run_and_mapped_from_disk(runs):
    own = load_model().run(TEXTS[3])
    trace = runs[3]
    for stage in runs.stages:
        found, expected = trace[stage], own[stage]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        assert found.index.equals(expected.index)
        assert found.columns.equals(expected.columns)
        assert isinstance(base_of(trace.array(stage)), mmap.mmap)
    assert trace["final_tokens"].equals(own["final_tokens"])
    with pytest.raises(StageError, match="no stage is called"):
        trace["block_0_step_1"]


def test_length_iteration_and_numbers_count_every_prompt_and_pass_over_bad_ones(runs):
    assert len(runs) == len(TEXTS)
    assert [number for number, _ in runs.items()] == [0, 2, 3, 4]
    assert [trace.prompt for trace in runs] == [text for text in TEXTS if text]
    assert runs[-1].prompt == "They"
    with pytest.raises(PromptError, match="prompt 1 has no run: the prompt is empty"):
        runs[1]
    with pytest.raises(IndexError):
        runs[5]


def test_the_index_says_of_each_prompt_what_its_own_run_does(runs):
    index, model = runs.index, load_model()
    assert index["prompt"].tolist() == TEXTS
    assert index["error"].notna().tolist() == [not text for text in TEXTS]
    for number, trace in runs.items():
        own, row = model.run(TEXTS[number]), index.loc[number]
        assert row["token_ids"].tolist() == own.token_ids == trace.token_ids
        assert row["tokens"].tolist() == own.tokens
        assert row["predicted_token"] == own.predicted_token
        assert row["probability"] == pytest.approx(own.predictions(1)[0].probability, rel=1e-12)
        assert (row["shard"], row["row"]) == divmod(number, 2)


def test_an_unfinished_folder_and_another_one_are_refused(folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "runs")
    (tmp_path / "runs" / "index.parquet").unlink()
    (tmp_path / "runs" / "shard_00001.safetensors").unlink()
    with pytest.raises(DumpError, match="is unfinished \\(2 of 3 shards\\): run the same"):
        batch.open(tmp_path / "runs")
    with pytest.raises(DumpError, match="has no manifest.json"):
        batch.open(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 100, -9])
def test_a_torn_shard_is_one_line(folder, tmp_path, keep):
    import shutil

    shutil.copytree(folder, tmp_path / "runs")
    torn = tmp_path / "runs" / "shard_00001.safetensors"
    torn.write_bytes(torn.read_bytes()[:keep])
    with pytest.raises(DamagedError, match="is damaged .*: delete it and run the same"):
        batch.open(tmp_path / "runs")[2]


@pytest.mark.parametrize(
    "change",
    [
        {"stages": ["nothing"]},
        {"stages": 3},
        {"shard": 0},
        {"prompts": "5"},
        {"constants": {"n_layer": 1}},
        {"constants": 7},
    ],
)
def test_a_manifest_that_anybody_wrote_is_one_line(folder, tmp_path, change):
    import shutil

    shutil.copytree(folder, tmp_path / "runs")
    manifest = tmp_path / "runs" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(DamagedError, match="manifest.json is damaged"):
        batch.open(tmp_path / "runs")


def test_any_reader_of_safetensors_finds_the_rows(runs):
    from safetensors.numpy import load_file

    tensors = load_file(runs.folder / "shard_00001.safetensors")
    begin, end = tensors["logits.offsets"][1:3]
    np.testing.assert_array_equal(tensors["logits"][begin:end], runs[3].array("logits"))
    begin, end = tensors["block_0_step_7.offsets"][1:3]
    np.testing.assert_array_equal(tensors["block_0_step_7"][begin:end], runs[3].array("block_0_step_7").ravel())


def test_a_disk_without_room_is_refused_before_the_folder_is_there(tmp_path):
    refused = Batch(load_model(), [Prompt("He")], tmp_path / "runs", "logits")
    needs = refused.plan.missing_bytes
    refused.plan = replace(refused.plan, free_bytes=needs - 1)
    with pytest.raises(
        DumpError, match=f"has {size(needs - 1)} free, and the shards take {size(needs)} more: keep fewer"
    ):
        refused.write()
    assert not (tmp_path / "runs").exists()
    refused.plan = replace(refused.plan, free_bytes=needs)
    assert len(refused.write()) == 1


def test_workers_that_are_missing_are_found_out_before_the_folder_is_there(tmp_path):
    require("distributed", "batch")
    refused = Batch(load_model(), [Prompt("He")], tmp_path / "runs", "logits")
    with pytest.raises(WorkersError, match="no scheduler answers"):
        refused.write(address="tcp://127.0.0.1:9")
    assert not (tmp_path / "runs").exists()


def test_room_is_asked_for_only_where_the_disk_is_full(tmp_path):
    batch_of_one = Batch(load_model(), [Prompt("He")], tmp_path / "runs" / "inner", "logits")
    (tmp_path / "runs").touch()  # a file where a folder should be
    with pytest.raises(DumpError, match="can't write .*: what is done stays"):
        batch_of_one.write()


def test_a_prompts_line_is_made_once_and_not_sent_to_workers(monkeypatch):
    entry, dumps, made = Entry(3, "He", (1, 2), ("H", "e")), json.dumps, []
    monkeypatch.setattr(json, "dumps", lambda what: made.append(what) or dumps(what))
    sent = pickle.dumps(entry)
    assert json.loads(entry.line) == json.loads(entry.line) == vars(Entry(3, "He", [1, 2], ["H", "e"]))
    assert len(made) == 1
    assert pickle.dumps(entry) == sent
    assert pickle.loads(sent) == entry
