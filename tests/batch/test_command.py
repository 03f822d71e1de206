"""`sheetgpt batch`: killed and started again, on two workers, one killed: the same bytes. Faults are a line."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import sheetgpt
from conftest import require

ROOT = Path(__file__).resolve().parents[2]
STAGES = "block_*_step_7,logits"
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


def write_prompts(path: Path, count: int) -> Path:
    rng = random.Random(1)
    words = "Mike Anna is quick slow . He She moves quickly They are".split()
    path.write_text("".join(" ".join(rng.choices(words, k=rng.randint(1, 12))) + "\n" for _ in range(count)))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def start(*arguments, code=None, **options):
    command = [sys.executable, *(["-c", code] if code else ["-m", "sheetgpt"]), "batch", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)


def wait_for_shards(folder: Path, count: int, process) -> None:
    while len(list(folder.glob("shard_*"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    return write_prompts(tmp_path_factory.mktemp("prompts") / "prompts.txt", 3000)


@pytest.fixture(scope="module")
def whole(prompts, tmp_path_factory):
    """The files of one process that nothing befell."""
    folder = tmp_path_factory.mktemp("whole") / "runs"
    done = sheetgpt("batch", prompts, "-o", folder, "--stages", STAGES, "--shard", 20)
    assert done.code == 0, done.err
    return files(folder)


@posix
def test_after_a_kill_the_same_command_goes_on_and_gives_the_same_bytes(prompts, whole, tmp_path):
    arguments = [prompts, "-o", tmp_path / "runs", "--stages", STAGES, "--shard", 20]
    for shards in (1, 40):
        process = start(*arguments)
        wait_for_shards(tmp_path / "runs", shards, process)
        process.kill()
        process.communicate()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("shard_*")}
    assert 0 < len(before) < 150
    done = sheetgpt("batch", *arguments)
    assert done.code == 0, done.err
    assert f"{len(before)} of them done" in done.err
    assert files(tmp_path / "runs") == whole
    assert {path: path.stat().st_mtime_ns for path in before} == before


@posix
@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_give_the_bytes_of_one_process(prompts, whole, tmp_path):
    require("distributed", "batch")
    import psutil

    process = start(prompts, "-o", tmp_path / "runs", "--stages", STAGES, "--shard", 20, "--workers", 2)
    wait_for_shards(tmp_path / "runs", 3, process)
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[0].kill()
    assert len(list((tmp_path / "runs").glob("shard_*"))) < 150, "it was killed too late to prove anything"
    told = process.communicate(timeout=120)[1]
    assert process.returncode == 0, told
    assert len(told.splitlines()) == 1, told  # the plan
    assert files(tmp_path / "runs") == whole


@posix
@pytest.mark.slow
def test_a_scheduler_that_is_lost_is_one_line_and_what_is_done_stays(prompts, whole, tmp_path):
    require("distributed", "batch")
    nowhere = "tcp://127.0.0.1:9"
    arguments = [prompts, "-o", tmp_path / "runs", "--stages", STAGES, "--shard", 20]
    assert f"no scheduler answers at {nowhere}" in sheetgpt("batch", *arguments, "--scheduler", nowhere).err
    code = "from distributed.cli.dask_scheduler import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    place = tmp_path / "scheduler.json"
    options = ["--scheduler-file", str(place), "--no-dashboard"]
    scheduler = subprocess.Popen([sys.executable, "-c", code, *options, "--port", "0", "--host", "127.0.0.1"], **quiet)
    code = "from distributed.cli.dask_worker import main; main()"
    worker = subprocess.Popen([sys.executable, "-c", code, *options, "--nthreads", "1", "--no-nanny"], **quiet)
    try:
        while not place.exists() or not place.read_text():
            time.sleep(0.05)
        process = start(*arguments, "--scheduler", json.loads(place.read_text())["address"])
        wait_for_shards(tmp_path / "runs", 2, process)
        scheduler.kill()
        told = process.communicate(timeout=120)[1].splitlines()
    finally:
        for one in (worker, scheduler):
            one.kill()
            one.wait()
    assert process.returncode == 2
    assert told[1:] == ["Error: the scheduler is lost: what is done stays; run the same command again to go on"]
    assert sheetgpt("batch", *arguments).code == 0
    assert files(tmp_path / "runs") == whole


@posix
@pytest.mark.parametrize("workers", [[], pytest.param(["--workers", 2], marks=pytest.mark.slow)])
def test_ctrl_c_stops_all_processes_with_one_word(prompts, tmp_path, workers):
    arguments = [prompts, "-o", tmp_path / "runs", "--stages", STAGES, "--shard", 10, *workers]
    process = start(*arguments, start_new_session=True)
    wait_for_shards(tmp_path / "runs", 5, process)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1].split()
    assert process.returncode == 130
    assert " ".join(told[-2:]) == "free. Stopped."


FULL_DISK = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
runpy.run_module("sheetgpt", run_name="__main__")
"""


