"""Runs as they are asked for: the newest first, no longer than somebody waits, kept as long as there is room."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
import pytest

import explore_pages as pages
from sheetgpt import load_model
from sheetgpt.errors import SheetGPTError
from sheetgpt.explore.runs import Asked, RunGoneError, Runs, Wait, messages
from sheetgpt.explore.server import Explorer
from sheetgpt.explore.workers import COUNT
from sheetgpt.model import Model

ROOT = Path(__file__).resolve().parents[2]
MODEL = load_model()
PROMPT = "Mike is quick. He moves"


class Held(Model):
    """The model, which waits after each stage until it is let go."""

    def __init__(self):
        super().__init__(MODEL.weights, MODEL.tokenizer)
        vars(self).update(begun=[], stages=[], gate=threading.Event())

    def run(self, prompt=None, *, on_stage=None, **how):
        self.begun.append(prompt)

        def held(name, matrix):
            on_stage(name, matrix)
            self.stages.append((prompt, name))
            self.gate.wait(30)

        return super().run(prompt, on_stage=held, **how)


@pytest.fixture
def held():
    model = Held()
    yield model
    model.gate.set()


@pytest.fixture
def busy(held):
    """Runs of which as many are under way as there are workers."""
    runs = Runs(held)
    waits = [Wait() for _ in range(COUNT)]
    for prompt, wait in zip("ab", waits, strict=True):
        runs.start(Asked(prompt), wait)
    until(lambda: len(held.stages) == COUNT)
    yield runs
    held.gate.set()
    runs.close()


def until(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def test_the_newest_is_computed_first(held, busy):
    started = [busy.start(Asked(prompt), Wait()) for prompt in ("one", "two", "three")]
    held.gate.set()
    for run in started:
        run.whole()
    assert held.begun[COUNT:] == ["three", "two", "one"]


def test_what_nobody_waits_for_is_not_begun(held, busy):
    wait, other = Wait(), Wait()
    stale, wanted = busy.start(Asked("stale"), wait), busy.start(Asked("wanted"), wait)
    assert busy.start(Asked("wanted"), other) is wanted
    wait.end()
    with pytest.raises(RunGoneError):
        stale.whole()  # at once, though all workers are busy
    held.gate.set()
    wanted.whole()
    assert "stale" not in held.begun


def test_a_run_that_is_left_under_way_is_given_up_and_computed_anew_when_it_is_asked_for_again(held):
    runs, wait, asked = Runs(held), Wait(), Asked(PROMPT)
    run = runs.start(asked, wait)
    run.begun()
    wait.end()
    with pytest.raises(RunGoneError), Wait() as other:
        runs.get(asked.key, other)
    held.gate.set()
    again = runs.whole(asked)
    assert held.begun == [PROMPT, PROMPT]
    assert len(run.arrays) < len(again.steps.computed)
    assert np.array_equal(again.array("logits"), MODEL.run(PROMPT).array("logits"))


def test_who_comes_when_another_goes_has_the_run(held):
    runs, first, second = Runs(held), Wait(), Wait()
    run = runs.start(Asked(PROMPT), first)
    assert runs.start(Asked(PROMPT), second) is run
    first.end()
    held.gate.set()
    assert run.whole().predicted_token == MODEL.run(PROMPT).predicted_token


def test_who_is_gone_before_the_run_begins_keeps_nothing_going(held):
    wait = Wait()
    wait.end()
    with pytest.raises(RunGoneError):
        Runs(held).start(Asked(PROMPT), wait).whole()


def test_a_run_that_is_whole_is_kept():
    runs = Runs(MODEL)
    with Wait() as wait:
        run = runs.start(Asked(PROMPT), wait)
        run.whole()
    with Wait() as other:
        assert runs.get(Asked(PROMPT).key, other) is run
        assert runs.start(Asked(PROMPT), other) is run


def test_what_a_run_holds_is_what_it_computed():
    """Views count once, and what a changed run shares with the run before counts there."""
    runs, sets = Runs(MODEL), ("block_1_step_15[5,0]=1",)
    with Wait() as wait:
        plain, changed = (runs.start(Asked(PROMPT, sets=some), wait) for some in ((), sets))
        plain.whole(), changed.whole()
    bases: dict[int, int] = {}
    for array in plain.arrays.values():
        bases[id(array.base)] = max(bases.get(id(array.base), 0), array.nbytes)
    assert len(bases) < len(plain.arrays)
    assert plain.bytes == sum(bases.values())
    new = [array for name, array in changed.arrays.items() if array is not plain.arrays[name]]
    assert 0 < changed.bytes <= sum(array.nbytes for array in new) < plain.bytes


@pytest.mark.parametrize("one", ["block_9_step_1[0,0]=1", "block_0_step_4[0,0]=x", "final_tokens[1,0]=99999999"])
def test_a_refusal_comes_before_anything_else(one):
    with Wait() as wait, pytest.raises(SheetGPTError):
        next(messages(Runs(MODEL).start(Asked(PROMPT, sets=(one,)), wait)))


def test_closing_ends_every_wait(held, busy):
    waiting = busy.start(Asked("waits"), Wait())
    busy.close()
    with pytest.raises(RunGoneError):
        waiting.whole()
    with pytest.raises(RunGoneError):
        busy.whole(Asked("later"))


@contextmanager
def asking(address, prompt):
    """A connection on which a run is asked for, and nothing is read."""
    _, _, place, path = address.split("/", 3)
    host, port = place.split(":")
    body = orjson.dumps({"prompt": prompt})
    head = f"POST /{path}run HTTP/1.1\r\nHost: {place}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        yield


def test_a_page_that_goes_away_leaves_its_run(held):
    explorer = Explorer(held, Asked(PROMPT))
    with pages.serving(explorer) as address:
        with asking(address, PROMPT):
            until(lambda: held.stages)
        run = explorer.runs._runs[Asked(PROMPT).key]
        until(lambda: run.error is not None)
        assert isinstance(run.error, RunGoneError)
        held.gate.set()
        assert len(run.arrays) < 5


SERVING = """
import sys
sys.path[:0] = {paths}
from test_runs import Held
from sheetgpt.explore import server
from sheetgpt.explore.runs import Asked
server.built_page.require_built = lambda: None
server.serve(server.Explorer(Held(), Asked("Mike")), 0, browser=False, announce=lambda text: print(text, flush=True))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signal reaches a child process there")
def test_ctrl_c_does_not_wait_for_runs():
    script = SERVING.format(paths=[str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)])
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        address = server.stdout.readline().decode().strip()
        with asking(address, "one"), asking(address, "two"), asking(address, "three"):
            urllib.request.urlopen(f"{address}facts").close()
            time.sleep(0.5)  # so that all are under way or wait
            begun = time.monotonic()
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=20)
    assert time.monotonic() - begun < 10
