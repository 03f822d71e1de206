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
from sheetgpt.commands.explore_sides import OF_DIFF, open_sides
from sheetgpt.explore import pictures
from sheetgpt.explore.guard import SAFETY
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
        (f"/{pages.TOKEN}/facts", {"origin": "http://["}),
        (f"/{pages.TOKEN}/facts", {"origin": ""}),
        (f"/{pages.TOKEN}/facts", {"host": ""}),
        (f"/{pages.TOKEN}/facts", {"host": "evil.example:80"}),
        (f"/{pages.TOKEN}/facts", {"host": "127.0.0.1.evil.example"}),
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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost:8000", "127.0.0.1:1"])
def test_the_own_page_is_answered_at_any_port(client, host):
    """At port 80 a browser names none."""
    for origin in (f"http://{host}", f"http://{host.lower()}"):
        assert client.get("/facts", {"host": host, "origin": origin}).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/facts", 200), ("/page.js", 200), ("/nothing", 404), ("/facts/", 404), ("/run", 405)],
)
def test_every_answer_has_the_headers_of_safety_and_none_leads_elsewhere(client, page_built, path, status):
    found = client.get(path)
    assert found.status == status
    for answer in (found, client.ask("/")):
        assert {name: answer.headers[name] for name in SAFETY} == SAFETY
        assert answer.headers["location"] is None


def test_a_run_needs_json(client):
    """So no form of another page can ask for one."""
    assert client.post("/run", '{"prompt": "a"}').status == 400
    for wrong in ("[]", '{"prompt": 3}', '{"sets": [1]}', "no json"):
        assert client.post("/run", wrong, JSON).status == 400, wrong


def test_json_may_name_its_characters(client):
    assert client.post("/run", b'{"prompt": "Mike"}', {"content-type": "application/json; charset=utf-8"}).status == 200


def test_many_cells_may_be_pasted_and_too_many_are_said_to_be(client):
    rows, columns = MODEL.weights["model_wte"].shape
    cells = [f"model_wte[{i // columns % rows},{i % columns}]=-1.2345678901234567" for i in range(30_000)]
    assert run_of(client, prompt=PROMPT, sets=cells)[-1]["done"]
    answer = client.post("/run", orjson.dumps({"prompt": PROMPT, "sets": cells * 4}), JSON)
    assert answer.status == 400
    assert "too many changes" in orjson.loads(answer.content)["error"]


@pytest.mark.parametrize("value", ["/etc/passwd", "page.csv", "\0", "."])
def test_the_page_opens_no_file(client, tmp_path, value):
    answer = client.post("/run", orjson.dumps({"prompt": PROMPT, "sets": [f"token_embeddings={value}"]}), JSON)
    assert answer.status == 400
    assert "the page opens no files" in orjson.loads(answer.content)["error"]


def test_the_file_that_the_command_line_named_is_opened(tmp_path):
    np.savetxt(tmp_path / "new.csv", np.full_like(MODEL.run(PROMPT).array("token_embeddings"), 0.5), delimiter=",")
    sets = (f"token_embeddings={tmp_path / 'new.csv'}",)
    with pages.serving(Explorer(MODEL, Asked(PROMPT, sets=sets))) as address:
        found = run_of(Client(address), prompt=PROMPT, sets=[*sets, "block_0_step_4=0"])
    assert found[-1]["done"]


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("block_0_step_4?row=0&column=99999", "out of range"),
        ("block_0_step_4?row=999&column=0", "out of range"),
        ("model_wte?row=99999&column=0", "out of range"),
        ("predicted_token?row=3&column=0", "out of range"),
        ("nonsense?row=0&column=0", "no stage is called 'nonsense'"),
        ("final_tokens?row=1&column=0", "not computed"),
        ("block_0_step_4?row=-1&column=0", "whole number"),
        ("block_0_step_4?column=0", "whole number"),
        (f"block_0_step_4?row={'1' * 5000}&column=0", "whole number"),
    ],
)
def test_a_cell_that_is_not_there_is_said_to_be(client, cell, sentence):
    run = run_of(client, prompt=PROMPT)[0]["run"]
    answer = client.get(f"/origin/{run}/{cell}")
    assert answer.status == 400
    assert sentence in orjson.loads(answer.content)["error"]


@pytest.mark.parametrize("name", ["block_0_step_4", "model_wte", "logits", "predicted_token", "block_0_step_7"])
def test_every_corner_has_an_origin(client, name):
    run, trace = run_of(client, prompt=PROMPT)[0]["run"], MODEL.run(PROMPT)
    rows, columns = trace.matrix(name).shape
    for row, column in ((0, 0), (rows - 1, columns - 1)):
        assert client.get(f"/origin/{run}/{name}?row={row}&column={column}").status == 200


def test_a_side_that_is_not_there_is_said_to_be(tmp_path):
    run = MODEL.run("Mike").to_csv(tmp_path / "run")
    how = dict.fromkeys(OF_DIFF)
    with pages.serving(open_sides((str(run), str(run)), None, "float64", how)) as address:
        box = "row=0&column=0&rows=1&columns=1"
        assert Client(address).get(f"/cells/left/logits?{box}").status == 200
        answer = Client(address).get(f"/cells/foo/logits?{box}")
    assert (answer.status, orjson.loads(answer.content)["error"][:23]) == (400, "there is no side 'foo':")


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


def test_what_nobody_foresaw_ends_the_lines_in_a_sentence_too(capfd):
    asked = Asked(PROMPT, sets=("token_embeddings=\0",))  # open() raises a ValueError
    with pages.serving(Explorer(MODEL, asked)) as address:
        error = run_of(Client(address), prompt=PROMPT, sets=asked.sets)[-1]["error"]
    assert "ValueError" in error
    assert "Traceback" in capfd.readouterr().err


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
