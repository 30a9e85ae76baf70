"""``clearhead export RUN --to TARGET --out DIR``: a run as others read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class ExportOptions:
    """Which run, for whom, and where to."""

    run: Annotated[Path, typer.Argument(help="A finished run folder.")]
    to: Annotated[str, typer.Option("--to", help='For whom: "huggingface", "ctranslate2" or "onnx".')]
    out: Annotated[Path, typer.Option("--out", help="The folder to make; it must be absent or empty.")]
    family: Annotated[
        str | None, typer.Option("--family", help="As which family of models; the first that fits when not given.")
    ] = None


def export(options: ExportOptions) -> None:
    """Write a run as others read it: a model of Hugging Face, of CTranslate2, or ONNX files."""
    from clearhead.service.export import export as export_run

    written = export_run(options.run, options.to, options.out, family=options.family)
    typer.echo(f"{written.folder}: {', '.join(written.files)} ({written.kind}, for {written.target})", err=True)
    for note in written.notes:
        typer.echo(f"note: {note}", err=True)
