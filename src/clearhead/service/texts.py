"""The inputs of a prediction, checked to be a list: one text alone would otherwise be taken for a list of letters."""

from __future__ import annotations

from collections.abc import Sequence

from clearhead.errors import ConfigurationError


def listed(inputs: Sequence[str]) -> list[str]:
    """``inputs`` as a list.

    Raises:
        ConfigurationError: it is one text.
    """
    if isinstance(inputs, (str, bytes)):
        raise ConfigurationError("expected a list of texts, got one text: write [text]")
    return list(inputs)
