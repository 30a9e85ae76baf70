"""What every head of a model is worth: the score without it, on the task's own metric, and how sure that is.

Each head is silenced in turn (``inspection.ablate``), the held-out examples are scored again, and the difference to the
intact model gets an interval from a paired bootstrap over examples. A head can be worth nothing alone and much together
with another that does the same, so the second question is asked, too: what is left when the least important ones go,
one after another (``pruning_curve``; Michel et al. 2019, arXiv 1905.10650, sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.ablate import Heads, Means, head_means, without_heads
from clearhead.inspection.gates import head_slopes
from clearhead.inspection.seams import seams
from clearhead.service.bootstrap import Draws, Interval
from clearhead.service.evaluate import held_out_of
from clearhead.service.head_looks import looks_of, run_alone
from clearhead.service.load import load
from clearhead.service.tasks.task import Predictor
from clearhead.service.trials.table import trial_by_hand, trial_of
from clearhead.service.trials.trial import Trial, as_in_use

SAMPLE = 64  # examples whose maps are looked at, and over which means are taken


@dataclass(frozen=True, slots=True)
class HeadWorth:
    """One head: the score without it, the difference to the intact model, and what its maps look like.

    ``worth`` is how much worse the score gets, whichever way the metric goes; below 0 it gets better. ``slope`` is the
    first-order estimate (``inspection.gates``), None where it was not asked for. The rest is ``inspection.glance``'s.
    """

    name: str
    head: int
    score: float
    difference: Interval
    worth: float
    entropy: float
    distance: float
    peak: float
    slope: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The head as plain data."""
        table = asdict(self)
        return table | {"difference": _plain(self.difference)}


@dataclass(frozen=True, slots=True)
class Step:
    """The model without the ``removed`` least important heads, of which ``name`` and ``head`` went last."""

    removed: int
    name: str
    head: int
    score: float
    difference: Interval

    def as_dict(self) -> dict[str, Any]:
        """The step as plain data."""
        return asdict(self) | {"difference": _plain(self.difference)}


@dataclass(frozen=True)
class HeadReport:
    """Every head of a model, in the order in which they stand; ``ranked`` by worth."""

    data: str
    unit: str
    count: int
    metric: str
    higher_is_better: bool
    replace: str
    samples: int
    confidence: float
    intact: Interval
    heads: tuple[HeadWorth, ...]
    curve: tuple[Step, ...] = ()

    def ranked(self) -> list[HeadWorth]:
        """The least important first."""
        return sorted(self.heads, key=lambda head: head.worth)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "data": self.data,
            self.unit: self.count,
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "replace": self.replace,
            "samples": self.samples,
            "confidence": self.confidence,
            "intact": _plain(self.intact),
            "heads": [head.as_dict() for head in self.ranked()],
            "pruning": [step.as_dict() for step in self.curve],
        }


@dataclass(frozen=True)
class Question:
    """How heads are to be weighed: on which metric, replaced by what, over how many draws of how many examples."""

    metric: str | None = None
    replace: str = "zero"
    samples: int = 1000
    seed: int = 1
    examples: int | None = None
    slopes: bool = False
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.replace not in ("zero", "mean"):
            raise ConfigurationError(f"replace: expected zero or mean, got {self.replace!r}")


def head_importance(
    model: Predictor | str | Path,
    data: Sequence[Any] | None = None,
    *,
    metric: str | None = None,
    replace: str = "zero",
    samples: int = 1000,
    seed: int = 1,
    examples: int | None = None,
    slopes: bool = False,
) -> HeadReport:
    """Score ``model`` without each of its heads in turn.

    Args:
        model: what ``clearhead.load`` returned; or a run folder.
        data: examples as pairs (input, answer), texts for a language model; for a run folder files as its recipe names
            them, and the run's own validation set when not given.
        metric: "loss", or what the task offers: "bleu" and "exact_match", "accuracy", "micro_f1", "perplexity"; by
            default the task's own, and the loss of a translation.
        replace: what a silenced head says instead: "zero", or its "mean" over some of the examples.
        samples: draws of the bootstrap.
        seed: of the draws, and of the choice of examples.
        examples: so many by chance; all when not given.
        slopes: also the first-order estimate of every head.

    Raises:
        ConfigurationError: the task has no such metric, or there is no data.
    """
    question = Question(metric, replace, samples, seed, examples, slopes)
    predictor = load(model) if isinstance(model, (str, Path)) else model
    trial = _trial(model, predictor, data)
    weighing = Weighing(predictor.model, trial, question)
    return weighing.report(list(weighing.heads()))


