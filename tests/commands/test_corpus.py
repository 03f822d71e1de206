"""`sheetgpt corpus`: what the embedded models learned from, shown and written; docs/corpus.md is what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from command_line import sheetgpt_here
from sheetgpt import corpus

PAGE = Path(__file__).parents[2] / "docs" / "corpus.md"


def test_all_words_the_number_of_documents_and_examples_are_shown():
    shown = sheetgpt_here("corpus").out
    words = [*corpus.pronouns(), *corpus.own_names(), *corpus.ADVERBS, *corpus.VERBS]
    flat = shown.replace(",", " ").split()
    assert set(words) <= set(flat)
    assert f"{corpus.COUNT:,} documents" in shown
    assert all(line in shown for line in corpus.documents(3))


def test_a_file_is_written_as_by_the_module(tmp_path):
    done = sheetgpt_here("corpus", "corpus.txt", cwd=tmp_path)
    assert f"Wrote {corpus.COUNT:,} documents to corpus.txt" in done.out
    by_module = [sys.executable, "-m", "sheetgpt.corpus", "again.txt"]
    subprocess.run(by_module, cwd=tmp_path, check=True, capture_output=True)
    written = (tmp_path / "corpus.txt").read_bytes()
    assert written == (tmp_path / "again.txt").read_bytes()
    assert written.decode().splitlines() == corpus.documents()
    assert b"\r" not in written
    assert sheetgpt_here("corpus", "corpus.txt", cwd=tmp_path).code == 0  # the same text


def test_another_text_is_replaced_only_by_force(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("mine")
    assert sheetgpt_here("corpus", file).error == (
        f"{file} exists, and is another text: name another file, or give --force"
    )
    assert file.read_text() == "mine"
    assert sheetgpt_here("corpus", file, "--force").code == 0
    assert len(file.read_text(encoding="utf-8").splitlines()) == corpus.COUNT
    assert sheetgpt_here("corpus", tmp_path).code == 2


def test_json_holds_the_words():
    data = json.loads(sheetgpt_here("corpus", "--json").out)
    assert data["names"] == {"He": corpus.HE, "She": corpus.SHE}
    assert (data["adjectives"], data["verbs"]) == (list(corpus.ADVERBS), corpus.VERBS)
    assert (data["documents"], data["file"]) == (corpus.COUNT, None)


def test_the_page_is_what_the_command_prints():
    remedy = "run `sheetgpt corpus --markdown > docs/corpus.md`"
    assert PAGE.read_text(encoding="utf-8") == sheetgpt_here("corpus", "--markdown").out, remedy
