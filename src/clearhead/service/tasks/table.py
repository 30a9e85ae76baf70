"""The tasks, one line each. Beside this line a task has one in ``recipes.table`` and a starter recipe."""

from __future__ import annotations

from typing import Any

from clearhead.service.tasks.classification import ClassificationTask
from clearhead.service.tasks.imported import ContinuationTask, EmbeddingTask, TextToTextTask
from clearhead.service.tasks.language_modelling import LanguageModelTask
from clearhead.service.tasks.multilabel import MultilabelTask
from clearhead.service.tasks.tagging import TaggingTask
from clearhead.service.tasks.task import Task
from clearhead.service.tasks.translation import TranslationTask
from clearhead.service.tasks.vectors import VectorTask

FACES: dict[str, Any] = {  # of models that were not trained here
    "embedding": EmbeddingTask(),
    "text-to-text": TextToTextTask(),
    "continuation": ContinuationTask(),
}
TASKS: dict[str, Task[Any, Any, Any]] = {
    "translation": TranslationTask(),
    "tagging": TaggingTask(),
    "vector-tagging": VectorTask(per_vector=True),
    "vector-classification": VectorTask(per_vector=False),
    "classification": ClassificationTask(),
    "multilabel": MultilabelTask(),
    "language-model": LanguageModelTask(),
    **FACES,
}
