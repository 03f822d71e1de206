"""A prompt without quotes: whatever the words and the options, the command in the answer means what was meant."""

from __future__ import annotations

import shlex

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import sheetgpt_here
from sheetgpt.cli import COMMANDS, TEXTS, cli
from sheetgpt.commands import unquoted
from sheetgpt.errors import PromptError

WORDS = st.lists(st.text("ab'.\"$ é", min_size=1, max_size=5).filter(lambda word: word.strip()), min_size=2, max_size=5)
OPTIONS = st.lists(
    st.sampled_from([["--json"], ["--top", "3"], ["--name", "is"], ["--name=a b"], ["--dump-csv"]]), max_size=3
)


def command(name):
    return cli.get_command(click.Context(cli, info_name="sheetgpt"), name)


def answer(name, args):
    """What is to be typed instead, as its arguments; None where nothing is wrong."""
    try:
        unquoted.refuse(name, command(name), click.Context(cli, info_name="sheetgpt"), args, TEXTS)
    except PromptError as error:
        program, found, *rest = shlex.split(error.remedy)
        assert (program, found) == ("sheetgpt", name)
        return rest
    return None


def parsed(name, args):
    found = command(name)
    options, more, _ = found.make_parser(click.Context(found)).parse_args(list(args))
    return options, more


@settings(max_examples=100, deadline=None)
@given(words=WORDS, options=OPTIONS, data=st.data())
def test_the_answer_holds_the_words_as_one_text_and_every_option(words, options, data):
    pieces = [[word] for word in words]
    for option in options:
        pieces.insert(data.draw(st.integers(0, len(pieces))), option)
    args = [word for piece in pieces for word in piece]
    expected, more = parsed("run", args)
    assert [expected["prompt"], *more] == words
    found, none = parsed("run", answer("run", args))
    assert none == []
    assert found.pop("prompt") == " ".join(words)
    assert found == {name: value for name, value in expected.items() if name != "prompt"}


@pytest.mark.parametrize(
    "args", [["Mike is"], [], ["--top", "3", "Mike"], ["a", "b", "--help"], ["--", "-x y"], ["a", "--bad"]]
)
def test_nothing_is_said_of_one_text_or_none(args):
    assert answer("run", args) is None


def test_words_that_begin_with_a_dash_stand_behind_two():
    assert answer("run", ["--json", "--", "-x", "is"]) == ["--json", "--", "-x is"]


def takes(name):
    """The names of a command's arguments."""
    return [one.name for one in command(name).params if isinstance(one, click.Argument)]


def test_what_stands_behind_the_text_is_no_word_of_it():
    done = sheetgpt_here("explain", "Mike", "is", "quick.", "logits[ 3 ]", "--depth", "2")
    command = 'sheetgpt explain "Mike is quick." "logits[ 3 ]" --depth 2'
    assert done.error == f"a text of several words stands in quotes: {command}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if len(takes(name)) == 1 and takes(name)[0] in TEXTS])
def test_every_command_with_a_text_answers_in_one_line(name):
    done = sheetgpt_here(name, "Mike", "is", "quick.", "He", "moves")
    assert done.error == f'a text of several words stands in quotes: sheetgpt {name} "Mike is quick. He moves"'
    assert done.out == ""


def test_other_commands_keep_their_own_sentence():
    assert "unexpected extra argument" in sheetgpt_here("check", "a", "b").error
