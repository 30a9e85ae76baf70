"""Held-out text tried on a language model: the loss of every token, in rows as in training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clearhead.data.packing import Grid, collate_rows
from clearhead.data.prepare_documents import Counts, token_stream
from clearhead.inspection.inspection import Inspection
from clearhead.service.tasks.language_modelling import ROWS_OF_TOKENS, HeldOutText
from clearhead.service.tasks.writer import Writer
from clearhead.service.trials.trial import Losses, Metric, Rows, Sums, Trial, loss_metric, ratio, row_losses

SHOWN = 48  # tokens of a row that are looked at


def language_trial(writer: Writer, held_out: HeldOutText) -> Trial:
    """Every row of the context's length is an example; rows do not overlap."""
    stream = token_stream(held_out.pieces, writer.task.tokenizer, Counts())
    grid = Grid(len(stream.targets), writer.task.context)
    size = max(1, ROWS_OF_TOKENS // writer.task.context)

    def losses(rows: Rows) -> Iterator[Losses]:
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            symbols, masked = writer.task.tokenizer.symbols, writer.task.from_start
            batch = collate_rows(stream, grid, chosen, masked=masked, symbols=symbols).to(writer.device)
            hidden = writer.model.hidden(batch.ids, documents=batch.documents)
            nll = row_losses(writer.model, hidden, batch.targets, batch.mask)
            yield Losses(np.arange(start, start + len(chosen)), nll, batch.mask.sum(1).cpu().numpy())

    def look(row: int) -> Inspection:
        first, last = grid.bounds(row)
        (text,) = writer.task.tokenizer.decode([stream.targets[first : min(last, first + SHOWN)].tolist()])
        return writer.inspect(text)

    loss = loss_metric(losses)
    metrics = {"loss": loss, "perplexity": Metric(False, loss.measure, _perplexity)}
    return Trial(held_out.name, "rows", len(grid), metrics, losses, look)


def _perplexity(sums: Sums) -> Sums:
    return np.exp(np.minimum(ratio(sums), 700.0))
