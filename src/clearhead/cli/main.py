"""The command line: one table of commands, nothing else. What a command does stands in the file of its name."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from clearhead import __version__
from clearhead.cli.account import AccountOptions, account
from clearhead.cli.align import AlignOptions, align
from clearhead.cli.demo import DemoOptions, demo
from clearhead.cli.door import door
from clearhead.cli.evaluate import EvaluateOptions, evaluate
from clearhead.cli.export import ExportOptions, export
from clearhead.cli.heads import HeadsOptions, heads
from clearhead.cli.import_ import ImportOptions, import_
from clearhead.cli.look import LookOptions, look
from clearhead.cli.merge import MergeOptions, merge
from clearhead.cli.predict import PredictOptions, predict
from clearhead.cli.recipe import RecipeOptions, recipe
from clearhead.cli.serve import ServeOptions, serve
from clearhead.cli.train import TrainOptions, train
from clearhead.cli.verify import VerifyOptions, verify

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": door(DemoOptions, demo),
    "recipe": door(RecipeOptions, recipe),
    "train": door(TrainOptions, train),
    "evaluate": door(EvaluateOptions, evaluate),
    "predict": door(PredictOptions, predict),
    "look": door(LookOptions, look),
    "align": door(AlignOptions, align),
    "serve": door(ServeOptions, serve),
    "heads": door(HeadsOptions, heads),
    "account": door(AccountOptions, account),
    "verify": door(VerifyOptions, verify),
    "import": door(ImportOptions, import_),
    "export": door(ExportOptions, export),
    "merge": door(MergeOptions, merge),
}

app = typer.Typer(
    name="clearhead",
    help="Train Transformers on sequences, and look at what every attention head does.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clearhead {__version__}")
        raise typer.Exit


@app.callback()
def _all_commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train Transformers on sequences, and look at what every attention head does."""


for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main() -> None:
    """The entry point of the ``clearhead`` script: text is UTF-8 here, whatever the locale says."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    app()
