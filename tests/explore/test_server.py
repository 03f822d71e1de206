"""Who may ask the server of `explore`, and what it answers: this machine, its own page, with the token."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import orjson
import pytest

import explore_pages as pages
from sheetgpt import load_model
from sheetgpt.explore import pictures
from sheetgpt.explore.runs import Asked
from sheetgpt.explore.server import Explorer
from sheetgpt.models.step import Role
from sheetgpt.run.edit import parse

MODEL = load_model()
PROMPT = "Mike is quick. He moves"
JSON = {"content-type": "application/json"}


@dataclass
class Answer:
    status: int
    content: bytes
    headers: http.client.HTTPMessage


class Client:
    """Asks as any program may: with the headers that it likes."""

    def __init__(self, address):
        self.place = urlsplit(address)
        self.home = f"http://{self.place.netloc}"

    def ask(self, path, headers=None, method="GET", body=None):
        connection = http.client.HTTPConnection(self.place.hostname, self.place.port, timeout=30)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        found = Answer(answer.status, answer.read(), answer.headers)
        connection.close()
        return found

    def get(self, path, headers=None):
        return self.ask(f"/{pages.TOKEN}{path}", headers)

    def post(self, path, body, headers=None):
        return self.ask(f"/{pages.TOKEN}{path}", headers, "POST", body)


@pytest.fixture(scope="module")
def client():
    with pages.serving(Explorer(MODEL, Asked(PROMPT))) as address:
        yield Client(address)


def run_of(client, **asked):
    lines = client.post("/run", orjson.dumps(asked), JSON).content.splitlines()
    return [orjson.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/facts", {}),
        ("/token-of-a-tes/facts", {}),
        ("/token-of-a-testfacts", {}),
        (f"/{pages.TOKEN}/facts", {"host": "evil.example"}),
        (f"/{pages.TOKEN}/facts", {"host": "evil.example:8000"}),
        (f"/{pages.TOKEN}/facts", {"origin": "http://evil.example"}),
        (f"/{pages.TOKEN}/facts", {"origin": "null"}),
        (f"/{pages.TOKEN}/facts", {"origin": "http://127.0.0.1:1"}),
        (f"/{pages.TOKEN}/facts", {"sec-fetch-site": "cross-site"}),
        (f"/{pages.TOKEN}/facts", {"sec-fetch-site": "same-site"}),
    ],
)
def test_others_are_refused(client, path, headers):
    assert client.ask(path, headers).status == 403


def test_its_own_page_is_answered_and_nothing_else_is_served(client):
    headers = {"origin": client.home, "sec-fetch-site": "same-origin"}
    assert orjson.loads(client.get("/facts", headers).content)["model"]["n_layer"] == MODEL.config.n_layer
    for path in ("/../pyproject.toml", "/page/src/main.tsx", "/server.py", "/cells/x/y", "/page.js/../server.py"):
        assert client.get(path).status >= 400, path


def test_a_run_needs_json(client):
    """So no form of another page can ask for one."""
    assert client.post("/run", '{"prompt": "a"}').status == 400
    for wrong in ("[]", '{"prompt": 3}', '{"sets": [1]}', "no json"):
        assert client.post("/run", wrong, JSON).status == 400, wrong


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
    before = MODEL.run(PROMPT)
    after = MODEL.run_edited(before, [parse("block_1_step_15[5,0]=1", before.sizes)])
    texts = {step.name: before.text_table(step.name) for step in before.steps if step.is_text}
    name = MODEL.steps.name(Role.PREDICTION)
    assert last["tables"] == texts | {name: after.text_table(name)}
    assert last["tables"][name] != texts[name]


def test_errors_are_the_commands_sentences(client):
    assert run_of(client, prompt="")[-1] == {"error": "the prompt is empty: give at least one token"}
    error = run_of(client, prompt=PROMPT, sets=["block_9_step_1[0,0]=1"])[-1]["error"]
    assert "block_9_step_1" in error


def test_cells_come_as_doubles_of_the_box_that_is_asked_for(client):
    run = run_of(client, prompt=PROMPT)[0]["run"]
    sent = client.get(f"/cells/{run}/block_0_step_4?row=2&column=190&rows=64&columns=128")
    box = np.frombuffer(sent.content, "<f8").reshape(int(sent.headers["x-rows"]), int(sent.headers["x-columns"]))
    assert np.array_equal(box, MODEL.run(PROMPT).array("block_0_step_4")[2:, 190:])


def test_a_weight_s_scale_and_statistics_are_the_models(client):
    found = orjson.loads(client.get("/weight/model_wte").content)
    matrix = MODEL.weights["model_wte"]
    assert found["end"] == pictures.scale_end(matrix)
    assert found["statistics"] == pictures.statistics(matrix)
    assert client.get("/weight/block_0_step_1").status == 400


def test_a_run_that_is_no_longer_kept_is_said_to_be_gone(client):
    assert client.get("/cells/nothing/logits?row=0&column=0&rows=1&columns=1").status == 410
