"""The room that special symbols around a sentence or a text leave for what is inside; what they are is a reader's."""

from __future__ import annotations

from clearhead.errors import ConfigurationError


def room_inside(longest: int, around: int) -> int:
    """Positions of ``longest`` that are left beside ``around`` ones of special symbols.

    Raises:
        ConfigurationError: none.
    """
    if longest <= around:
        raise ConfigurationError(
            f"data.max_length: expected more than {around}, which special symbols around every text take, got {longest}"
        )
    return longest - around
