"""The task of tagging: sentences of words in, a tag a word out, and how good the tags are.

What it does with odd input is declared here: a sentence without words has no tags; one with more positions than the
limit is read in nearly equal parts, and every word still gets its tag. Knows a model only by the protocol below, and
nothing of files or training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.data.long_sentences import even_parts
from clearhead.data.order import evaluation_batches
from clearhead.data.surroundings import room_inside
from clearhead.data.tag_batch import UNSCORED, TagBatch, collate_tagged
from clearhead.data.word_table import WordReader, WordTable
from clearhead.errors import DataError
from clearhead.tasks.sequence_metrics import accuracy, accuracy_of_chosen, span_counts, spans, tag_counts, total

POSITIONS = 4096  # of a batch
Sentences = Sequence[Sequence[str]]


class Labeller(Protocol):
    """What the task asks of a model."""

    training: bool

    @property
    def output_weight(self) -> Tensor:
        """The output matrix; where it lives, the model lives."""

    def logits(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        ngrams: Tensor | None = None,
        words: Tensor | None = None,
    ) -> Tensor:
        """(B, W, C) scores of every tag for every word of ids (B, P)."""

    def train(self, mode: bool = True) -> object:
        """Switch between training and evaluation."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tags of one sentence, the probability of each, and in how many ``parts`` the sentence was read."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    parts: int


