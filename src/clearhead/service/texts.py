"""The inputs of a prediction, checked to be a list: one text alone would otherwise be taken for a list of letters."""

from __future__ import annotations

from collections.abc import Sequence

from clearhead.errors import ConfigurationError, DataError


def listed(inputs: Sequence[str]) -> list[str]:
    """``inputs`` as a list.

    Raises:
        ConfigurationError: it is one text.
        DataError: an input is no text.
    """
    if isinstance(inputs, (str, bytes)):
        raise ConfigurationError("expected a list of texts, got one text: write [text]")
    texts = list(inputs)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise DataError(f"text {number} of {len(texts)} should be a string, but it is a {type(text).__name__}")
    return texts
