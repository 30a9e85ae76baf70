"""``clearhead account``: parameters, arithmetic and memory of a model by component, before it is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from clearhead.models.config import ModelConfig


@dataclass(frozen=True)
class AccountOptions:
    """Of what, and at which sizes."""

    what: Annotated[str, typer.Argument(metavar="RECIPE|RUN|PRESET", help="Whose model.")]
    vocab: Annotated[int | None, typer.Option(help="Vocabulary size instead of the model's.")] = None
    length: Annotated[int, typer.Option(help="Tokens in a sequence.")] = 128
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False


def account(options: AccountOptions) -> None:
    """Show parameters, FLOPs per token and memory, by component."""
    from clearhead.service.account import costs

    found = costs(options.what, vocabulary=options.vocab, length=options.length)
    if options.as_json:
        typer.echo(json.dumps({"name": found.name, "model": found.config.model_dump()} | found.account.as_dict()))
        return
    console = Console(highlight=False)
    console.print(_heading(found.config), soft_wrap=True)
    console.print(_numbers("parameters", found.account.parameters))
    console.print(_numbers(f"forward FLOPs per token, length {options.length}", found.account.flops_per_token))
    console.print(_sizes(f"memory in float32, length {options.length}", found.account.memory))


def _heading(config: ModelConfig) -> str:
    """The model in one line."""
    from clearhead.models.account import layers_of

    layers = " + ".join(str(count) for count in layers_of(config) if count) or "0"
    heads = f", {config.heads} heads" if config.body == "transformer" else ""
    body = "" if config.body == "transformer" else " (LSTM)"
    return f"{config.architecture}{body}, {layers} layers, width {config.width}{heads}, {_ends(config)}\n"


def _ends(config: ModelConfig) -> str:
    """What goes in and comes out."""
    tied = " (tied)" if config.tie == "all" else ""
    source, target = f"{config.source_vocabulary:,}", f"{config.target_vocabulary:,}"
    tokens = f"vocabulary {source}" if config.input_width is None else f"vectors of {config.input_width}"
    return {
        "encoder-decoder": f"vocabularies {source} + {target}{tied}",
        "encoder": f"{tokens}, {config.classes} classes",
        "decoder": f"vocabulary {target}",
    }[config.architecture]


def _numbers(title: str, parts: Mapping[str, int]) -> Table:
    """Components with their share of the total."""
    table, total = _table(title), sum(parts.values())
    for name, count in parts.items():
        table.add_row(name, f"{count:,}", f"{count / max(total, 1):.1%}")
    table.add_section()
    table.add_row("total", f"{total:,}", "")
    return table


def _sizes(title: str, parts: Mapping[str, int]) -> Table:
    table = _table(title)
    for name, count in parts.items():
        table.add_row(name, readable(count), "")
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2))
    table.add_column("component", min_width=44)
    table.add_column("amount", justify="right", min_width=14)
    table.add_column("share", justify="right", min_width=6)
    return table


def readable(count: int) -> str:
    """Bytes as 512 B, 1.5 KiB, 3.2 MiB …"""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{size:,.1f} {unit}"
