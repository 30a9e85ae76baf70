"""``clearhead evaluate RUN``: the task's metrics of a finished run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from clearhead.cli.decoding_options import DecodingOptions
from clearhead.errors import ConfigurationError

NAMED = 10  # of the labels that training never saw, at most


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
            "(default: the recipe's test set, else its validation set).",
        ),
    ] = field(default_factory=list)
    tokenize: Annotated[str | None, typer.Option(help="sacreBLEU's tokenizer for BLEU, such as zh.")] = None
    by_label: Annotated[bool, typer.Option("--by-label", help="Scores of every label, too (classification, tags).")] = (
        False
    )
    png: Annotated[Path | None, typer.Option(help="Draw what is confused with what (classification).")] = None
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False


def evaluate(options: EvaluateOptions) -> None:
    """Answer held-out data and print the scores."""
    from clearhead.service.evaluate import evaluate_run

    tokenize = {"tokenize": options.tokenize} if options.tokenize else {}
    result = evaluate_run(options.run, options.data, options.given() | tokenize)
    if options.png is not None:
        from clearhead.service.confusion import draw_confusion

        draw_confusion(result.scored, options.png)
        typer.echo(f"wrote {options.png}", err=True)
    if options.as_json:
        typer.echo(json.dumps(result.as_dict(), ensure_ascii=False))
        return
    typer.echo(f"{result.scored.count} {result.scored.unit} of {result.name}, {result.scored.seconds:.1f} s", err=True)
    if remark := unseen_remark(result.scored.tables):
        typer.echo(remark, err=True)
    for name, score in result.scored.scores.items():
        typer.echo(f"{name}\t{score:.2f}")
    if options.by_label:
        for line in label_lines(result.scored.tables):
            typer.echo(line)


def unseen_remark(tables: Mapping[str, Any]) -> str:
    """One sentence about wanted labels or tags that training never saw; nothing where there are none."""
    unseen: Mapping[str, int] = tables.get("unseen_labels", tables.get("unseen_tags", {}))
    if not unseen:
        return ""
    named = ", ".join(f"{name!r} ({count})" for name, count in list(unseen.items())[:NAMED])
    more = ", …" if len(unseen) > NAMED else ""
    return f"training never saw these wanted labels, so they count as mistakes: {named}{more}"


def label_lines(tables: Mapping[str, Any]) -> list[str]:
    """Tab-separated lines with the scores of every label, after one that names the columns.

    Raises:
        ConfigurationError: the task has no labels.
    """
    rows = tables.get("labels", tables.get("tags"))
    if rows is None:
        raise ConfigurationError("--by-label is about labels and tags, of which this run's task has none")
    lines = ["label\tprecision\trecall\tf1\tsupport"]
    for name, row in rows.items():
        shares = "\t".join(f"{row[column]:.2f}" for column in ("precision", "recall", "f1"))
        lines.append(f"{' '.join(name.split())}\t{shares}\t{row['support']}")
    return lines
