"""``clearhead evaluate RUN``: the task's metrics of a finished run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.decoding_options import DecodingOptions


@dataclass(frozen=True)
class _Required:
    run: Annotated[Path, typer.Argument(help="A run folder.")]


@dataclass(frozen=True)
class EvaluateOptions(DecodingOptions, _Required):
    """Which run, on what."""

    data: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="One file as the recipe names them (a translation: or two, source lines and target lines) "
            "[default: the recipe's test set, else its validation set].",
        ),
    ] = field(default_factory=list)
    tokenize: Annotated[str | None, typer.Option(help="sacreBLEU's tokenizer for BLEU, such as zh.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False


def evaluate(options: EvaluateOptions) -> None:
    """Answer held-out data and print the scores."""
    from clearhead.service.evaluate import evaluate_run

    tokenize = {"tokenize": options.tokenize} if options.tokenize else {}
    result = evaluate_run(options.run, options.data, options.given() | tokenize)
    if options.as_json:
        typer.echo(json.dumps(result.as_dict(), ensure_ascii=False))
        return
    typer.echo(f"{result.scored.count} {result.scored.unit} of {result.name}, {result.scored.seconds:.1f} s", err=True)
    for name, score in result.scored.scores.items():
        typer.echo(f"{name}\t{score:.2f}")
