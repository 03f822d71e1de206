"""A generation by a port: the first step that diverges, what its cache did, and whether its tokens follow."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from command_line import sheetgpt_here
from sheetgpt.diff.generation.caches import wrong_caches
from sheetgpt.diff.generation.dumps import is_generation, opened
from sheetgpt.diff.generation.steps import compare
from sheetgpt.errors import DumpError
from sheetgpt.model import load_model

PROMPT = "Mike is quick. He moves"
RUN = f"run:{PROMPT}"
N = 6


def generated(model, prompt_ids, n=N, pick=None):
    """Ids and logits of each step, without any cache: (ids, [n, n_vocab])."""
    ids, rows = [], []
    for number in range(n):
        rows.append(model.run(token_ids=[*prompt_ids, *ids]).array("logits")[:, 0])
        ids.append(int(rows[-1].argmax()) if pick is None else pick(number, rows[-1]))
    return ids, np.array(rows)


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def prompt(model):
    return model.run(PROMPT).token_ids


@pytest.fixture(scope="module")
def right(model, prompt):
    return generated(model, prompt)


def entries(ids, logits):
    return [{"id": i, "logits": row.tolist()} for i, row in zip(ids, logits, strict=True)]


def typed(ids, logits):
    return [{"id": i, "logits": dict(enumerate(row.tolist()))} for i, row in zip(ids, logits, strict=True)]


def lines(parts):
    return "\n".join(map(json.dumps, parts))


WRITERS = {  # every form in which a port may write it
    "a list.json": lambda f, _p, i, x: f.write_text(json.dumps(entries(i, x))),
    "steps.json": lambda f, p, i, x: f.write_text(json.dumps({"prompt_ids": p, "steps": entries(i, x)})),
    "token ids.json": lambda f, p, i, x: f.write_text(json.dumps({"token_ids": p, "model": "m", "steps": typed(i, x)})),
    "lines.jsonl": lambda f, _p, i, x: f.write_text(lines(entries(i, x))),
    "prompt and lines.jsonl": lambda f, p, i, x: f.write_text(lines([{"prompt_ids": p}, *entries(i, x)])),
    "a.npz": lambda f, p, i, x: np.savez(f, prompt_ids=p, ids=i, logits=x),
    "float32.npz": lambda f, p, i, x: np.savez(f, token_ids=p, ids=np.int32(i), logits=np.float32(x)[:, None]),
    "a.safetensors": lambda f, p, i, x: save_file(
        {"prompt_ids": np.array(p), "ids": np.array(i), "logits": np.ascontiguousarray(x)}, f
    ),
}


def write(folder, prompt, ids, logits, form="a.npz"):
    WRITERS[form](folder / form, prompt, ids, logits)
    return str(folder / form)


@pytest.mark.parametrize("form", WRITERS)
def test_a_right_generation_is_equal_in_every_form(form, prompt, right, tmp_path):
    path = write(tmp_path, prompt, *right, form)
    assert is_generation(path)
    done = sheetgpt_here("diff", RUN, path)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"No step diverges: {N} steps compared, equal within")
    assert "Every token is the best of RIGHT's own logits." in done.out


@pytest.mark.parametrize("form", WRITERS)
def test_a_changed_logit_of_any_step_is_found_in_every_form(form, prompt, right, tmp_path):
    ids, logits = right
    changed = logits.copy()
    changed[3, 100] += 0.5
    report = compare(RUN, write(tmp_path, prompt, ids, changed, form))
    assert [step.step for step in report.steps if not step.equal] == [4]
    assert report.first.cells_out == 1
    assert report.first.largest_difference == pytest.approx(0.5, rel=1e-5)
    assert "no known mistake of caches reproduces it" in report.cause


@pytest.mark.parametrize("options", [["--json"], ["--dump-csv"], ["--json", "--temperature", "1.5", "--seed", "3"]])
def test_what_generate_writes_is_read_as_either_side(options, prompt, right, tmp_path):
    done = sheetgpt_here(
        "generate", PROMPT, "-n", str(N), "--no-stop-at-eos", *options, "--exports", tmp_path, "--name", "g"
    )
    path = tmp_path / "g"
    if "--json" in options:
        path = tmp_path / "g.json"
        path.write_text(done.out)
    assert sheetgpt_here("diff", RUN, path).code == 0
    assert sheetgpt_here("diff", path, write(tmp_path, prompt, *right)).code == 0
    assert len(opened(str(path)).steps) == N
    changed = right[1].copy()
    changed[2] += 0.1
    assert "step 3 diverges first" in sheetgpt_here("diff", path, write(tmp_path, prompt, right[0], changed)).out


def test_the_rest_follows_rights_own_ids_and_not_lefts(model, prompt, tmp_path):
    """A token that LEFT would not take is no difference of the steps after it."""
    rng = np.random.default_rng(4)
    ids, logits = generated(model, prompt, pick=lambda _n, row: int(np.argsort(row)[-1 - rng.integers(4)]))
    report = compare(RUN, write(tmp_path, prompt, ids, logits))
    assert report.first is None
    assert "sampled, or picked wrongly" in report.picks
    assert report.equal


WRONG = sorted({name for name, _ in wrong_caches([1, 2, 3], [4, 5, 6])})


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", ["float64", "float32", "6 decimals"])
def test_a_wrong_cache_is_named(wrong, kind, model, prompt, right, tmp_path):
    ids, logits = right
    at = 3
    made = ids[:at]
    cached = next(cached for name, cached in wrong_caches(prompt, made) if name == wrong)
    changed = logits.copy()
    changed[at] = cached.logits(model)
    assert np.abs(changed[at] - logits[at]).max() > 1e-3
    changed = np.round(changed, 6) if kind == "6 decimals" else changed.astype(kind)
    report = compare(RUN, write(tmp_path, prompt, ids, changed))
    assert report.first.step == at + 1
    assert wrong in report.cause


def test_logits_of_another_step_are_named(prompt, right, tmp_path):
    ids, logits = right
    late, early = logits.copy(), logits.copy()
    late[1:] = logits[:-1]
    early[:-1] = logits[1:]
    assert (
        "stale: these are the logits without the newest token" in compare(RUN, write(tmp_path, prompt, ids, late)).cause
    )
    assert "these are the logits of step 2" in compare(RUN, write(tmp_path, prompt, ids, early)).cause


def test_a_first_step_without_the_prompts_last_token_is_named(model, prompt, right, tmp_path):
    ids, logits = right
    changed = logits.copy()
    changed[0] = model.run(token_ids=prompt[:-1]).array("logits")[:, 0]
    report = compare(RUN, write(tmp_path, prompt, ids, changed))
    assert report.first.step == 1
    assert "the logits before the prompt's last token" in report.cause


def test_what_is_wrong_with_the_model_shows_at_the_first_step_and_is_named(model, prompt, right, tmp_path):
    ids, logits = right
    wrong = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    report = compare(RUN, write(tmp_path, prompt, ids, wrong))
    assert report.first.step == 1
    assert "log-probabilities instead of logits" in report.cause


def test_picks_that_do_not_follow_are_told_from_sampled_ones(prompt, right, tmp_path):
    ids, logits = right
    assert len({*ids}) > 1
    assert compare(RUN, write(tmp_path, prompt, ids, logits)).picks == "every token is the best of RIGHT's own logits"
    other = [*ids[:2], int(np.argsort(logits[2])[-2]), *ids[3:]]
    report = compare(RUN, write(tmp_path, prompt, other, logits))
    assert 'the first at step 3, "' in report.picks
    assert "(rank 2)" in report.picks


def test_a_greedy_record_whose_tokens_are_not_the_best_is_a_difference(model, tmp_path):
    options = ["--dump-csv", "--exports", tmp_path, "--name", "g", "--temperature", "9", "--seed", "1"]
    assert sheetgpt_here("generate", PROMPT, "-n", "4", *options).code == 0
    manifest = tmp_path / "g" / "manifest.json"
    report = compare(RUN, str(tmp_path / "g"))
    assert report.equal
    assert report.picks.startswith("RIGHT's tokens were sampled: ")
    about = json.loads(manifest.read_text())
    about["sampling"]["greedy"] = True
    manifest.write_text(json.dumps(about))
    report = compare(RUN, str(tmp_path / "g"))
    assert not report.equal
    assert "RIGHT says that it takes the best" in report.picks


def test_another_prompt_is_said_and_the_steps_follow_rights(model, tmp_path):
    other = model.run("Mike is slow. He moves").token_ids
    ids, logits = generated(model, other)
    done = sheetgpt_here("diff", RUN, write(tmp_path, other, ids, logits))
    assert done.code == 1
    assert "two texts: the first word that differs is" in done.out
    assert "No step diverges" in done.out


def test_a_padded_vocabulary_is_said_and_too_small_a_one_refused(prompt, right, tmp_path):
    ids, logits = right
    padded = np.concatenate([logits, np.zeros((N, 48))], axis=1)
    report = compare(RUN, write(tmp_path, prompt, ids, padded))
    assert report.equal
    assert "padded to 640 rows, 48 too many" in report.notes[0]
    with pytest.raises(DumpError, match="step 1 has 500 logits and the model has 592 tokens"):
        compare(RUN, write(tmp_path, prompt, ids, logits[:, :500]))


def test_an_id_that_the_model_has_not_ends_the_comparison_there(prompt, right, tmp_path):
    ids, logits = right
    report = compare(RUN, write(tmp_path, prompt, [*ids[:2], 700, *ids[3:]], logits))
    assert len(report.steps) == 3
    assert "step 3 takes token id 700, which is not in the model" in report.notes[0]


def test_not_a_number_is_called_so(prompt, right, tmp_path):
    ids, logits = right
    changed = logits.copy()
    changed[2, 5:8] = np.nan
    data = json.loads(sheetgpt_here("diff", RUN, write(tmp_path, prompt, ids, changed), "--json").out)
    assert data["first"] == 3
    assert data["cause"] == "3 of its 592 logits are NaN or infinite"


def test_a_context_that_is_full_goes_on_as_generate_does(model, tmp_path):
    n = model.config.n_ctx
    made = list(model.generate(PROMPT, n, stop_at_eos=False))
    prompt = model.run(PROMPT).token_ids
    path = write(tmp_path, prompt, [one.id for one in made], np.array([one.pick.logits for one in made]))
    report = compare(RUN, path)
    assert report.equal
    assert f"the context is full before step {n - len(prompt) + 2}" in report.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", '[{"id": 1, "logits": [1, 2]}, {"id": 2, "logits": [1]}]', "holds logits of 1 and 2 tokens"),
        ("a.json", '[{"id": "x", "logits": [1, 2]}]', "can't be read as a generation"),
        ("a.json", '[{"id": 1.5, "logits": [1, 2]}]', "no whole numbers"),
        ("a.json", '[{"id": 1, "logits": ["x"]}]', "can't be read as a generation"),
        ("a.jsonl", '{"id": 1, "logits": {"7": 1}}', "its indices are not 0, 1, 2"),
    ],
)
def test_a_damaged_generation_is_one_line(name, content, says, tmp_path):
    (tmp_path / name).write_text(content)
    assert says in sheetgpt_here("diff", RUN, tmp_path / name).error


def test_a_generation_against_a_run_says_which_comes_first(prompt, right, tmp_path):
    assert "give the run first" in sheetgpt_here("diff", write(tmp_path, prompt, *right), RUN).error


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["logits", "id", "ids", "block_0_step_7", "tokens"]), st.lists(st.floats(-1, 1)))
)
def test_a_run_of_named_arrays_is_no_generation(tmp_path_factory, arrays):
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.json").write_text(json.dumps(arrays))
    np.savez(folder / "run.npz", **arrays)
    assert not is_generation(str(folder / "run.json"))
    assert not is_generation(str(folder / "run.npz"))