def trial_of_run(path: str | Path, predictor: Predictor, data: Sequence[Path] = ()) -> Trial:
    """The model of a run on files of the kind its recipe names; on its own validation data when there are none."""
    return trial_of(predictor, held_out_of(path, data, ("valid", "test")))


def _trial(model: Predictor | str | Path, predictor: Predictor, data: Sequence[Any] | None) -> Trial:
    if isinstance(model, (str, Path)):
        return trial_of_run(model, predictor, [Path(each) for each in data or ()])
    if data is None:
        raise ConfigurationError(
            "data: a loaded model does not know its run's validation set: give examples, or the run folder as model"
        )
    return trial_by_hand(predictor, data)


class Weighing:
    """One model on one trial; the intact model is measured once, when this is made."""

    def __init__(self, network: nn.Module, trial: Trial, question: Question) -> None:
        self.network, self.trial, self.question = network, trial, question
        self.places = {name: seam.heads for name, seam in seams(network).items()}
        if not self.places:
            raise ConfigurationError("this model has no attention, and so no heads to weigh")
        self.metric_name, self.metric = trial.metric(question.metric)
        self.rows = trial.rows(question.examples, question.seed)
        self.draws = Draws(len(self.rows), question.samples, question.seed, question.confidence)
        with as_in_use(network):
            self.means = self._means() if question.replace == "mean" else None
            self.baseline = self.metric.measure(self.rows)
        self.intact = self.draws.interval(self.baseline, self.metric.score)

    @property
    def count(self) -> int:
        """How many heads there are."""
        return sum(self.places.values())

    def heads(self) -> Iterator[HeadWorth]:
        """Every head, as it is weighed."""
        with as_in_use(self.network):
            looks = looks_of(self.network, self.trial, self.rows[:SAMPLE])
            if not looks:
                raise ConfigurationError(
                    f"{self.trial.name}: expected something to read in the first {len(self.rows[:SAMPLE])} "
                    f"{self.trial.unit}, but all of them are blank"
                )
            slopes = self._slopes() if self.question.slopes else None
        for name, heads in self.places.items():
            for head in range(heads):
                score, difference = self.without({name: [head]})
                worth = -difference.value if self.metric.higher_is_better else difference.value
                slope = None if slopes is None else slopes[name][head]
                yield HeadWorth(name, head, score, difference, worth, *looks[name][head], slope)

    def curve(self, ranked: Sequence[HeadWorth], steps: int) -> Iterator[Step]:
        """What is left when the first ``steps`` of ``ranked`` go, one after another."""
        gone: dict[str, list[int]] = {}
        for removed, head in enumerate(ranked[:steps], start=1):
            gone.setdefault(head.name, []).append(head.head)
            score, difference = self.without(gone)
            yield Step(removed, head.name, head.head, score, difference)

    def report(self, heads: Sequence[HeadWorth], curve: Sequence[Step] = ()) -> HeadReport:
        """All of it in one."""
        return HeadReport(
            data=self.trial.name,
            unit=self.trial.unit,
            count=len(self.rows),
            metric=self.metric_name,
            higher_is_better=self.metric.higher_is_better,
            replace=self.question.replace,
            samples=self.question.samples,
            confidence=self.question.confidence,
            intact=self.intact,
            heads=tuple(heads),
            curve=tuple(curve),
        )

    def without(self, heads: Heads) -> tuple[float, Interval]:
        """The score without these heads, and the difference to the intact model."""
        with as_in_use(self.network), without_heads(self.network, heads, means=self.means):
            numbers = self.metric.measure(self.rows)
        difference = self.draws.difference(numbers, self.baseline, self.metric.score)
        return float(self.metric.score(numbers.sum(0))), difference

    def _means(self) -> Means:
        """One example at a time, so that no padding has a say."""
        return head_means(self.network, lambda: run_alone(self.trial, self.rows[:SAMPLE]))

    def _slopes(self) -> Mapping[str, list[float]]:
        losses = (part.nll for part in self.trial.losses(self.rows))
        return {name: values.tolist() for name, values in head_slopes(self.network, losses).items()}


def _plain(interval: Interval) -> dict[str, float]:
    return asdict(interval)
