"""Trains: a recipe and a folder in, events out, a finished run folder at the end, whatever the task.

Everything before the first update (folder, vocabularies, corpus, model) is done or refused here; the steps are
``training.loop``'s. After the last step the kept weights are scored on the held-out sets as they will be used.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from clearhead.models.build import build_model
from clearhead.models.lora import merged_weights
from clearhead.recipes.read import read_recipe
from clearhead.recipes.schema import Recipe
from clearhead.recipes.write import recipe_to_toml
from clearhead.service.adapter import adapted, write_adapter
from clearhead.service.changes import refuse_changes
from clearhead.service.device import pick_device
from clearhead.service.events import CorpusReady, Scored
from clearhead.service.recorder import Recorder, is_due
from clearhead.service.report import build_report
from clearhead.service.room import refuse_too_large
from clearhead.service.run_folder import RunCard, RunFolder, write_text
from clearhead.service.start import Start, bring, complete
from clearhead.service.tasks.table import TASKS
from clearhead.service.tasks.task import Prepared, Task
from clearhead.service.trials.table import trial_of
from clearhead.training.events import Event, Finished, Started, Validated
from clearhead.training.job import TrainingJob
from clearhead.training.lock import only_user
from clearhead.training.loop import run as run_training
from clearhead.training.signals import StopFlag, stop_on_signals
from clearhead.training.weights import load_weights


def train(
    recipe: Recipe | str | Path, out: str | Path, *, resume: bool = False, accept_changes: bool = False
) -> Iterator[Event]:
    """Train ``recipe`` (a checked one, or the path of a file) into the run folder ``out``.

    Nothing is printed; take the events. With ``resume``, go on exactly where the run in ``out`` stopped; with
    ``accept_changes``, too, even where recipe, data, versions or threads are not those it was begun with.

    Raises:
        ConfigurationError: the recipe is wrong.
        DataError: a data file is missing, broken or misaligned; raised when the first event is asked for.
        RunError: ``out`` holds something already, or cannot be resumed as asked; nothing in it was changed.
    """
    checked = read_recipe(recipe) if isinstance(recipe, (str, Path)) else recipe
    checked = complete(checked, RunFolder(Path(out)) if resume else None)
    accepted = resume and accept_changes
    run = _resumed(out, checked, accept_changes=accepted) if resume else RunFolder.create(out, checked)
    return _Training(checked, run, TASKS[checked.task]).events(resume=resume, accept_changes=accepted)


def _resumed(out: str | Path, recipe: Recipe, *, accept_changes: bool) -> RunFolder:
    run = RunFolder.open(out)
    if not accept_changes:
        refuse_changes(run.recipe(), recipe)
    return run


@dataclass(frozen=True)
class _Training:
    """One recipe on its way into one folder."""

    recipe: Recipe
    run: RunFolder
    task: Task[Any, Any, Any]

    def events(self, *, resume: bool, accept_changes: bool) -> Iterator[Event]:
        """The whole way: data, training, scores, report."""
        began = time.perf_counter()
        with only_user(self.run.corpus):
            start = self._start()
            prepared = self.task.prepare(self.recipe, self.run, accept_changes=accept_changes)
        yield _corpus_ready(prepared, time.perf_counter() - began)
        refuse_too_large(prepared.model, training=True)
        held_out = self._held_out()
        model = self._model(prepared, start).to(pick_device())
        finished: Finished | None = None
        with _stop_flag() as stop:
            job = self._job(prepared, model, held_out.get("valid"), stop)
            steps = run_training(replace(job, resume=resume, accept_changes=accept_changes))
            for event in self._recorded(steps, prepared, model, held_out.get("valid")):
                if isinstance(event, Started):  # from here on the folder is ours alone
                    write_text(self.run.recipe_file, recipe_to_toml(self.recipe))
                if isinstance(event, Finished):
                    finished = event  # told last, after the scores
                else:
                    yield event
        if finished is not None:
            yield from self._finish(prepared, model, held_out, finished)
            if start is not None:
                start.forget()
            yield finished

    def _recorded(self, steps: Iterator[Event], prepared: Prepared, model: nn.Module, valid: Any) -> Iterator[Event]:
        """The events of a run, and what its heads do recorded after its validations, where the recipe wants that."""
        settings, recorder = self.recipe.recording, None
        if settings is None or valid is None:
            yield from steps
            return
        predictor = self.task.open(self.recipe, self.run, prepared.model)(model)
        with contextlib.ExitStack() as stack:
            for event in steps:
                yield event
                if isinstance(event, Started):
                    after = event.update if event.resumed else None
                    recorder = Recorder(self.run.path, settings, predictor, trial_of(predictor, valid), after)
                    stack.callback(recorder.close)
                if recorder and isinstance(event, Validated) and is_due(settings, self.recipe.training, event.update):
                    yield recorder.record(event.update)

    def _start(self) -> Start | None:
        """The model to start from, brought into the run folder."""
        origin = self.recipe.model.origin
        return None if origin is None else bring(origin, self.run, self.recipe.task)

    def _model(self, prepared: Prepared, start: Start | None) -> nn.Module:
        """A new model; with the weights, and the adapters, that the recipe speaks of."""
        model = build_model(prepared.model, seed=self.recipe.seed)
        if start is not None:
            start.fill(model, prepared.model, (self.recipe.task, prepared.labels))
        return adapted(model, self.recipe, prepared.model)

    def _held_out(self) -> dict[str, Any]:
        """The held-out sets that the recipe names, read before training so that a broken file is known at once."""
        found = {split: self.task.read(self.recipe, split) for split in ("valid", "test")}
        return {split: data for split, data in found.items() if data is not None}

    def _job(self, prepared: Prepared, model: nn.Module, valid: Any, stop: StopFlag) -> TrainingJob:
        predictor = self.task.open(self.recipe, self.run, prepared.model)(model)
        return TrainingJob(
            model=model,
            corpus=prepared.corpus,
            objective=self.task.objective(self.recipe, prepared),
            settings=self.recipe.training,
            out=self.run.path,
            seed=self.recipe.seed,
            validate=None if valid is None else lambda _: self.task.validate(predictor, valid, stop),
            stop=stop,
            final_weights=merged_weights,
            identity=self._identity(prepared),
        )

    def _identity(self, prepared: Prepared) -> dict[str, str]:
        """What decides the outcome beside the settings of training: sizes, vocabularies, what the model starts from."""
        start, lora = Start.of(self.run), self.recipe.model.lora
        adapters = {} if lora is None else {"model.lora": lora.model_dump_json()}
        return {
            "model": json.dumps(prepared.model.model_dump(), sort_keys=True),
            **prepared.identity,
            **({} if start is None else start.identity),
            **adapters,
        }

    def _finish(
        self, prepared: Prepared, model: nn.Module, held_out: dict[str, Any], finished: Finished
    ) -> Iterator[Scored]:
        """Record the weights' checksum, decide what is left to decide, score the held-out sets, write the report."""
        self.run.write_card(RunCard(task=self.recipe.task, model=prepared.model, weights_sha256=finished.sha256))
        trained, model = model, self._merged(prepared, model)
        model.eval()
        wrap = self.task.open(self.recipe, self.run, prepared.model)
        self.task.settle(wrap(model), held_out.get("valid"), self.run)
        predictor = self.task.open(self.recipe, self.run, prepared.model)(model)
        scored = []
        for data in held_out.values():
            scored.append(replace(self.task.score(predictor, data, {}), update=finished.update))
            yield scored[-1]
        if self.recipe.model.lora is not None:
            write_adapter(self.recipe, self.run, prepared.model, trained)
        self.run.write_report(build_report(self.recipe, self.run, prepared, finished, scored))

    def _merged(self, prepared: Prepared, model: nn.Module) -> nn.Module:
        """The ordinary model that ``model`` comes to: itself, where there are no adapters in it."""
        if self.recipe.model.lora is None:
            return model
        ordinary = build_model(prepared.model, seed=0)
        load_weights(ordinary, merged_weights(model), "the merged weights")
        return ordinary.to(next(model.parameters()).device)


def _corpus_ready(prepared: Prepared, seconds: float) -> CorpusReady:
    dropped, noted = (
        {reason: entry["count"] for reason, entry in prepared.corpus.ledger[kind].items()}
        for kind in ("dropped", "noted")
    )
    return CorpusReady(
        0, len(prepared.corpus), prepared.unit, prepared.counted, dropped, noted, prepared.vocabularies, seconds
    )


@contextlib.contextmanager
def _stop_flag() -> Iterator[StopFlag]:
    """A flag that Ctrl-C and SIGTERM set where this is the main thread, and that nobody sets elsewhere."""
    if threading.current_thread() is threading.main_thread():
        with stop_on_signals() as stop:
            yield stop
    else:
        yield StopFlag()
