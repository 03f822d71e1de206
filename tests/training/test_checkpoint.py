"""Checkpoints: what is damaged, made up or another training's is refused in one line, and nothing has changed then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_line import sheetgpt
from sheetgpt.errors import TrainingError
from sheetgpt.models.config import Config
from sheetgpt.training import checkpoint, train
from sheetgpt.training.documents import Corpus, Documents
from sheetgpt.training.optimizers import Settings
from sheetgpt.training.trainer import Trainer

TINY = Config(1, 2, 8, 6, 30)
STEPS, SAVED_AFTER = 6, 4
NAMES = "emma\nolivia\nava\nisabella\nsophia\nmia\namelia\nharper\nevelyn\nabigail\nemily\nella\n"


def trainer(kind=Corpus) -> Trainer:
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, TINY.n_vocab - 1, rng.integers(2, 5)).tolist() for _ in range(30)]
    chosen = Settings(steps=STEPS, batch=3, warmup=2, evaluate_every=2)
    return Trainer(TINY, kind(documents, TINY.n_vocab - 1, TINY.n_ctx), chosen, kind(documents[:9], 29, TINY.n_ctx))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "checkpoint.npz"
    first = trainer()
    for row in first.run():
        if row.step == SAVED_AFTER:
            checkpoint.save(first, path)
    return path


def state_of(one: Trainer):
    vectors = [getattr(one.state, name).tobytes() for name in checkpoint.SAVED]
    return vectors, one.rng.bit_generator.state, list(one.log)


def refusal(path, kind=Corpus) -> str:
    """Why a file is refused, in one line that says what to do; the trainer is as it was."""
    fresh = trainer(kind)
    before = state_of(fresh)
    with pytest.raises(TrainingError) as error:
        checkpoint.resume(fresh, path)
    assert state_of(fresh) == before
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path} ")
    return str(error.value)


def parts(saved):
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(str(arrays.pop("about")))


def changed(saved, path, change):
    """The checkpoint with its arrays and what it says changed by hand, its checksums being right."""
    arrays, about = parts(saved)
    change(arrays, about)
    np.savez(path, **arrays, about=np.array(json.dumps(about)))
    return path


# ------------------------------------------------------------------------------------------------ damaged files


@pytest.mark.parametrize("kind", [Corpus, Documents])
def test_a_whole_checkpoint_of_any_step_is_taken_over(tmp_path, kind):
    first = trainer(kind)
    for number, _ in enumerate(first.run(), start=1):
        checkpoint.save(first, tmp_path / "checkpoint.npz")
        again = trainer(kind)
        checkpoint.resume(again, tmp_path / "checkpoint.npz")
        assert len(again.log) == number
        assert state_of(again) == state_of(first)


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.99, 0.9999])
def test_a_file_that_ends_early_is_refused(saved, tmp_path, share):
    data = saved.read_bytes()
    (tmp_path / "torn.npz").write_bytes(data[: int(share * len(data))])
    assert "is not a whole checkpoint" in refusal(tmp_path / "torn.npz")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_refused_or_changes_nothing(saved, tmp_path, data):
    whole = bytearray(saved.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "flipped.npz"
    path.write_bytes(whole)
    fresh, right = trainer(), trainer()
    checkpoint.resume(right, saved)
    try:
        checkpoint.resume(fresh, path)
    except TrainingError:
        assert refusal(path)
    else:
        assert state_of(fresh) == state_of(right)


# ------------------------------------------------------------------------------------------------ made up


def vector(name, change):
    return lambda arrays, _about: arrays.__setitem__(name, change(arrays[name]))


def says(**changes):
    return lambda _arrays, about: about.update(changes)


def of_records(change):
    return lambda _arrays, about: about.update(records=change(about["records"]))


def one_record(field, value):
    return of_records(lambda rows: [*rows[:-1], [*rows[-1][:field], value, *rows[-1][field + 1 :]]])


def of_rng(**changes):
    return lambda _arrays, about: about["rng"].update(changes)


def at(index, value):
    def change(array):
        array[index] = value
        return array

    return change


MADE_UP = {
    "a vector of length 1": vector("vector", lambda v: v[:1]),
    "a single number": vector("mean", lambda v: v[0]),
    "one number too few": vector("square", lambda v: v[:-1]),
    "a matrix": vector("vector", lambda v: v[None]),
    "doubles": vector("vector", lambda v: v.astype(np.float64)),
    "whole numbers": vector("mean", lambda v: v.astype(np.int32)),
    "texts": vector("vector", lambda v: v.astype(str)),
    "no number": vector("vector", at(3, np.nan)),
    "an infinity": vector("mean", at(0, np.inf)),
    "a square below 0": vector("square", at(5, -1.0)),
    "no vector": lambda arrays, _about: arrays.pop("mean"),
    "another array": lambda arrays, _about: arrays.update(more=np.zeros(3)),
    "no records": says(records=[]),
    "records that are none": says(records=None),
    "records by name": says(records={"0": []}),
    "each record twice": of_records(lambda rows: rows * 2),
    "each record twice, numbered": of_records(lambda rows: [[i, *row[1:]] for i, row in enumerate(rows + rows[:1], 1)]),
    "a record less": of_records(lambda rows: rows[:-1]),
    "records in another order": of_records(lambda rows: rows[::-1]),
    "too many records": of_records(lambda rows: [[i + 1, *rows[0][1:]] for i in range(STEPS + 1)]),
    "a short record": of_records(lambda rows: [*rows[:-1], rows[-1][:3]]),
    "a record that is a number": of_records(lambda rows: [*rows[:-1], 4]),
    "a loss that is a text": one_record(1, "2.5"),
    "a loss that is true": one_record(1, True),
    "a loss that is no number": one_record(1, float("nan")),
    "a loss beyond all doubles": one_record(1, 10**400),
    "another learning rate": one_record(2, 0.5),
    "a norm below 0": one_record(3, -1.0),
    "half a token": one_record(4, 1.5),
    "no time at all": one_record(5, 0.0),
    "a held-out loss that is a list": one_record(6, []),
    "no generator": says(rng=None),
    "another generator": of_rng(bit_generator="MT19937"),
    "a generator without state": of_rng(state={}),
    "a generator elsewhere": of_rng(state={"state": 1, "inc": 3}),
    "a generator out of range": of_rng(state={"state": -1, "inc": 2**200}),
    "a generator's half number": of_rng(uinteger=2**40),
}


@pytest.mark.parametrize("change", MADE_UP.values(), ids=MADE_UP)
def test_what_no_training_wrote_is_refused_and_nothing_has_changed(saved, tmp_path, change):
    assert "is not a whole checkpoint" in refusal(changed(saved, tmp_path / "made-up.npz", change))


@pytest.mark.parametrize("about", ["", "{", "[]", "null", '"text"', "[" * 100_000, "{}"])
def test_what_it_says_may_be_anything(saved, tmp_path, about):
    arrays, _ = parts(saved)
    np.savez(tmp_path / "about.npz", **arrays, about=np.array(about))
    assert refusal(tmp_path / "about.npz")


def test_a_compressed_file_is_refused_before_it_grows(saved, tmp_path):
    arrays, about = parts(saved)
    np.savez_compressed(tmp_path / "packed.npz", **arrays, about=np.array(json.dumps(about)))
    assert "is compressed" in refusal(tmp_path / "packed.npz")


def test_a_zip_whose_parts_are_encrypted_or_of_an_unknown_kind_is_refused(saved, tmp_path):
    for at_byte, value in ((6, 137), (8, 9), (10, 99)):  # version needed, flags, method: of the central directory
        data, place = bytearray(saved.read_bytes()), 0
        while (place := data.find(b"PK\x01\x02", place)) >= 0:
            data[place + at_byte] = value
            place += 4
        (tmp_path / "odd.npz").write_bytes(data)
        assert "is not a whole checkpoint" in refusal(tmp_path / "odd.npz")


@pytest.mark.parametrize("size", [b"9" * 18, b"-1", b"9" * 30, b"'a'", b"0, 0", b"((("])
def test_an_array_that_says_an_absurd_size_is_refused(saved, tmp_path, size):
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(tmp_path / "huge.npz", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "vector.npy":
                begin, end = data.index(b"(") + 1, data.index(b",)")
                data = data[:begin] + size + data[end:128].replace(b" " * (len(size) - end + begin), b"") + data[128:]
            new.writestr(name, data)
    assert "is not a whole checkpoint" in refusal(tmp_path / "huge.npz")


def test_the_command_refuses_in_one_line_and_writes_no_model(tmp_path):
    names, dest = tmp_path / "names.txt", tmp_path / "m"
    names.write_text(NAMES, encoding="utf-8")
    arguments = ["train", names, dest, "--tokens", "chars", "--model", "mlp", "--steps", 6]
    new, chosen = train.NewModel(1, 1, 8, 8, model="mlp", tokens="chars"), Settings(steps=6)
    ready = train.prepare(names, dest, new, chosen)
    next(iter(ready.run()))
    checkpoint.save(ready, dest / "checkpoint.npz")
    (dest / "checkpoint.npz").write_bytes((dest / "checkpoint.npz").read_bytes()[:-100])
    before = {path.name: path.read_bytes() for path in dest.iterdir()}
    for resume in ([], ["--resume"]):
        assert "delete it and train anew" in sheetgpt(*arguments, *resume).error
        assert {path.name: path.read_bytes() for path in dest.iterdir()} == before


# ------------------------------------------------------------------------------------------------ a full disk

# Python code that makes every write beyond so many bytes a file fail as on a full disk
FULL_DISK = """
import resource, runpy, sys
size = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from sheetgpt.training import train
train.CHECKPOINT_EVERY = float(sys.argv.pop(1))
runpy.run_module("sheetgpt", run_name="__main__")
"""
needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")


def full_disk(*arguments, size, every=60.0, **environment):
    command = [sys.executable, "-c", FULL_DISK, *map(str, (size, every, *arguments))]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})


def small_training(tmp_path, steps):
    names = tmp_path / "names.txt"
    names.write_text(NAMES, encoding="utf-8")
    return ["train", names, tmp_path / "m", "--tokens", "chars", "--model", "mlp", "--steps", steps]


@needs_limits
def test_training_goes_on_where_a_checkpoint_on_the_way_finds_no_room(tmp_path):
    process = full_disk(*small_training(tmp_path, 30), size=30_000, every=0.0)
    told = process.communicate(timeout=120)[1]
    assert "Traceback" not in told
    assert "checkpoint.npz can't be written (File too large): training goes on" in told
    assert process.returncode == 0
    assert sheetgpt("check", tmp_path / "m").code == 0
    assert not [path for path in (tmp_path / "m").iterdir() if path.name.startswith(".") or path.suffix == ".npz"]


@needs_limits
@pytest.mark.parametrize("whole", [False, True], ids=["at Ctrl-C", "at the end"])
def test_what_was_trained_is_kept_elsewhere_where_the_disk_is_full(tmp_path, whole):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments = small_training(tmp_path, 300 if whole else 4000)
    blocked = tmp_path / "m" / "checkpoint.npz"
    blocked.mkdir(parents=True)  # stands for a disk that takes no file of this name
    (blocked / "full").touch()
    constants = tmp_path / "m" / "model_wte.csv"
    if whole:
        constants.mkdir()
        (constants / "full").touch()
    process = full_disk(*arguments, "--force", size=1 << 30, TMPDIR=str(elsewhere))
    while "step " not in (line := process.stderr.readline()):
        assert line
    if not whole:
        process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert "Traceback" not in told
    (kept,) = elsewhere.glob("sheetgpt-*/checkpoint.npz")
    assert str(kept) in told.splitlines()[-1]
    (blocked / "full").unlink()
    blocked.rmdir()
    if whole:
        (constants / "full").unlink()
        constants.rmdir()
    kept.rename(blocked)
    done = sheetgpt(*arguments)
    assert done.code == 0, done.err
    assert "Going on after step" in done.err


def test_where_the_model_finds_no_room_the_checkpoint_keeps_the_training(tmp_path):
    arguments = small_training(tmp_path, 20)
    wte = tmp_path / "m" / "model_wte.csv"
    wte.mkdir(parents=True)
    (wte / "full").touch()
    failed = sheetgpt(*arguments)
    assert failed.code == 2
    assert failed.err.splitlines()[-1].startswith("Error: ")
    assert "the same command goes on from there" in failed.err
    assert "Traceback" not in failed.err
    (wte / "full").unlink()
    wte.rmdir()
    done = sheetgpt(*arguments)
    assert done.code == 0, done.err
    assert "Going on after step 20" in done.err
    assert not (tmp_path / "m" / "checkpoint.npz").exists()
