"""Who may ask the server of `explore`, and what it answers: this machine, its own page, with the token."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from sheetgpt import load_model
from sheetgpt.explore.runs import Asked
from sheetgpt.explore.server import Explorer, app

MODEL = load_model()
PROMPT = "Mike is quick. He moves"
HOME = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def client():
    return TestClient(app(Explorer(MODEL, Asked(PROMPT)), "secret"), base_url=HOME)


def run_of(client, **asked):
    lines = client.post("/secret/run", json=asked).text.splitlines()
    return [orjson.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/facts", {}),
        ("/secre/facts", {}),
        ("/secretfacts", {}),
        ("/secret/facts", {"host": "evil.example"}),
        ("/secret/facts", {"host": "evil.example:8000"}),
        ("/secret/facts", {"origin": "http://evil.example"}),
        ("/secret/facts", {"origin": "null"}),
        ("/secret/facts", {"origin": "http://127.0.0.1:9999"}),
        ("/secret/facts", {"sec-fetch-site": "cross-site"}),
        ("/secret/facts", {"sec-fetch-site": "same-site"}),
    ],
)
def test_others_are_refused(client, path, headers):
    assert client.get(path, headers=headers).status_code == 403


def test_its_own_page_is_answered_and_nothing_else_is_served(client):
    headers = {"origin": HOME, "sec-fetch-site": "same-origin"}
    assert client.get("/secret/facts", headers=headers).json()["model"]["n_layer"] == MODEL.config.n_layer
    for path in ("/secret/../pyproject.toml", "/secret/page/src/main.tsx", "/secret/server.py", "/secret/cells/x/y"):
        assert client.get(path).status_code >= 400


def test_a_run_needs_json(client):
    """So no form of another page can ask for one."""
    assert client.post("/secret/run", content='{"prompt": "a"}').status_code == 400
    for wrong in ("[]", '{"prompt": 3}', '{"sets": [1]}', "no json"):
        sent = client.post("/secret/run", content=wrong, headers={"content-type": "application/json"})
        assert sent.status_code == 400, wrong


def test_a_run_comes_stage_by_stage_and_then_the_answer(client):
    first, *stages, last = run_of(client, prompt=PROMPT)
    trace = MODEL.run(PROMPT)
    assert first["tokens"] == trace.tokens
    assert [one["stage"] for one in stages] == [step.name for step in trace.steps.computed]
    assert last["done"]
    assert [one["token"] for one in last["best"]] == [one.token for one in trace.predictions(10)]


def test_a_changed_run_brings_only_what_changed(client):
    _, *stages, last = run_of(client, prompt=PROMPT, sets=["block_1_step_15[5,0]=1"])
    assert stages[0]["stage"] == "block_1_step_15"
    assert stages[0]["change"]["largest"] > 0
    assert all(one["before"] for one in last["best"])


def test_errors_are_the_commands_sentences(client):
    assert run_of(client, prompt="")[-1] == {"error": "the prompt is empty: give at least one token"}
    error = run_of(client, prompt=PROMPT, sets=["block_9_step_1[0,0]=1"])[-1]["error"]
    assert "block_9_step_1" in error


def test_cells_come_as_doubles_of_the_box_that_is_asked_for(client):
    run = run_of(client, prompt=PROMPT)[0]["run"]
    sent = client.get(f"/secret/cells/{run}/block_0_step_4?row=2&column=190&rows=64&columns=128")
    box = np.frombuffer(sent.content, "<f8").reshape(int(sent.headers["x-rows"]), int(sent.headers["x-columns"]))
    assert np.array_equal(box, MODEL.run(PROMPT).array("block_0_step_4")[2:, 190:])


def test_a_run_that_is_no_longer_kept_is_said_to_be_gone(client):
    assert client.get("/secret/cells/nothing/logits?row=0&column=0&rows=1&columns=1").status_code == 410