@dataclass(frozen=True)
class Tagging:
    """Words as ``reader`` reads them, tags by the numbers of ``names``, at most ``longest`` positions at a time.

    ``seen`` are the words of the training data, which divide known words from unknown ones. ``marks_spans`` says that
    tags mark the beginning and the inside of spans, which are then scored as such.
    """

    reader: WordReader
    names: tuple[str, ...]
    longest: int
    seen: frozenset[str]
    marks_spans: bool

    def tag(self, model: Labeller, sentences: Sentences, check: Callable[[], None] = lambda: None) -> list[Tagged]:
        """The likeliest tags of each sentence, in the same order. ``check`` is called before every batch."""
        return self._run(model, sentences, None, check)[0]

    def tag_and_measure(
        self, model: Labeller, sentences: Sentences, wanted: Sentences, check: Callable[[], None] = lambda: None
    ) -> tuple[list[Tagged], float]:
        """The tags, and the mean negative log-likelihood in nats of the ``wanted`` ones that training has seen.

        Raises:
            DataError: training has seen none of them.
        """
        numbers = {name: number for number, name in enumerate(self.names)}
        tags = [np.array([numbers.get(tag, UNSCORED) for tag in row], dtype=np.int64) for row in wanted]
        known = sum(int((row != UNSCORED).sum()) for row in tags)
        if not known:
            example = next((tag for row in wanted for tag in row), "")
            raise DataError(
                f"training has seen none of the tags of this data, such as {example!r}; expected tags such as "
                f"{', '.join(map(repr, self.names[:5]))}: is it another column or another set of tags?"
            )
        tagged, nll = self._run(model, sentences, tags, check)
        return tagged, nll / known

    def measure(self, tagged: Sequence[Tagged], wanted: Sentences) -> tuple[dict[str, float], dict[str, Any]]:
        """Scores from 0 to 100, and tables behind them: by tag, by type of span, tags that training never saw.

        A wanted tag that training never saw counts as a mistake. ``unknown_accuracy`` is over words that training never
        saw, and there only if there are any.

        Raises:
            DataError: there are no words.
        """
        found = [each.tags for each in tagged]
        by_tag = tag_counts(found, wanted)
        unknown = [[word not in self.seen for word in each.words] for each in tagged]
        scores = {
            "accuracy": accuracy(found, wanted),
            "macro_f1": sum(counts.f1 for counts in by_tag.values()) / len(by_tag),
        }
        if (share := accuracy_of_chosen(found, wanted, unknown)) is not None:
            scores["unknown_accuracy"] = share
        tables: dict[str, Any] = {"tags": {tag: counts.as_dict() for tag, counts in by_tag.items()}}
        if self.marks_spans:
            by_type = span_counts(found, wanted)
            every = total(by_type.values())
            scores |= {"span_f1": every.f1, "span_precision": every.precision, "span_recall": every.recall}
            tables["spans"] = {kind: counts.as_dict() for kind, counts in by_type.items()}
        unseen = Counter(tag for row in wanted for tag in row) - Counter()
        unseen = Counter(tag for row in wanted for tag in row if tag not in self.names)
        tables["unseen_tags"] = dict(sorted(unseen.items()))
        return scores, tables

    def batches(self, sentences: Sentences, tags: Sequence[NDArray[np.int64]] | None = None) -> Iterator[_Work]:
        """What ``sentences`` become for the model: batches of similar lengths, long sentences in parts."""
        around, (table, rows) = self.reader.around, self._read(sentences)
        room = room_inside(self.longest, around)
        parts = [
            (place, part)
            for place, row in enumerate(rows)
            for part in even_parts(table.positions(row).tolist(), room)
            if part.stop > part.start
        ]
        if not parts:
            return
        sizes = [[table.positions(rows[place][part]).sum() + around - 1] for place, part in parts]
        lengths = np.array(sizes, dtype=np.int32)
        for chosen in evaluation_batches(lengths, max(POSITIONS, int(lengths.max()) + 1)):
            where = [parts[index] for index in chosen]
            learnt = None if tags is None else [tags[place][part] for place, part in where]
            yield _Work(where, collate_tagged(table, [rows[place][part] for place, part in where], learnt))

    def spans(self, tagged: Tagged) -> list[dict[str, Any]]:
        """The spans that the tags mark, with their words."""
        return [
            {**span._asdict(), "text": " ".join(tagged.words[span.start : span.stop])} for span in spans(tagged.tags)
        ]

    def _read(self, sentences: Sentences) -> tuple[WordTable, list[NDArray[np.int64]]]:
        numbers: dict[str, int] = {}
        rows = [
            np.array([numbers.setdefault(word, len(numbers)) for word in sentence], dtype=np.int64)
            for sentence in sentences
        ]
        return self.reader.table(list(numbers), room_inside(self.longest, self.reader.around)), rows

    def _run(
        self,
        model: Labeller,
        sentences: Sentences,
        tags: Sequence[NDArray[np.int64]] | None,
        check: Callable[[], None],
    ) -> tuple[list[Tagged], float]:
        best = [np.zeros(len(sentence), dtype=np.int64) for sentence in sentences]
        sure = [np.zeros(len(sentence)) for sentence in sentences]
        parts, nll, before = Counter[int](), 0.0, model.training
        model.train(False)
        try:
            for work in self.batches(sentences, tags):
                check()
                likely, chosen, loss = _likeliest(model, work.batch)
                nll += loss
                for row, (place, part) in enumerate(work.where):
                    words = part.stop - part.start
                    best[place][part], sure[place][part] = chosen[row, :words], likely[row, :words]
                    parts[place] += 1
        finally:
            model.train(before)
        names = [tuple(self.names[number] for number in row) for row in best]
        return [
            Tagged(tuple(sentence), names[place], tuple(sure[place].tolist()), parts[place])
            for place, sentence in enumerate(sentences)
        ], nll


@dataclass(frozen=True)
class _Work:
    """A batch, and which part of which sentence each of its rows is."""

    where: list[tuple[int, slice]]
    batch: TagBatch


def _likeliest(model: Labeller, batch: TagBatch) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """(B, W) probability and number of the likeliest tag, and the summed loss of the wanted ones."""
    moved = batch.to(model.output_weight.device)
    with torch.inference_mode():
        logits = model.logits(moved.ids, mask=moved.mask, ngrams=moved.ngrams, words=moved.words)
        logs = logits.double().log_softmax(-1)
        likely, chosen = logs.max(-1)
        wanted = logs.gather(-1, moved.tags.clamp(min=0)[..., None])[..., 0]
        nll = -wanted.masked_fill(moved.tags == UNSCORED, 0.0).sum()
    return likely.exp().cpu().numpy(), chosen.cpu().numpy(), float(nll)
