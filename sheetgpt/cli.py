"""The command line: which module holds which command, and how an error becomes one line and exit code 2.

Each command lives in `sheetgpt/commands/` and is imported only when it is asked for, so that `--help` is instant.
"""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from typing import NoReturn

import click

from sheetgpt.commands import terminal, unquoted
from sheetgpt.errors import SheetGPTError

# command -> (module under sheetgpt.commands, one line for `sheetgpt --help`)
COMMANDS = {
    "run": ("run", "Run a prompt through every stage and show the predicted token."),
    "generate": ("generate", "Continue a prompt, token by token."),
    "diff": ("diff", "Compare two runs; name the first stage that diverges, and why."),
    "fixtures": ("fixtures", "Write stages in another program's names and shapes: an oracle for a port."),
    "page-recorder": ("page_recorder", "Print a script that records a run of the reference's page, for diff."),
    "stages": ("stages", "Show every stage, and what other programs call it."),
    "locate": ("locate", "Find each stage in a foreign workbook by its numbers; write a map."),
    "resume": ("resume", "Run on from a workbook whose cells were edited."),
    "explain": ("explain", "Show what makes a number of a run, term by term."),
    "lens": ("lens", "Show what would be predicted after every block."),
    "attribute": ("attribute", "Show what each embedding, head and MLP adds to a token's logit."),
    "ablate": ("ablate", "Take out each head, MLP and block in turn; show what changes."),
    "patch": ("patch", "Put pieces of one prompt's run into another's; show what comes back."),
    "batch": ("batch", "Run many prompts, on one machine or many, and keep their stages."),
    "explore": ("explore", "Open a run in the browser: every number a cell, every cell editable."),
    "tokenize": ("tokenize", "Show a text's tokens and the merges that made them."),
    "neighbours": ("neighbours", "Show which tokens' vectors point the same way."),
    "train-bpe": ("train_bpe", "Learn a merge table from a text."),
    "words": ("words", "Write a small list of words to learn from, such as the ladder's names."),
    "train": ("train", "Train a model on a text, from a die to a small GPT-2."),
    "train-step": ("train_step", "Show a step of training: penalties, gradients, the update."),
    "loss": ("loss", "Show how well a model predicts a text, token by token."),
    "corpus": ("corpus", "Show or write the sentences that the embedded models learned from."),
    "convert-weights": ("convert_weights", "Turn a published checkpoint into a CSV folder, or back."),
    "check": ("check", "Say whether a CSV folder is a whole, sane model."),
}

TEXTS = ("prompt", "text", "clean", "corrupt")  # arguments that may begin with anything


class Commands(click.Group):
    """A group whose commands are imported when they are named."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, name):
        if name not in COMMANDS:
            return None
        return import_module(f"sheetgpt.commands.{COMMANDS[name][0]}").command

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])

    def resolve_command(self, ctx, args):
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} Commands: {', '.join(COMMANDS)}.", ctx) from None
        unquoted.refuse(name, command, ctx, rest, TEXTS)
        return name, command, rest


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sheetgpt", prog_name="sheetgpt")
def cli():
    """GPT-2 as a spreadsheet: every stage from the prompt to the predicted token is a labelled table.

    \b
    Start with:
      sheetgpt run "Mike is quick. He moves" --dump-xlsx
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line. Any SheetGPTError becomes `Error: <one line>` on stderr and exit code 2.

    So does what the system refuses. A pipe that is closed ends the command well: who read from it has seen enough.
    """
    terminal.prepare()
    stdout = sys.stdout
    try:
        cli.main(args=args, prog_name="sheetgpt", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except SystemExit:
        if sys.stdout is not stdout:  # click has replaced it, as the pipe is closed
            end_of(BrokenPipeError())
        raise
    except (Exception, KeyboardInterrupt) as error:
        end(error)
        raise


def end(error: BaseException) -> None:
    """End the process in one line, where that is what the error asks for."""
    if isinstance(error, SheetGPTError):
        refuse(str(error))
    if isinstance(error, click.ClickException):
        show_usage_error(error)
        sys.exit(2)
    if isinstance(error, OSError):
        end_of(error)
    if isinstance(error, MemoryError):
        refuse("the memory doesn't suffice: give less at a time, or close other programs")
    is_stop = isinstance(error, click.Abort | KeyboardInterrupt)
    if is_stop or isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):  # it broke into an import
        stop()


def stop() -> NoReturn:
    click.echo("Stopped.", err=True)
    sys.exit(130)


def refuse(sentence: str) -> NoReturn:
    """One line, and exit code 2."""
    try:
        click.echo(f"Error: {terminal.printable(sentence)}", err=True)
    except OSError:
        terminal.silence(sys.stderr)
    sys.exit(2)


def end_of(error: OSError) -> NoReturn:
    """A pipe that is closed, or what else the system refuses, such as to write to a full disk."""
    terminal.silence(sys.stdout)
    if isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL):
        terminal.silence(sys.stderr)
        sys.exit(0)
    where = f"{error.filename}: " if error.filename is not None else ""
    refuse(f"{where}{error.strerror or error}")


def show_usage_error(error: click.ClickException) -> None:
    """One line; the whole help where the group is called without a command."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # click 8.1 has none
        error.show()
    else:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "sheetgpt"
        refuse(f"{' '.join(error.format_message().split())} See {command} --help.{hint_of(error)}")


def hint_of(error: click.ClickException) -> str:
    """What to type where a text may have been taken for an option."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return ""
    takes_text = any(isinstance(one, click.Argument) and one.name in TEXTS for one in error.ctx.command.params)
    return f" A text that begins with a dash stands behind --: {error.ctx.command_path} -- TEXT" if takes_text else ""
