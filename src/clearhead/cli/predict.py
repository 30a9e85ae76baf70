"""``clearhead predict RUN [FILE]``: lines in, lines out, in the same order and number."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from clearhead.cli.decoding_options import DecodingOptions


@dataclass(frozen=True)
class _Required:
    run: Annotated[Path, typer.Argument(help="A run folder.")]


@dataclass(frozen=True)
class PredictOptions(DecodingOptions, _Required):
    """Which run, on what, how."""

    file: Annotated[Path | None, typer.Argument(help="Text, one input a line (default: stdin).")] = None
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: all there is to an answer.")] = False


def predict(options: PredictOptions) -> None:
    """Answer line by line: translate, tag, classify, go on; results come as soon as they are ready."""
    from clearhead.cli.lines import line_blocks, open_lines
    from clearhead.service.load import load

    predictor, cut = load(options.run), 0
    with open_lines(options.file) as stream:
        for block in line_blocks(stream, str(options.file or "stdin")):
            for result in predictor.predict([predictor.parse(line) for line in block], **options.given()):
                typer.echo(json.dumps(result.as_dict(), ensure_ascii=False) if options.as_json else result.text)
                cut += result.truncated
            sys.stdout.flush()
    if cut:
        inputs = "input was" if cut == 1 else "inputs were"
        typer.echo(f"{cut} {inputs} longer than the model's {predictor.longest} pieces and lost the end", err=True)
