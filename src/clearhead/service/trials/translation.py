"""Sentence pairs tried on a translator: loss by teacher forcing, BLEU and exact matches by greedy search."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from clearhead.data.batch import collate_pairs
from clearhead.data.order import evaluation_batches
from clearhead.service.tasks.translation import GREEDY, TOKENS, HeldOutPairs, pieces_of
from clearhead.service.tasks.translator import Translator
from clearhead.service.trials.trial import Losses, Metric, Rows, Sums, Trial, loss_metric, percent, row_losses
from clearhead.tasks.metrics import bleu_counts, bleu_of_counts


def translation_trial(translator: Translator, held_out: HeldOutPairs) -> Trial:
    """Every pair is an example; what is longer than the model's positions is cut."""
    model = translator.model
    sources, targets = pieces_of(translator, held_out)

    def losses(rows: Rows) -> Iterator[Losses]:
        lengths = np.array([[len(sources[row]), len(targets[row])] for row in rows], dtype=np.int32)
        for places in evaluation_batches(lengths, max(TOKENS, int(lengths.max()) + 1)):
            pairs = [(sources[row], targets[row]) for row in rows[places]]
            batch = collate_pairs([x for x, _ in pairs], [y for _, y in pairs], translator.task.sides)
            batch = batch.to(translator.device)
            hidden = model.hidden(batch.source, batch.target_in, mask=batch.source_mask)
            nll = row_losses(model, hidden, batch.target_out, batch.target_mask)
            yield Losses(places, nll, batch.target_mask.sum(1).cpu().numpy())

    def answers(rows: Rows) -> tuple[list[str], list[str]]:
        found = translator.predict([held_out.sources[row] for row in rows], **GREEDY)
        return [str(answer) for answer in found], [held_out.references[row] for row in rows]

    return Trial(
        name=held_out.name,
        unit="pairs",
        count=len(sources),
        metrics={"loss": loss_metric(losses), **_by_decoding(answers, translator.task.bleu_tokenizer)},
        losses=losses,
        look=lambda row: translator.inspect(held_out.sources[row], held_out.references[row]),
    )


def _by_decoding(answers: Callable[[Rows], tuple[list[str], list[str]]], tokenize: str) -> dict[str, Metric]:
    def exact(rows: Rows) -> Sums:
        equal = [one.strip() == other.strip() for one, other in zip(*answers(rows), strict=True)]
        return np.array([[float(each), 1.0] for each in equal])

    return {
        "bleu": Metric(True, lambda rows: bleu_counts(*answers(rows), tokenize=tokenize), bleu_of_counts),
        "exact_match": Metric(True, exact, percent),
    }
