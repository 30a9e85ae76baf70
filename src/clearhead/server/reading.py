"""From a parsed body to a checked request: the schema, then the limits; what is wrong is said in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from clearhead.recipes.sentences import explain
from clearhead.server.job import extent
from clearhead.server.refusal import Refusal
from clearhead.server.settings import Limits
from clearhead.settings import Settings

Asked = TypeVar("Asked", bound=Settings)


def read_as(kind: type[Asked], table: dict[str, object]) -> Asked:
    """The request in ``table``.

    Raises:
        Refusal: 422, with the field, what was expected and what came.
    """
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        raise Refusal(422, explain(error, kind, "the body")) from None


def refuse_too_much(inputs: Sequence[Any], limits: Limits) -> None:
    """Refuse more inputs than a request may have, or one that is too long.

    Raises:
        Refusal: 413.
    """
    if len(inputs) > limits.texts:
        raise Refusal(413, f"expected at most {limits.texts} inputs a request, got {len(inputs)}")
    for number, each in enumerate(inputs, start=1):
        if (size := extent(each)) > limits.characters:
            raise Refusal(
                413, f"input {number}: expected at most {limits.characters} characters or numbers, got {size}"
            )


def note_texts(request: Request, inputs: Sequence[Any]) -> None:
    """For the journal: how many inputs, how much text; never which."""
    request.scope["clearhead.facts"] |= {"texts": len(inputs), "characters": sum(map(extent, inputs))}
