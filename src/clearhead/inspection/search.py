"""What every hypothesis of a search looked at, recorded with the cache on, from outside the search and the model.

A ``Recorder`` stands between the two: it answers to the names a search asks of a model and hands every call on. After
each step it keeps, for each row of the batch, the one new query, key and value of every attention, under the tokens
that row has been fed so far. Rows may be reordered, multiplied and dropped as the search likes: a hypothesis' past is
found by its prefixes, one a step, and never has to be moved. Put together they are what teacher forcing would have
computed at once: ``records`` are the same ``AttentionRecord`` as any inspection's.

Legend: B sentences, C hypotheses a sentence, N = B · C rows, P tokens of a prompt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.capture import Capture, inspecting
from clearhead.inspection.joined import Part, joined_record, joined_stream, newest, of_sentence
from clearhead.inspection.record import AttentionRecord
from clearhead.inspection.stream import Stream

Fed = tuple[int, ...]


class Following(Protocol):
    """A state that follows a search."""

    def reorder(self, parents: Tensor) -> None:
        """Hypothesis c of sentence b goes on from what was hypothesis ``parents[b, c]``."""

    def keep(self, sentences: Tensor) -> None:
        """Forget all sentences but these."""


AnyState = TypeVar("AnyState", bound=Following)


class Searchable(Protocol[AnyState]):
    """A model as a search asks for it."""

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> AnyState:
        """Read ``source`` (B, S); make ready for C = ``beam`` hypotheses."""

    def advance(self, tokens: Tensor, state: AnyState) -> Tensor:
        """Feed ``tokens`` (B, C); logits (B, C, V) of the next."""


@dataclass(slots=True)
class RecordedState(Generic[AnyState]):
    """The model's own state, and what each hypothesis was fed: ``fed`` (B, C, t)."""

    inner: AnyState
    search: Search
    sentences: list[int]
    fed: Tensor

    def reorder(self, parents: Tensor) -> None:
        """As the model's state."""
        self.inner.reorder(parents)
        self.fed = self.fed.gather(1, parents[:, :, None].expand(-1, -1, self.fed.shape[2]))

    def keep(self, sentences: Tensor) -> None:
        """As the model's state."""
        self.inner.keep(sentences)
        self.fed = self.fed[sentences]
        self.sentences = [self.sentences[place] for place in sentences.tolist()]


@dataclass(slots=True)
class Step:
    """What passed in one step for all rows, the latest position of each attention, and its logits (B, C, V)."""

    parts: dict[str, Part]
    residual: Stream
    networks: Stream
    logits: Tensor


@dataclass(slots=True)
class Search:
    """One search of a batch: what was read before its first step, the steps, and where each hypothesis stands."""

    read: Capture
    prompts: list[Fed]
    steps: list[Step] = field(default_factory=list)
    places: dict[tuple[int, Fed], tuple[int, int, int]] = field(default_factory=dict)

    def kept(self, sentence: int) -> list[list[Fed]]:
        """One sentence's beam in each step: the tokens each row had been fed by then, the prompt left out."""
        rows: list[list[Fed]] = [[] for _ in self.steps]
        for (place, fed), (step, _, _) in self.places.items():
            if place == sentence:
                rows[step].append(fed)
        return rows

    def records(self, sentence: int, fed: Sequence[int]) -> dict[str, AttentionRecord]:
        """Every attention of one hypothesis by name, batch size 1: as if ``fed`` had been read at once.

        Raises:
            ConfigurationError: no row of that sentence was ever fed these tokens.
        """
        path = self._path(sentence, fed)
        found = {name: of_sentence(record, sentence) for name, record in self.read.records.items()}
        for name in self.steps[0].parts:
            parts = [(self.steps[step].parts[name], row, hypothesis) for step, row, hypothesis in path]
            found[name] = joined_record(found.get(name), parts)
        return found

    def residual(self, sentence: int, fed: Sequence[int]) -> tuple[Stream, Stream]:
        """The residual stream (T, W) at every station, and the feed-forward networks' outputs, of one hypothesis."""
        path = self._path(sentence, fed)
        parts = [(self.steps[step], row, hypothesis) for step, row, hypothesis in path]
        stations = [(step.residual, row, hypothesis) for step, row, hypothesis in parts]
        networks = [(step.networks, row, hypothesis) for step, row, hypothesis in parts]
        return (
            joined_stream(self.read.residual, stations, sentence),
            joined_stream(self.read.networks, networks, sentence),
        )

    def logits(self, sentence: int, fed: Sequence[int]) -> Tensor:
        """The logits (T, V) after each of the tokens that were fed, the prompt left out."""
        path = self._path(sentence, fed)
        return torch.stack([self.steps[step].logits[row, hypothesis] for step, row, hypothesis in path])

    def _path(self, sentence: int, fed: Sequence[int]) -> list[tuple[int, int, int]]:
        """Step, row of the batch and hypothesis of each of its prefixes."""
        prefixes = [(sentence, tuple(fed[:count])) for count in range(1, len(fed) + 1)]
        if not prefixes or any(prefix not in self.places for prefix in prefixes):
            raise ConfigurationError(
                f"no hypothesis of sentence {sentence} was fed the tokens {list(fed)} in this search"
            )
        return [self.places[prefix] for prefix in prefixes]


class Recorder(Generic[AnyState]):
    """A model that is searched as ever and whose attentions are kept; ``searches`` has one entry a ``begin``."""

    def __init__(self, model: Searchable[AnyState], seen: Capture) -> None:
        self.model = model
        self.seen = seen
        self.searches: list[Search] = []

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> RecordedState[AnyState]:
        """As the model's own."""
        self._forget()
        inner = self.model.begin(source, mask, beam=beam, max_length=max_length)
        search = Search(Capture(*self._taken()), [tuple(row) for row in source.tolist()])
        self.searches.append(search)
        fed = source.new_empty(source.shape[0], beam, 0)
        return RecordedState(inner, search, list(range(source.shape[0])), fed)

    def advance(self, tokens: Tensor, state: RecordedState[AnyState]) -> Tensor:
        """As the model's own."""
        self._forget()
        logits = self.model.advance(tokens, state.inner)
        state.fed = torch.cat((state.fed, tokens[:, :, None]), dim=2)
        records, residual, networks = self._taken()
        parts = {name: newest(record, tokens.shape[1]) for name, record in records.items()}
        number = len(state.search.steps)
        streams = [{name: x.reshape(*tokens.shape, -1) for name, x in kept.items()} for kept in (residual, networks)]
        state.search.steps.append(Step(parts, streams[0], streams[1], logits.clone()))  # a search writes into logits
        for row, (sentence, hypotheses) in enumerate(zip(state.sentences, state.fed.tolist(), strict=True)):
            for hypothesis, fed in enumerate(hypotheses):
                state.search.places.setdefault((sentence, tuple(fed)), (number, row, hypothesis))
        return logits

    def _forget(self) -> None:
        for kept in (self.seen.records, self.seen.residual, self.seen.networks):
            kept.clear()

    def _taken(self) -> tuple[dict[str, AttentionRecord], Stream, Stream]:
        return dict(self.seen.records), dict(self.seen.residual), dict(self.seen.networks)


@contextmanager
def recording(
    model: Searchable[AnyState], network: nn.Module, *, layers: Collection[int] | None = None
) -> Iterator[Recorder[AnyState]]:
    """``model`` to be searched in one thread while the context is open; ``network`` is where its attentions are."""
    with inspecting(network, layers=layers) as seen:
        yield Recorder(model, seen)
