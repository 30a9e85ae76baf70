"""``clearhead heads RUN``: what every head is worth, and what is left without the least important ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from clearhead.errors import ConfigurationError, RunError

if TYPE_CHECKING:
    from clearhead.service.bootstrap import Interval
    from clearhead.service.head_importance import HeadReport

T = TypeVar("T")


@dataclass(frozen=True)
class HeadsOptions:
    """Which run, on what, and what to leave out."""

    run: Annotated[Path, typer.Argument(help="A run folder.")]
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="One file as the recipe names them (a translation: or two, source lines and target lines) "
            "(default: the recipe's validation set, else its test set).",
        ),
    ] = field(default_factory=list)
    metric: Annotated[
        str | None, typer.Option(help="loss, bleu, exact_match, accuracy, micro_f1, perplexity: what the task offers.")
    ] = None
    replace: Annotated[str, typer.Option(help="What a silenced head says instead: zero, or its mean.")] = "zero"
    examples: Annotated[int | None, typer.Option(help="So many examples, by chance (default: all).")] = None
    samples: Annotated[int, typer.Option(help="Draws of the bootstrap.")] = 1000
    seed: Annotated[int, typer.Option(help="Of the draws and of the choice of examples.")] = 1
    slopes: Annotated[bool, typer.Option("--slopes", help="Also the first-order estimate of every head.")] = False
    prune: Annotated[int, typer.Option(metavar="N", help="Take away the N least important heads, one by one.")] = 0
    out: Annotated[Path | None, typer.Option(help="Save the model without these N heads as a run of its own.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False
    keep: Annotated[bool, typer.Option(help="Write the result into the run folder, where the page reads it.")] = True


def heads(options: HeadsOptions) -> None:
    """Score the model without each of its heads in turn: what is every head worth?"""
    from clearhead.inspection.seams import seams
    from clearhead.service.head_importance import Question, Weighing, trial_of_run
    from clearhead.service.load import load
    from clearhead.service.prune import by_attention, chosen_heads, prune_run, refuse_count
    from clearhead.service.run_folder import RunFolder

    if options.out is not None and options.prune < 1:
        raise ConfigurationError("--out is where the pruned model goes: say how many heads to take away with --prune N")
    if options.out is not None and options.out.is_dir() and any(options.out.iterdir()):
        raise RunError(f"{options.out} is not empty; choose another folder with --out (nothing was changed)")
    predictor = load(options.run)
    refuse_count(options.prune, {name: seam.heads for name, seam in seams(predictor.model).items()})
    weights = RunFolder(options.run).card().weights_sha256
    asked = Question(options.metric, options.replace, options.samples, options.seed, options.examples, options.slopes)
    weighing = Weighing(predictor.model, trial_of_run(options.run, predictor, options.data), asked)
    worths = list(_told("heads", weighing.heads(), weighing.count))
    gone = chosen_heads(worths, options.prune)
    curve = list(_told("pruning", weighing.curve(gone, len(gone)), len(gone)))
    report = weighing.report(worths, curve)
    if options.as_json:
        typer.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        _show(report)
    if options.keep:
        _keep(options.run, report, weights)
    if options.out is not None:
        prune_run(options.run, by_attention(gone), options.out)
        typer.echo(f"wrote {options.out}", err=True)


def _keep(run: Path, report: HeadReport, weights: str | None) -> None:
    """Leave the result where the page reads it; a folder that may not be written to is no failure."""
    from clearhead.service.head_file import write_heads

    try:
        typer.echo(f"wrote {write_heads(run, report, weights)}, which the page of clearhead look shows", err=True)
    except RunError as error:
        typer.echo(f"the result is not kept for the page: {error}", err=True)


def _told(what: str, found: Iterable[T], count: int) -> Iterator[T]:
    """``found``, with a bar on stderr where that is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=count)
        for each in found:
            yield each
            bar.advance(task)


def _show(report: HeadReport) -> None:
    console = Console(highlight=False, markup=False)
    better = "higher is better" if report.higher_is_better else "lower is better"
    console.print(f"{report.count} {report.unit} of {report.data}; {report.metric}, {better}", soft_wrap=True)
    console.print(f"all heads: {_around(report.intact)}", soft_wrap=True)
    console.print(_heads_table(report))
    if report.curve:
        console.print(_curve_table(report))


def _heads_table(report: HeadReport) -> Table:
    """The most important head first."""
    slopes = any(head.slope is not None for head in report.heads)
    columns = ["head", f"{report.metric} without it", "difference", "entropy", "distance", "peak", *["slope"] * slopes]
    table = _table(columns)
    for head in reversed(report.ranked()):
        numbers = [f"{head.score:.3f}", _around(head.difference, signed=True)]
        looks = [f"{head.entropy:.2f}", f"{head.distance:.1f}", f"{head.peak:.2f}"]
        slope = [] if head.slope is None else [f"{head.slope:.4f}"]
        table.add_row(f"{head.name} {head.head}", *numbers, *looks, *slope)
    return table


def _curve_table(report: HeadReport) -> Table:
    table = _table(["removed", "last", report.metric, "difference"])
    for step in report.curve:
        difference = _around(step.difference, signed=True)
        table.add_row(str(step.removed), f"{step.name} {step.head}", f"{step.score:.3f}", difference)
    return table


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 or name == "last" else "right", no_wrap=True)
    return table


def _around(interval: Interval, *, signed: bool = False) -> str:
    """A value and its interval: ``+0.120 (+0.080 … +0.160)``."""
    value, low, high = (f"{each:+.3f}" if signed else f"{each:.3f}" for each in _values(interval))
    return f"{value} ({low} … {high})"


def _values(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
