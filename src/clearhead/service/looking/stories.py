"""What an answer is made of, task by task: which pieces came out, how probable each was, and what nearly came instead.

``STORIES`` has a line for every task whose answer is made of symbols; a task without one shows its attention alone.
Probabilities are the softmax (for several labels at a time, the sigmoid) of the very logits that were looked at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clearhead.service.look import cuts_words, readable, readable_alone
from clearhead.service.looking.request import Asked
from clearhead.service.tasks.labeller import VectorLabeller
from clearhead.service.tasks.task import Predictor, View
from clearhead.service.tasks.translator import Translator
from clearhead.service.tasks.writer import Writer

RIVALS = 5


@dataclass(frozen=True)
class Guess:
    """A symbol and its probability."""

    label: str
    probability: float


@dataclass(frozen=True)
class Written:
    """One symbol of the answer.

    Attributes:
        label: the symbol.
        probability: what the model gave it; None where it was given to the model.
        rivals: the likeliest symbols at this place, the chosen one perhaps among them.
        about: what it is said of (a tag's word), or nothing.
        row: which row of the maps belongs to it, if one does.
        given: it was read, not written; its probability says how far the model expected it.
    """

    label: str
    probability: float | None
    rivals: tuple[Guess, ...]
    about: str = ""
    row: int | None = None
    given: bool = False


@dataclass(frozen=True)
class Story:
    """How one task is looked at: ``view`` answers and looks, ``written`` reads the answer off the logits."""

    view: Callable[[Any, Asked], View]
    written: Callable[[Any, View], tuple[Written, ...]]


def as_ever(predictor: Predictor, asked: Asked) -> View:
    """The task's own way."""
    return predictor.view(asked.text, asked.target)


def nothing_written(predictor: Predictor, view: View) -> tuple[Written, ...]:
    """No symbols."""
    return ()


def translated(translator: Translator, asked: Asked) -> View:
    """A translation, by a beam of another width where one is asked for."""
    if asked.beam is None:
        return translator.view(asked.text, asked.target)
    decoding = translator.settings({"beam": asked.beam, "n_best": 1, "sample": False})
    task = dataclasses.replace(translator.task, decoding=decoding)
    return dataclasses.replace(translator, task=task).view(asked.text, asked.target)


def translation(translator: Translator, view: View) -> tuple[Written, ...]:
    """Row t of the logits chose piece t."""
    seen = view.inspection
    pieces = translator.task.target.vocabulary()
    return tuple(_pieces(pieces, seen.target, readable(seen.target), seen.logits, first=0))


def continued(writer: Writer, asked: Asked) -> View:
    """The text with its most probable continuation behind it, token by token, or with the given one."""
    if asked.target is not None or asked.tokens == 0:
        return writer.view(asked.text, asked.target)
    options = {"beam": asked.beam or 1, "sample": False, "n_best": 1, "max_length": asked.tokens}
    options["min_length"] = min(writer.task.decoding.min_length, asked.tokens)  # what is asked here goes before
    answer = writer.predict([asked.text], **options)[0].alternatives[0].continuation
    return writer.view(asked.text, answer)


def continuation(writer: Writer, view: View) -> tuple[Written, ...]:
    """Row t of the logits is about token t + 1. What the text began with was given."""
    seen = view.inspection
    pieces = writer.task.tokenizer.vocabulary()
    first, *labels = readable(seen.source)
    whole, begun = map(len, writer.task.tokenizer.encode([view.text + view.answer, view.text]))
    read = len(seen.source) - (whole - begun)
    told = [Written(first, None, (), row=0), *_pieces(pieces, seen.source[1:], labels, seen.logits, first=1)]
    return tuple(dataclasses.replace(each, given=place < read) for place, each in enumerate(told))


def tags(tagger: Any, view: View) -> tuple[Written, ...]:
    """A tag a word, for the words of the part that was looked at."""
    names, words = tagger.task.names, tagger.parse(view.text)
    return tuple(_labels(names, view.inspection.logits, words))


def one_label(classifier: Any, view: View) -> tuple[Written, ...]:
    """One label for the whole text."""
    return tuple(_labels(classifier.task.names, view.inspection.logits.flatten()[None], [""]))


def many_labels(classifier: Any, view: View) -> tuple[Written, ...]:
    """Every label that the answer holds, each with a probability of its own."""
    chances = view.inspection.logits.double().flatten().sigmoid().tolist()
    guesses = sorted(
        (Guess(name, chance) for name, chance in zip(classifier.task.names, chances, strict=True)),
        key=lambda guess: -guess.probability,
    )
    chosen = set(view.answer.split(classifier.separator)) if view.answer else set()
    rivals = tuple(guesses[:RIVALS])
    return tuple(Written(each.label, each.probability, rivals) for each in guesses if each.label in chosen)


def labelled_vectors(labeller: VectorLabeller, view: View) -> tuple[Written, ...]:
    """A label for each vector, or one for the sequence."""
    logits = view.inspection.logits
    rows = logits if logits.dim() == 2 else logits[None]
    about = [str(number + 1) for number in range(len(rows))] if logits.dim() == 2 else [""]
    return tuple(_labels(labeller.task.names, rows, about))


def _pieces(
    vocabulary: Sequence[str], pieces: Sequence[str], labels: Sequence[str], logits: Tensor, *, first: int
) -> list[Written]:
    """The piece chosen by each row of ``logits``; ``first`` is the row of the maps that belongs to the first one."""
    logs = logits.double().log_softmax(-1)[: len(pieces)]
    numbers = {piece: number for number, piece in reversed(list(enumerate(vocabulary)))}
    cut, best = cuts_words(pieces), logs.topk(min(RIVALS, logs.shape[-1]))
    found = []
    for place, (piece, label) in enumerate(zip(pieces, labels, strict=True)):
        names = [readable_alone(vocabulary[number], cut=cut) for number in best.indices[place].tolist()]
        rivals = tuple(map(Guess, names, best.values[place].exp().tolist()))
        chance = float(logs[place, numbers[piece]].exp())
        found.append(Written(label, chance, rivals, row=first + place))
    return found


def _labels(names: Sequence[str], logits: Tensor, about: Sequence[str]) -> list[Written]:
    chances = torch.softmax(logits.double(), -1)[: len(about)]
    best = chances.topk(min(RIVALS, chances.shape[-1]))
    found = []
    for row, what in zip(range(len(chances)), about, strict=False):
        labels = [names[number] for number in best.indices[row].tolist()]
        rivals = tuple(map(Guess, labels, best.values[row].tolist()))
        found.append(Written(rivals[0].label, rivals[0].probability, rivals, about=what))
    return found


STORIES: dict[str, Story] = {
    "translation": Story(translated, translation),
    "text-to-text": Story(translated, translation),
    "language-model": Story(continued, continuation),
    "continuation": Story(continued, continuation),
    "tagging": Story(as_ever, tags),
    "classification": Story(as_ever, one_label),
    "multilabel": Story(as_ever, many_labels),
    "vector-tagging": Story(as_ever, labelled_vectors),
    "vector-classification": Story(as_ever, labelled_vectors),
}
PLAIN = Story(as_ever, nothing_written)
