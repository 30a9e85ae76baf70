"""Shows the events of a training run on stderr: a bar that lives on a terminal, plain lines anywhere else.

What stays to be read (validations, warnings, the end) is one line each, the same in both; only the numbers between
validations differ: a bar shows the latest, plain lines show them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from clearhead.cli.door import Interrupted
from clearhead.service.events import CorpusReady, Scored
from clearhead.training import events

NAMES = {"bleu": "BLEU", "chrf": "chrF", "exact_match": "exact %", "micro_f1": "micro F1", "macro_f1": "macro F1"}
QUIET = {"multi_bleu_lowercased"}  # in the report, not in a line of progress


class TrainingDisplay:
    """One run's progress on ``console``."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self.task: TaskID | None = None
        self.counted = "tokens"

    def progressed(self, event: events.Progressed) -> None:
        """The numbers of the moment."""
        numbers = (
            f"loss {event.loss:.3f} · {event.tokens_per_second:,.0f} {self.counted}/s · epoch {event.epoch + 1}"
            f" · {clock(event.seconds_left)} left"
        )
        if not self.console.is_terminal:
            self.line(f"update {event.update}/{event.updates} · {numbers}")
            return
        if self.task is None:
            self.bar.start()
            self.task = self.bar.add_task("training", total=event.updates, numbers="")
        self.bar.update(self.task, completed=event.update, numbers=numbers, refresh=True)

    def line(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self.console.print(Text(text, style), soft_wrap=True)  # a style given to print would colour the bar, too

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.task is not None:
            self.bar.stop()


def show_training(run: Iterable[events.Event], out: Path) -> None:
    """Follow ``run`` to its end.

    Raises:
        Interrupted: the run was stopped from outside, after saving.
    """
    display = TrainingDisplay(Console(stderr=True, highlight=False))
    stop: events.Interrupted | None = None
    try:
        for event in run:
            _show(event, display, out)
            if isinstance(event, events.Interrupted):
                stop = event
    finally:
        display.close()
    if stop is not None:
        how = f"clearhead train {quote(str(out))} --resume"
        message = f"stopped after update {stop.update}, everything is saved; go on with: {how}"
        raise Interrupted(stop.signal or 2, message)


def _show(event: events.Event, display: TrainingDisplay, out: Path) -> None:
    match event:
        case events.Progressed():
            display.progressed(event)
        case CorpusReady():
            display.counted = event.counted.rpartition("_")[2]
            display.line(_corpus(event))
        case events.Started():
            display.line(_started(event))
            for reason in event.passed_over:
                display.line(f"passed over {reason}", "yellow")
        case events.Validated():
            display.line(_validated(event), "green" if event.improved else "")
        case events.SaveFailed():
            display.line(f"could not save ({event.reason}); the last checkpoint is intact, training goes on", "red")
        case events.Skipped():
            display.line(f"update {event.update} skipped: loss {event.loss}, gradient {event.gradient_norm}", "red")
        case events.Spiked():
            display.line(f"update {event.update}: loss {event.loss:.3f} jumped, usual is {event.usual:.3f}", "yellow")
        case events.Split():
            display.line(f"update {event.update}: out of memory, redone in {event.parts} parts", "yellow")
        case Scored():
            display.line(
                f"{event.split} · {event.count} {event.unit}{scores_of(event.scores)} · {event.seconds:.1f} s", "bold"
            )
        case events.Finished():
            display.line(f"finished in {clock(event.seconds)} · kept the {event.kept} weights · {out}", "bold")


def _corpus(event: CorpusReady) -> str:
    sizes = " + ".join(f"{size:,}" for size in event.vocabularies)
    dropped = "".join(f" · {count:,} dropped: {reason}" for reason, count in event.dropped.items())
    noted = "".join(f" · {count:,} × {remark}" for remark, count in event.noted.items())
    return f"data · {event.count:,} {event.unit}{dropped}{noted} · vocabulary {sizes} · {event.seconds:.1f} s"


def _started(event: events.Started) -> str:
    begin = f"going on from update {event.update}" if event.resumed else "training"
    return (
        f"{begin} · {event.parameters:,} parameters{_trained(event)} · {event.precision} · "
        f"{event.device}, {event.threads} thread{'s' if event.threads > 1 else ''}"
    )


def _validated(event: events.Validated) -> str:
    best = " · best so far" if event.improved else ""
    return f"update {event.update} · validation loss {event.loss:.3f}{scores_of(event.scores)}{best}"


def scores_of(scores: Mapping[str, float]) -> str:
    """The scores as a reader knows them, each after a dot."""
    shown = {NAMES.get(name, name.replace("_", " ")): score for name, score in scores.items() if name not in QUIET}
    return "".join(f" · {name} {score:.1f}" for name, score in shown.items())


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, second = divmod(round(max(seconds, 0.0)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _trained(event: events.Started) -> str:
    """How many of the parameters are trained, where that is not all of them."""
    if event.trained == event.parameters:
        return ""
    return f", of which {event.trained:,} ({event.trained / event.parameters:.1%}) are trained"
