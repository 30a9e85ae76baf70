"""Tagged sentences tried on a tagger: accuracy over words, and the loss of the tags that training has seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clearhead.data.tag_batch import UNSCORED
from clearhead.service.tasks.tagger import Tagger
from clearhead.service.tasks.tagging import HeldOutTags
from clearhead.service.trials.trial import Labelled, Rows, Trial, label_metrics


def tagging_trial(tagger: Tagger, held_out: HeldOutTags) -> Trial:
    """Every sentence is an example; a long one is read in parts, as ever."""
    numbers = {name: number for number, name in enumerate(tagger.task.names)}
    tags = [np.array([numbers.get(tag, UNSCORED) for tag in row], dtype=np.int64) for row in held_out.tags]

    def forward(rows: Rows) -> Iterator[Labelled]:
        sentences = [held_out.sentences[row] for row in rows]
        for work in tagger.task.batches(sentences, [tags[row] for row in rows]):
            batch = work.batch.to(tagger.device)
            logits = tagger.model.logits(batch.ids, mask=batch.mask, ngrams=batch.ngrams, words=batch.words)
            yield Labelled(np.array([place for place, _ in work.where]), logits, batch.tags)

    return Trial(
        name=held_out.name,
        unit="sentences",
        count=len(held_out.sentences),
        metrics=label_metrics(forward, np.array([len(row) for row in held_out.tags])),
        losses=lambda rows: (part.losses() for part in forward(rows)),
        look=lambda row: tagger.inspect(list(held_out.sentences[row])),
    )
