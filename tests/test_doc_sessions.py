"""Pages of docs: every command prints what stands under it. Who compares is tried here, too."""

from __future__ import annotations

import shlex

import pytest

import doc_sessions
from command_line import sheetgpt, sheetgpt_here

SLOW = {"docs/learn"}
PAGES = [pytest.param(page, marks=pytest.mark.slow) if page in SLOW else page for page in doc_sessions.pages()]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_prints_what_stands_under_it(page, walked):
    walk = walked(page)
    typed = [one.typed for one in doc_sessions.commands((doc_sessions.ROOT / f"{page}.md").read_text(encoding="utf-8"))]
    assert list(walk.printed) == list(dict.fromkeys(typed))
    update = f"python tests/doc_sessions.py --update {page}.md"
    assert not walk.differences, "\n".join([update, *walk.differences])


def test_whatever_a_page_shows_as_typed_is_run():
    found = []
    for file in doc_sessions.files():
        text = file.read_text(encoding="utf-8")
        shown = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
        assert shown == [one.typed for one in doc_sessions.commands(text) if one.shown is not None], file
        found += [doc_sessions.name_of(file)] * bool(shown or "<!-- session -->" in text)
    assert found == doc_sessions.pages()
    assert SLOW.issubset(found)


PAGE = """# A

```console
$ printf "a\\nb\\nc\\n"
old
$ printf "d\\n"
$ printf "1\\n2\\n3\\n"
0
...
$ printf "head 1.00\\nx\\nkept 2.00\\ny\\ntail 3.00\\n"
head 1.50
...
kept 2.50
...
tail 3.50
```

`$ printf no`

```sh
printf no; exit 1
```
"""


def test_a_page_keeps_all_but_the_answers(tmp_path):
    now = doc_sessions.answered(PAGE, tmp_path)
    expected = PAGE.replace("old", "a\nb\nc").replace('"d\\n"', '"d\\n"\nd').replace("\n0\n", "\n1\n")
    assert now == expected.replace(".50", ".00")
    assert doc_sessions.answered(now, tmp_path) == now
    assert not doc_sessions.walked(now, tmp_path).differences
    assert doc_sessions.walked(PAGE, tmp_path).differences.count('$ printf "d\\n"') == 1


def test_what_is_refused_is_an_answer_too(tmp_path):
    page = "```console\n$ sheetgpt run Mike is\n```\n"
    assert "Error: a text of several words stands in quotes" in doc_sessions.answered(page, tmp_path)


@pytest.mark.parametrize("command", ["python -c 'exit(3)'", "python -c 1/0"])
def test_a_command_that_fails_fails_the_page_where_nothing_is_shown_too(command, tmp_path):
    with pytest.raises(AssertionError):
        doc_sessions.walked(f"<!-- session -->\n```sh\n{command}\n```\n", tmp_path)


def test_here_and_in_a_process_of_its_own_a_command_does_the_same(tmp_path):
    commands = ["run 'Mike is quick. He moves' --top 1", "run", "--version", "run a --set b", "nothing"]
    for arguments in map(shlex.split, commands):
        assert sheetgpt_here(*arguments, cwd=tmp_path) == sheetgpt(*arguments, cwd=tmp_path)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a 0.123 b", "a 0.124 b", True),
        ("a 0.123 b", "a 0.125 b", False),
        ("a 0.123 b", "a  0.124 b", False),  # the table's columns moved
        ("a  9.999", "a 10.000", True),
        ("a 1.5", "a 1.50001", True),
        ("a 1.5", "a 1.503", False),
        ("a 1.5e-06", "a 1.6e-06", True),
        ("a 1.5e-06", "a 1.5e-05", False),
        ("a -0.5", "a 0.5", False),
        ("a 12", "a 13", False),
        ("a 1,234 b", "a 1,235 b", False),
        ("block_0_step_7[0,5,2] = 0.5", "block_0_step_7[0,5,3] = 0.5", False),
        ("a 0.1", "b 0.1", False),
        ("a 0.1", "a 0.1 0.2", False),
        ("differ by at most 8.5e-09", "differ by at most 3.6e-08", True),
        ("differ by at most 8.5e-09", "differ by at most 8.5e-07", False),
    ],
)
def test_what_is_printed_is_compared_by_words_and_numbers(shown, printed, same):
    assert doc_sessions.alike(shown, printed) is same


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a|...|b", "a|x|y|b", True),
        ("a|...|b", "a|b", True),
        ("a|...|b", "a|b|x", False),
        ("a|...|a", "a", False),
        ("a", "a|b", False),
        ("...|b|...|c|...", "a|b|c", True),
        ("...|c|...|b|...", "a|b|c", False),
        ("...", "", True),
    ],
)
def test_left_out_lines_are_any_number_of_lines(shown, printed, same):
    lines = [text.split("|") if text else [] for text in (shown, printed)]
    assert doc_sessions.is_shown(*lines) is same
