"""The decoding options of the command line, as they override the recipe's ``[decoding]`` table: only those given."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

import typer

_HOW = "Decoding"


@dataclass(frozen=True)
class DecodingOptions:
    """Every option is unset by default, and then the run's own recipe decides."""

    beam: Annotated[int | None, typer.Option(help="Hypotheses per sentence; 1 is greedy.", rich_help_panel=_HOW)] = None
    length_penalty: Annotated[
        float | None, typer.Option(help="Exponent of the length normalisation.", rich_help_panel=_HOW)
    ] = None
    n_best: Annotated[int | None, typer.Option(help="Results per line (with --json).", rich_help_panel=_HOW)] = None
    sample: Annotated[bool, typer.Option("--sample", help="Draw instead of search.", rich_help_panel=_HOW)] = False
    temperature: Annotated[float | None, typer.Option(help="Flattens (>1) or sharpens.", rich_help_panel=_HOW)] = None
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest.", rich_help_panel=_HOW)] = None
    top_p: Annotated[float | None, typer.Option(help="Draw from this much mass.", rich_help_panel=_HOW)] = None
    seed: Annotated[int | None, typer.Option(help="Of the draws.", rich_help_panel=_HOW)] = None
    max_length: Annotated[int | None, typer.Option(help="Tokens per result, at most.", rich_help_panel=_HOW)] = None
    no_repeat_ngram: Annotated[
        int | None, typer.Option(help="No n-gram of so many tokens twice.", rich_help_panel=_HOW)
    ] = None
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens per batch.", rich_help_panel=_HOW)] = None

    def given(self) -> dict[str, Any]:
        """The options that were set, under the names ``DecodingSettings`` has for them."""
        names = [field.name for field in dataclasses.fields(DecodingOptions)]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None and value is not False}
