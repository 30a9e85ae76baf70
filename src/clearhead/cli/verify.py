"""``clearhead verify RUN``: is what runs fast what the equation says?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from clearhead.errors import RunError

if TYPE_CHECKING:
    from clearhead.service.verify import Check


@dataclass(frozen=True)
class VerifyOptions:
    """Which run."""

    run: Annotated[Path, typer.Argument(help="A run folder.")]
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False


def verify(options: VerifyOptions) -> None:
    """Compare every fast path of this very model with the textbook in float64, and print the largest difference."""
    from clearhead.service.load import load
    from clearhead.service.verify import verify as verify_model

    checks = list(verify_model(load(options.run)))
    if options.as_json:
        typer.echo(json.dumps({"checks": [check.as_dict() for check in checks]}))
    else:
        Console(highlight=False).print(_table(checks))
    worst = max(checks, key=lambda check: check.difference / check.tolerance)
    failed = [check for check in checks if not check.holds]
    if failed:
        first = failed[0]
        raise RunError(
            f"{len(failed)} of {len(checks)} comparisons fail: {first.what}, {first.path}: expected a difference of at "
            f"most {first.tolerance:.0e}, got {first.difference:.1e}"
        )
    typer.echo(f"all {len(checks)} comparisons hold; the largest difference is {worst.difference:.1e}", err=True)


def _table(checks: Sequence[Check]) -> Table:
    """A row for each thing compared; the path the model itself takes is marked."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    table.add_column("what", style="bold")
    table.add_column("differences")
    rows: dict[str, list[str]] = {}
    for check in checks:
        mark = "" if check.holds else "  FAILS"
        used = "*" if check.in_use and "." in check.what else " "
        rows.setdefault(check.what, []).append(f"{used}{check.path} {check.difference:.1e}{mark}")
    for what, cells in rows.items():
        table.add_row(what, "   ".join(cells))
    table.caption = "largest difference from the textbook in float64; * the path this model takes here"
    table.caption_justify = "left"
    return table
