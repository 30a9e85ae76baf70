"""The tasks, one line each. Beside this line a task has one in ``recipes.table`` and a starter recipe."""

from __future__ import annotations

from typing import Any

from clearhead.service.tasks.task import Task
from clearhead.service.tasks.translation import TranslationTask

TASKS: dict[str, Task[Any, Any, Any]] = {
    "translation": TranslationTask(),
}
