"""The notebook of the docs: without outputs in git, and it runs from an empty folder and comes to what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import require

TOUR = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "tour.ipynb"
SECONDS = 120


def test_it_holds_no_outputs_and_nothing_of_who_ran_it():
    notebook = json.loads(TOUR.read_text(encoding="utf-8"))
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
    for cell in notebook["cells"]:
        assert not cell["metadata"]
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """(the notebook as it ran, the folder it ran in)"""
    nbclient, nbformat = (require(name, "docs") for name in ("nbclient", "nbformat"))
    require("ipykernel", "docs")
    folder = tmp_path_factory.mktemp("empty")
    notebook = nbformat.read(TOUR, as_version=4)
    claims = [
        "assert trace.predicted_token == ' quickly'",
        "assert edited.predicted_token == ' quietly'",
        "assert swapped.predicted_token == ' slowly'",
        "assert report.first.stage == 'block_1_step_7'",
        "assert sum(trace.array(one).size for one in trace if not trace.step(one).is_text) // 1000 == 20",
        "assert lens.attribute(trace, ' quickly').blocks.loc[1].idxmax() == 'head 2'",
        "assert lens.ablate(trace).prediction.loc[1, 'head 2'] == ' quietly'",
        "assert patching.maps['block_*_step_8'].loc[('block 1', 2), :].iloc[-1] > 0.5",
        "assert np.isclose(trace['block_1_step_7'][2].iloc[-1, 2], 0.986, atol=0.001)",
    ]
    notebook.cells.append(nbformat.v4.new_code_cell("\n".join(claims)))
    nbclient.NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook, folder


def test_it_runs_from_an_empty_folder_leaves_nothing_and_what_it_says_is_so(ran):
    notebook, folder = ran
    assert not [*folder.iterdir()]
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def test_its_runs_and_stages_are_shown_in_colours_and_warn_of_nothing(ran):
    notebook, _ = ran
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert sum('class="sheetgpt"' in html for html in shown) == 4
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    texts = [output.data["text/plain"] for output in outputs if "data" in output]
    assert max(map(len, texts)) < 3000  # what is saved beside the HTML
