"""Trains: a recipe and a folder in, events out, a finished run folder at the end.

Everything before the first update (folder, tokenizers, corpus, model) is done or refused here; the steps are
``training.loop``'s. After the last step the kept weights are scored on the held-out sets by real decoding.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from clearhead.models.build import build_model
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.recipes.read import read_recipe
from clearhead.recipes.schema import Recipe
from clearhead.recipes.write import recipe_to_toml
from clearhead.service.changes import refuse_changes
from clearhead.service.device import pick_device
from clearhead.service.events import CorpusReady, Scored
from clearhead.service.held_out import GREEDY, HeldOut, Validator, read_held_out, score
from clearhead.service.load import Translator
from clearhead.service.prepare import Prepared, prepare, tokenizers_sha256
from clearhead.service.report import build_report
from clearhead.service.room import refuse_too_large
from clearhead.service.run_folder import RunCard, RunFolder, write_text
from clearhead.tasks.translation import Translation
from clearhead.training.events import Event, Finished, Started
from clearhead.training.job import TrainingJob
from clearhead.training.lock import only_user
from clearhead.training.loop import run as run_training
from clearhead.training.signals import StopFlag, stop_on_signals


def train(recipe: Recipe | str | Path, out: str | Path, *, resume: bool = False) -> Iterator[Event]:
    """Train ``recipe`` (a checked one, or the path of a file) into the run folder ``out``.

    Nothing is printed; take the events. With ``resume``, go on exactly where the run in ``out`` stopped.

    Raises:
        ConfigurationError: the recipe is wrong.
        DataError: a data file is missing, broken or misaligned; raised when the first event is asked for.
        RunError: ``out`` holds something already, or cannot be resumed as asked; nothing in it was changed.
    """
    checked = read_recipe(recipe) if isinstance(recipe, (str, Path)) else recipe
    run = _resumed(out, checked) if resume else RunFolder.create(out, checked)
    return _train(checked, run, resume=resume)


def _resumed(out: str | Path, recipe: Recipe) -> RunFolder:
    run = RunFolder.open(out)
    refuse_changes(run.recipe(), recipe)
    return run


def _train(recipe: Recipe, run: RunFolder, *, resume: bool) -> Iterator[Event]:
    began = time.perf_counter()
    with only_user(run.corpus):
        prepared = prepare(recipe, run)
    yield _corpus_ready(prepared, time.perf_counter() - began)
    refuse_too_large(prepared.model, training=True)
    held_out = _held_out(recipe)
    model = cast(EncoderDecoder, build_model(prepared.model, seed=recipe.seed).to(pick_device()))
    translator = Translator(model, Translation(*prepared.tokenizers, recipe.decoding))
    finished: Finished | None = None
    with _stop_flag() as stop:
        validate = Validator(held_out["valid"], translator, GREEDY, stop) if "valid" in held_out else None
        job = _job(recipe, run, prepared, model)
        for event in run_training(replace(job, validate=validate, stop=stop, resume=resume)):
            if isinstance(event, Started):  # from here on the folder is ours alone
                write_text(run.recipe_file, recipe_to_toml(recipe))
            if isinstance(event, Finished):
                finished = event  # told last, after the scores
            else:
                yield event
    if finished is not None:
        yield from _finish(recipe, run, prepared, translator, held_out, finished)
        yield finished


def _corpus_ready(prepared: Prepared, seconds: float) -> CorpusReady:
    counts = {
        kind: {reason: entry["count"] for reason, entry in prepared.corpus.ledger[kind].items()}
        for kind in ("dropped", "noted")
    }
    source, target = prepared.tokenizers
    sizes = (source.size,) if source is target else (source.size, target.size)
    return CorpusReady(0, len(prepared.corpus), counts["dropped"], counts["noted"], sizes, seconds)


def _held_out(recipe: Recipe) -> dict[str, HeldOut]:
    """The held-out sets that the recipe names, read before training so that a broken file is known at once."""
    files = {"valid": recipe.data.valid, "test": recipe.data.test}
    lenient = recipe.data.bad_lines == "skip"
    return {
        name: read_held_out(name, given, Path(recipe.data.folder), lenient=lenient)
        for name, given in files.items()
        if given is not None
    }


def _job(recipe: Recipe, run: RunFolder, prepared: Prepared, model: EncoderDecoder) -> TrainingJob:
    return TrainingJob(
        model=model,
        corpus=prepared.corpus,
        settings=recipe.training,
        out=run.path,
        seed=recipe.seed,
        identity={
            "model": json.dumps(prepared.model.model_dump(), sort_keys=True),
            "tokenizers": tokenizers_sha256(prepared.tokenizers),
        },
    )


def _finish(
    recipe: Recipe,
    run: RunFolder,
    prepared: Prepared,
    translator: Translator,
    held_out: dict[str, HeldOut],
    finished: Finished,
) -> Iterator[Scored]:
    """Record the weights' checksum, score the held-out sets, write the report."""
    run.write_card(RunCard(task=recipe.task, model=prepared.model, weights_sha256=finished.sha256))
    translator.model.eval()
    scored = []
    for held in held_out.values():
        scored.append(replace(score(translator, held), update=finished.update))
        yield scored[-1]
    run.write_report(build_report(recipe, run, prepared, finished, scored))


@contextlib.contextmanager
def _stop_flag() -> Iterator[StopFlag]:
    """A flag that Ctrl-C and SIGTERM set where this is the main thread, and that nobody sets elsewhere."""
    if threading.current_thread() is threading.main_thread():
        with stop_on_signals() as stop:
            yield stop
    else:
        yield StopFlag()
