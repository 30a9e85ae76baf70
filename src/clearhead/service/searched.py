"""A search looked at while it ran: an inspection for each of its answers, and for every hypothesis it ever kept.

The search is the one behind ``predict``, with the cache on; who records stands between it and the model
(``inspection.search``), so the answers are those of ``predict``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from clearhead.errors import ConfigurationError
from clearhead.generation.batches import generate
from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.prompts import continue_prompts
from clearhead.generation.settings import ContinuationSettings, DecodingSettings
from clearhead.inspection.inspection import Choice, Inspection
from clearhead.inspection.search import Fed, Search, recording
from clearhead.inspection.tiles import checked_heads
from clearhead.models.decoder_only import DecoderOnly
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.tasks.language_modelling import LanguageModelling
from clearhead.tasks.translation import Translation
from clearhead.text.tokenizer import Tokenizer

NEXT = "…"  # stands for the token that a hypothesis on its way was about to choose


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A hypothesis that was in the beam: its tokens so far, and what to call for its inspection."""

    pieces: tuple[str, ...]
    inspect: Callable[[], Inspection]


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """Answers of one search, best first: texts, numbers, inspections; ``beams`` are all that was kept, step by step.

    In a beam stand the rows of the batch as they were, those of a sentence that had fewer hypotheses left included.
    """

    texts: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...]
    inspections: tuple[Inspection, ...]
    beams: tuple[tuple[Kept, ...], ...]


def search_translation(
    model: EncoderDecoder, task: Translation, source: Sequence[int], settings: DecodingSettings, choice: Choice
) -> Searched:
    """Translate ids without special tokens, and keep what every hypothesis looked at."""
    device, symbols = model.output_weight.device, task.symbols
    with torch.inference_mode(), recording(model, model, layers=choice.layers) as recorder:
        (found,) = generate(recorder, [source], settings, device=device, workers=1, symbols=symbols)
    (search,) = recorder.searches
    read = task.source.pieces(symbols.surrounded(source))

    def looked_at(fed: Fed, written: Sequence[str]) -> Inspection:
        return _inspection(search, fed, read, written, task.target.pieces(fed), choice)

    inspections = []
    for hypothesis in found:
        fed = _fed((symbols.start,), hypothesis)
        written = task.target.pieces([*hypothesis.tokens, *symbols.closing])
        inspections.append(looked_at(fed, written[: len(fed)]))
    texts = task.target.decode([hypothesis.tokens for hypothesis in found])
    beams = _beams(search, task.target, lambda fed: looked_at(fed, [*task.target.pieces(fed[1:]), NEXT]))
    return Searched(tuple(texts), tuple(found), tuple(inspections), beams)


def search_continuation(
    model: DecoderOnly, task: LanguageModelling, prompt: Sequence[int], settings: ContinuationSettings, choice: Choice
) -> Searched:
    """Go on with a prompt (as the model reads it, at least one token), and keep what every hypothesis looked at.

    Raises:
        ConfigurationError: prompt and continuation do not fit into the context together, where a text is read anew.
    """
    if len(prompt) + settings.max_length > task.context:
        raise ConfigurationError(
            f"a search can be looked at as long as prompt and continuation fit into the context of {task.context} "
            f"tokens; the prompt has {len(prompt)} and max_length is {settings.max_length}: choose a smaller one"
        )
    device, symbols = model.output_weight.device, task.tokenizer.symbols
    with torch.inference_mode(), recording(model, model, layers=choice.layers) as recorder:
        (found,) = continue_prompts(
            recorder, [prompt], settings, context=task.context, device=device, workers=1, symbols=symbols
        )
    (search,) = recorder.searches

    def looked_at(fed: Fed) -> Inspection:
        pieces = task.tokenizer.pieces([*prompt[:-1], *fed])
        return _inspection(search, fed, pieces, pieces, pieces, choice)

    inspections = [looked_at(_fed(tuple(prompt[-1:]), hypothesis)) for hypothesis in found]
    texts = task.tokenizer.decode([[*prompt, *hypothesis.tokens] for hypothesis in found])
    return Searched(tuple(texts), tuple(found), tuple(inspections), _beams(search, task.tokenizer, looked_at))


def _fed(first: Fed, hypothesis: Hypothesis) -> Fed:
    """What the model was fed for a hypothesis: all but its last token, which is the end symbol where it is finished."""
    return first + (hypothesis.tokens if hypothesis.finished else hypothesis.tokens[:-1])


def _beams(search: Search, tokenizer: Tokenizer, look: Callable[[Fed], Inspection]) -> tuple[tuple[Kept, ...], ...]:
    return tuple(tuple(_kept(fed, tokenizer, look) for fed in step) for step in search.kept(0))


def _kept(fed: Fed, tokenizer: Tokenizer, look: Callable[[Fed], Inspection]) -> Kept:
    return Kept(tuple(tokenizer.pieces(fed[1:])), lambda: look(fed))


def _inspection(
    search: Search, fed: Fed, source: Sequence[str], target: Sequence[str], read: Sequence[str], choice: Choice
) -> Inspection:
    records = search.records(0, fed)
    for record in records.values():
        checked_heads(choice.heads, record.heads)
    residual, networks = search.residual(0, fed)
    return Inspection(
        source=tuple(source),
        target=tuple(target),
        attentions=records,
        logits=search.logits(0, fed),
        fed=tuple(read),
        residual=residual,
        networks=networks,
        heads=None if choice.heads is None else tuple(choice.heads),
        max_full=choice.max_full,
    )
