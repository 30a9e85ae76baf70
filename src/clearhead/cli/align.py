"""``clearhead align RUN FILE…``: which word of a translation stands for which of the source, a line a pair."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clearhead.errors import ConfigurationError


class RowOption(StrEnum):
    """Which row of a map tells of a target piece."""

    written = "written"
    read = "read"


@dataclass(frozen=True)
class AlignOptions:
    """Which run, which pairs, read off where."""

    run: Annotated[Path, typer.Argument(help="A run folder of a translator.")]
    data: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="Source lines and target lines, or one table like the recipe's."),
    ]
    gold: Annotated[
        Path | None, typer.Option(help="A person's links, a line a pair: 0-0 sure, 1?2 or 1p2 possible, source first.")
    ] = None
    first: Annotated[int, typer.Option(help="The number of a sentence's first word in --gold: 0 or 1.")] = 0
    tune: Annotated[
        int, typer.Option(metavar="N", help="Find the attention by --gold of the first N pairs; the others are scored.")
    ] = 0
    attention: Annotated[
        str | None, typer.Option(help="Such as decoder.2.cross (default: the best on the run's validation pairs).")
    ] = None
    head: Annotated[int | None, typer.Option(help="One of its heads, from 0 (default: their mean).")] = None
    row: Annotated[RowOption, typer.Option(help="The row where a piece is written, or where it is read.")] = (
        RowOption.written
    )
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, with the words.")] = False


def align(options: AlignOptions) -> None:
    """Align the words of given pairs by cross-attention, in Pharaoh format: 0-0 1-2 …"""
    from clearhead.inspection.alignment import written
    from clearhead.service.align_run import Wanted, align_run
    from clearhead.service.alignments import Place

    if options.head is not None and options.attention is None:
        raise ConfigurationError(
            f"--head {options.head} of which attention? say --attention decoder.0.cross or another"
        )
    place = None
    if options.attention is not None:
        place = Place(options.attention, options.head, "read" if options.row is RowOption.read else "written")
    wanted = Wanted(options.data, options.gold, options.first, options.tune, place)
    found = align_run(options.run, wanted)
    if options.as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        for each in found.alignments:
            typer.echo(written(each.links))
    typer.echo(f"read off {found.place}", err=True)
    if found.error_rate is not None:
        scored = len(found.alignments) - found.tuned
        typer.echo(f"alignment error rate {100 * found.error_rate:.1f} % over {scored} pairs", err=True)
