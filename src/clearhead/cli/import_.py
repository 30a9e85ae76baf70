"""``clearhead import DIR --out RUN``: a published model as a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class ImportOptions:
    """From where, and where to."""

    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A model's folder: config.json, safetensors, tokenizer files.")
    ]
    out: Annotated[Path, typer.Option("--out", help="The run folder to make; it must be absent or empty.")]


def import_(options: ImportOptions) -> None:
    """Take in a published model: BERT, GPT-2, Llama, Marian, BART, T5 and relatives; no pickle, no code of theirs."""
    from clearhead.service.import_pretrained import import_run

    made = import_run(options.directory, options.out)
    typer.echo(
        f"{made.run.path}: {made.family}, {made.parameters:,} parameters, as a run for {made.task}; "
        f"now: clearhead predict {made.run.path}",
        err=True,
    )
    if made.unheeded:
        said = ", ".join(f"{name} = {value!r:.40}" for name, value in made.unheeded.items())
        typer.echo(f"note: its answers are searched for without {said}, which is not done here", err=True)
