"""What exports for engines have in common: settings they cannot compute, and tokenizers in files beside the model.

An engine is a program that runs models of its own kind, so there are no families to choose from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from clearhead.errors import ConfigurationError
from clearhead.service.published import LARGEST
from clearhead.service.run_folder import RunFolder
from clearhead.settings import Settings
from clearhead.strict_json import read_json
from clearhead.text.foreign import FORMAT


def refuse_family(family: str | None, target: str) -> None:
    """A family goes with another target.

    Raises:
        ConfigurationError: one is given.
    """
    if family is not None:
        raise ConfigurationError(f"--family goes with --to huggingface; got {family!r} with --to {target}")


def refuse_others(config: Settings, possible: Mapping[str, Sequence[object]], opening: str) -> None:
    """Refuse a setting whose value is none of those that are ``possible``; the sentence begins with ``opening``.

    Raises:
        ConfigurationError: the first setting that is in the way is named, with what is possible.
    """
    for name, values in possible.items():
        if (value := getattr(config, name)) not in values:
            said = ", ".join(repr(each) for each in values)
            raise ConfigurationError(f"{opening}: {name} must be {said}, but it is {value!r}")


def tokenizer_files(run: RunFolder) -> tuple[dict[str, Sequence[bytes | memoryview]], tuple[str, ...]]:
    """The run's tokenizers as the library tokenizers reads them, and sentences on those it cannot read."""
    files: dict[str, Sequence[bytes | memoryview]] = {}
    notes = []
    for path in sorted((run.path / "tokenizer").glob("*.json")):
        name, content = f"tokenizer-{path.name}", path.read_bytes()
        if FORMAT.encode() in content[:200]:
            table = read_json(path, max_bytes=LARGEST)
            if table.get("numbers") is None:
                content = json.dumps(table["tokenizer"], ensure_ascii=False, indent=1).encode() + b"\n"
            else:
                notes.append(
                    f"{name}: under tokenizer a file for the library tokenizers, whose pieces are numbered by numbers"
                )
        files[name] = [content]
    return files, tuple(notes)
