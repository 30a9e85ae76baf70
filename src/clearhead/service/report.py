"""``report.json``: what came out of a run, how long it took, and on what machine, in one page of plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearhead.models.account import account
from clearhead.recipes.schema import Recipe
from clearhead.service.events import Scored
from clearhead.service.machine import describe_machine, describe_software
from clearhead.service.run_folder import RunFolder
from clearhead.service.start import Start
from clearhead.service.tasks.task import Prepared
from clearhead.training.events import Finished, plain
from clearhead.training.metrics import read_metrics


def build_report(
    recipe: Recipe, run: RunFolder, prepared: Prepared, finished: Finished, scored: Sequence[Scored]
) -> dict[str, Any]:
    """The report of a finished run. Seconds are of training alone, over all interruptions; shares are 0 to 100."""
    start = Start.of(run)
    return {
        "task": recipe.task,
        "seed": recipe.seed,
        **({} if start is None else {"started_from": start.told}),
        "scores": {each.split: _scores(each) for each in scored},
        **without_none(recipe.answering()),
        "training": _training(run, prepared.counted, finished),
        "model": {"parameters": account(prepared.model).total} | prepared.model.model_dump(exclude_none=True),
        "data": _data(prepared),
        "machine": describe_machine(),
        "software": describe_software(),
    }


def _scores(scored: Scored) -> dict[str, Any]:
    table = {scored.unit: scored.count, "loss": scored.loss, **scored.scores, **scored.details, **scored.tables}
    return {name: plain(value) for name, value in table.items()}


def _training(run: RunFolder, counted: str, finished: Finished) -> dict[str, Any]:
    steps = [line for line in read_metrics(run.metrics_file) if line["event"] == "progressed"]
    return {
        "updates": finished.update,
        "epochs": steps[-1]["epoch"] + 1 if steps else None,
        "stopped_by": finished.reason,
        "trained_parameters": finished.trained,
        "weights_kept": finished.kept,
        "candidates": plain(finished.candidates),
        counted: finished.tokens,
        "seconds": round(finished.seconds, 1),
        f"{counted}_per_second": round(finished.tokens / finished.seconds, 1) if finished.seconds else None,
        "padding": round(sum(line["padding"] for line in steps) / len(steps), 4) if steps else None,
        "weights_sha256": finished.sha256,
    }


def _data(prepared: Prepared) -> dict[str, Any]:
    return {
        prepared.unit: len(prepared.corpus),
        **plain(prepared.facts),
        "fingerprint": prepared.corpus.fingerprint,
        "ledger": prepared.corpus.ledger,
    }


def without_none(table: dict[str, Any]) -> dict[str, Any]:
    """``table``, and every table in it, without the keys that were not given."""
    return {
        name: without_none(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if value is not None
    }