@posix
@pytest.mark.parametrize("workers", [None, pytest.param(1, marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_and_what_is_done_stays(tmp_path, workers):
    prompts = tmp_path / "p.txt"
    prompts.write_text("He moves\n" * 2 + "Mike is quick. He moves quickly. She is slow.\n" * 2)
    arguments = [prompts, "-o", tmp_path / "runs", "--stages", "*", "--shard", 1]
    process = start(*arguments, *(["--workers", workers] if workers else []), code=FULL_DISK)
    told = process.communicate(timeout=120)[1].splitlines()
    assert process.returncode == 2
    assert len(told) == 2, told
    assert "(File too large)" in told[1]
    assert "what is done stays" in told[1]
    assert not [path for path in (tmp_path / "runs").iterdir() if path.name.startswith(".")]
    done = sheetgpt("batch", *arguments)
    assert done.code == 0, done.err


def test_another_model_other_stages_or_prompts_are_refused(tmp_path):
    prompts = write_prompts(tmp_path / "p.txt", 3)
    arguments = ["batch", prompts, "-o", tmp_path / "runs", "--stages"]
    assert sheetgpt(*arguments, "logits").code == 0
    before = files(tmp_path / "runs")
    changes = {
        "another model": ["logits", "--weights", "rotary"],
        "other --stages": ["logits,block_0_step_1"],
        "another --dtype": ["logits", "--dtype", "float64"],
        "another --shard": ["logits", "--shard", 2],
    }
    for what, options in changes.items():
        assert f"was begun with {what}: name a new folder" in sheetgpt(*arguments, *options).error
    write_prompts(prompts, 4)
    assert "was begun with other prompts" in sheetgpt(*arguments, "logits").err
    assert files(tmp_path / "runs") == before
    write_prompts(prompts, 3)
    again = sheetgpt(*arguments, "logits")
    assert again.code == 0
    assert "all were there" in again.out


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    prompts, folder = write_prompts(tmp_path / "p.txt", 3), tmp_path / "runs"
    folder.mkdir()
    (folder / "mine").touch()
    assert "holds something else" in sheetgpt("batch", prompts, "-o", folder, "--stages", "none").error
    assert files(folder) == {"mine": b""}


def test_bad_prompts_are_rows_with_an_error_and_strict_stops(tmp_path):
    lines = [
        '{"prompt": "He moves"}',
        '{"prompt": ""}',
        '{"token_ids": [1, 99999]}',
        json.dumps({"token_ids": [1] * 999}),
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    arguments = ["batch", tmp_path / "p.jsonl", "-o", tmp_path / "runs", "--stages", "none", "--json"]
    strict = sheetgpt(*arguments, "--strict")
    assert "prompt 1 (and 2 more are bad): the prompt is empty" in strict.error
    assert not (tmp_path / "runs").exists()
    done = sheetgpt(*arguments)
    assert done.code == 0
    told = json.loads(done.out)
    assert (told["prompts"], told["bad"], list(told["first_errors"])) == (4, 3, ["1", "2", "3"])
    assert "token id 99999" in told["first_errors"]["2"]
    assert "999 tokens" in told["first_errors"]["3"]


def test_stages_must_be_named_and_what_fits_none_is_refused(tmp_path):
    prompts = write_prompts(tmp_path / "p.txt", 3)
    arguments = ["batch", prompts, "-o", tmp_path / "runs"]
    assert "--stages" in sheetgpt(*arguments).error
    assert "did you mean logits" in sheetgpt(*arguments, "--stages", "logit").error
    assert "no stage fits 'blok_*'" in sheetgpt(*arguments, "--stages", "blok_*").error
    assert "is a table of texts" in sheetgpt(*arguments, "--stages", "final_tokens").error
    assert not (tmp_path / "runs").exists()


def test_standard_input_is_a_source_and_the_plan_says_what_the_choice_takes(tmp_path):
    command = [sys.executable, "-m", "sheetgpt", "batch", "-", "-o", tmp_path / "runs", "--stages", "logits"]
    done = subprocess.run(command, input="He moves\n\nShe\n", capture_output=True, text=True, check=True)
    plan = done.stderr.splitlines()[0]
    assert plan.startswith("3 prompts (1 bad) in 1 shard; 1 stage: ")
    shard = tmp_path / "runs" / "shard_00000.safetensors"
    header = 8 + int.from_bytes(shard.read_bytes()[:8], "little")
    assert f" a prompt, {(shard.stat().st_size - header) / 1000:.1f} kB in all" in plan


@pytest.mark.parametrize("module", ["pyarrow", "distributed"])
def test_without_the_extra_one_sentence_says_what_to_install(tmp_path, module):
    prompts = write_prompts(tmp_path / "p.txt", 3)
    code = (
        f"import sys; sys.modules['{module}'] = None; import runpy; runpy.run_module('sheetgpt', run_name='__main__')"
    )
    process = start(prompts, "-o", tmp_path / "runs", "--stages", "none", "--workers", 1, code=code)
    told = process.communicate(timeout=60)[1].splitlines()[-1]
    assert process.returncode == 2
    assert told == f'Error: many prompts need {module}, which is not installed: pip install "sheetgpt[batch]"'
