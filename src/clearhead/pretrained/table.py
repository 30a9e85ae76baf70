"""All families that are read and written, by their ``model_type``."""

from __future__ import annotations

from clearhead.errors import ConfigurationError, nearest
from clearhead.pretrained.bart import BART
from clearhead.pretrained.bert import BERT
from clearhead.pretrained.distilbert import DISTILBERT
from clearhead.pretrained.family import Family
from clearhead.pretrained.gpt2 import GPT2
from clearhead.pretrained.llama import LLAMA
from clearhead.pretrained.marian import MARIAN
from clearhead.pretrained.mistral import MISTRAL
from clearhead.pretrained.published import Published
from clearhead.pretrained.qwen import QWEN2, QWEN3
from clearhead.pretrained.roberta import ROBERTA
from clearhead.pretrained.t5 import T5

FAMILIES: dict[str, Family] = {
    family.name: family for family in (BERT, ROBERTA, DISTILBERT, GPT2, LLAMA, MISTRAL, QWEN2, QWEN3, MARIAN, BART, T5)
}


def family_of(settings: Published) -> Family:
    """The family that the setting ``model_type`` names.

    Raises:
        ConfigurationError: it is missing, or no family here; the nearest is named.
    """
    name = settings.settings.get("model_type")
    if not isinstance(name, str) or name not in FAMILIES:
        close = nearest(name, FAMILIES) if isinstance(name, str) else ""
        raise ConfigurationError(
            f"{settings.where}: model_type: expected one of {', '.join(FAMILIES)}, got {name!r}{close}"
        )
    return FAMILIES[name]
