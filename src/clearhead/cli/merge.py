"""``clearhead merge ADAPTER --from RUN|DIR --out RUN``: the run that an adapter and its model come to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class MergeOptions:
    """Which adapter, into what, and where to."""

    adapter: Annotated[Path, typer.Argument(help="An adapter.safetensors.")]
    origin: Annotated[Path, typer.Option("--from", help="The run or directory that it was trained to start from.")]
    out: Annotated[Path, typer.Option("--out", help="The run folder to make; it must be absent or empty.")]


def merge(options: MergeOptions) -> None:
    """Make an ordinary run of an adapter that was handed on alone, and of the model that it was trained for."""
    from clearhead.service.adapter import merge_adapter

    run = merge_adapter(options.adapter, str(options.origin.absolute()), options.out)
    typer.echo(f"{run.path}: {options.adapter} merged into {options.origin}", err=True)
