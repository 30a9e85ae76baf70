"""A translator as a directory that CTranslate2 reads: its weights under the names of that engine, its vocabularies.

CTranslate2 describes a Transformer as a tree of layers ("specs") whose leaves are arrays; here that tree is filled from
a model of ours, and what the engine has no place for is refused by name before anything is written. The rest of its
format (one binary file, a config.json, vocabularies as JSON) is written by the engine's own package.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from clearhead.errors import ConfigurationError, need
from clearhead.models.config import ModelConfig
from clearhead.service.engines import refuse_family, refuse_others, tokenizer_files
from clearhead.service.load import load
from clearhead.service.published import Written
from clearhead.service.run_folder import RunFolder
from clearhead.symbols import HOUSE
from clearhead.text.tokenizer import END, SPECIAL_PIECES, START, UNKNOWN, Tokenizer

ACTIVATIONS = {
    "relu": "RELU",
    "gelu": "GELU",
    "gelu_tanh": "GELUTanh",
    "silu": "SWISH",
    "reglu": "RELU",
    "geglu": "GELU",
    "geglu_tanh": "GELUTanh",
    "swiglu": "SWISH",
}
ONLY: dict[str, tuple[object, ...]] = {
    "architecture": ("encoder-decoder",),
    "body": ("transformer",),
    "score": ("scaled_dot",),
    "normalizer": ("softmax",),
    "norm": ("layer", "rms"),
    "positions": ("sinusoidal", "sinusoidal_halves", "learned"),
    "window": (None,),
    "mask_self": (False,),
    "kept_heads": (None,),
    "query_key_norm": (False,),
    "activation": tuple(ACTIVATIONS),
}


def ctranslate2(run: RunFolder, family: str | None) -> Written:
    """The run as a directory of this engine.

    Raises:
        ConfigurationError: CTranslate2 has no such model; the setting that is in the way is named.
        MissingExtraError: the package ctranslate2 is not installed.
        RunError: the run is not finished, or damaged.
    """
    refuse_family(family, "ctranslate2")
    card = run.card()
    check(card.model)
    source, target = run.tokenizers()
    if (source.symbols, target.symbols) != (HOUSE, HOUSE):
        raise ConfigurationError(
            "--to ctranslate2 takes translators with the special symbols of this house (padding 0, unknown 1, start 2, "
            "end 3); this run's vocabulary has others: its published files are for CTranslate2's own converters"
        )
    model = load(run.path, device="cpu").model
    spec = specified(model, card.model)
    files = _written(spec, source, target, card.model.norm_epsilon)
    return Written("a Transformer of CTranslate2", files | tokenizer_files(run)[0])


def check(config: ModelConfig) -> None:
    """Refuse what CTranslate2 cannot compute.

    Raises:
        ConfigurationError: the first setting that is in the way is named, with what is possible.
    """
    refuse_others(config, ONLY, "CTranslate2 has no such model")
    for name, value, wanted in (
        ("value_width", config.value_head_width, config.head_width),
        ("key_value_heads", config.kv_heads, config.heads),
        ("heads times the width of a head", config.heads * config.head_width, config.width),
        ("final_norm", config.ends_in_norm, config.norm_order == "pre"),
        ("input.segments", config.input.segments, 0),
        ("input.skip_padding", config.input.skip_padding, False),
        ("head.scale", config.head.scale, 1.0),
    ):
        if value != wanted:
            raise ConfigurationError(f"CTranslate2 has no such model: {name} must be {wanted} here, but it is {value}")


def specified(model: nn.Module, config: ModelConfig) -> Any:
    """The engine's tree of layers, filled with the weights of ``model``."""
    specs = need("ctranslate2.specs", "ctranslate2")
    spec = specs.TransformerSpec.from_config(
        (config.encoder_layers, config.decoder_layers),
        config.heads,
        pre_norm=config.norm_order == "pre",
        activation=getattr(specs.Activation, ACTIVATIONS[config.activation]),
        ffn_glu=config.activation.endswith(("glu", "glu_tanh")),
        rms_norm=config.norm == "rms",
        layernorm_embedding=config.input.norm,
    )
    _embedding(spec.encoder, spec.encoder.embeddings[0], model.get_submodule("encoder.embedding"))
    _embedding(spec.decoder, spec.decoder.embeddings, model.get_submodule("decoder.embedding"))
    for side in ("encoder", "decoder"):
        for number, layer in enumerate(getattr(spec, side).layer):
            _block(layer, model.get_submodule(f"{side}.blocks.{number}"))
        if config.norm_order == "pre":
            _norm(getattr(spec, side).layer_norm, model.get_submodule(f"{side}.norm"))
    _linear(spec.decoder.projection, model.get_submodule("output"))
    return spec


def _embedding(stack: Any, rows: Any, embedding: nn.Module) -> None:
    """Rows of tokens, multiplied by their scale beforehand, and rows of positions."""
    scale: Any = embedding.scale
    rows.weight = _array(embedding.get_submodule("tokens").weight * scale)
    stack.scale_embeddings = False
    positions: Any = embedding.get_submodule("positions")
    limit: Any = embedding.limit
    stack.position_encodings.encodings = _array(positions(0, limit))
    if embedding.norm is not None:
        _norm(stack.layernorm_embedding, embedding.get_submodule("norm"))


def _block(layer: Any, block: nn.Module) -> None:
    """Self-attention, cross-attention where there is one, feed-forward, each with the norm around it."""
    own = layer.self_attention
    _linear(own.linear[0], block.get_submodule("self_attention.query_key_value"))
    _linear(own.linear[1], block.get_submodule("self_attention.output"))
    _norm(own.layer_norm, block.get_submodule("around_self.norm"))
    if hasattr(layer, "attention"):
        for place, name in enumerate(("query", "key_value", "output")):
            _linear(layer.attention.linear[place], block.get_submodule(f"cross_attention.{name}"))
        _norm(layer.attention.layer_norm, block.get_submodule("around_cross.norm"))
    _feedforward(layer.ffn, block.get_submodule("feedforward"))
    _norm(layer.ffn.layer_norm, block.get_submodule("around_feedforward.norm"))


def _feedforward(spec: Any, network: nn.Module) -> None:
    """The engine keeps gate and value of a gated network as two matrices; here they are one, gate first."""
    if hasattr(spec, "linear_0_noact"):
        packed: Any = network.get_submodule("gate_into")
        biases = (None, None) if packed.bias is None else packed.bias.chunk(2)
        for place, weight, bias in zip(
            (spec.linear_0, spec.linear_0_noact), packed.weight.chunk(2), biases, strict=True
        ):
            _fill(place, weight, bias)
    else:
        _linear(spec.linear_0, network.get_submodule("into"))
    _linear(spec.linear_1, network.get_submodule("out"))


def _linear(spec: Any, linear: nn.Module) -> None:
    found: Any = linear
    _fill(spec, found.weight, found.bias)


def _fill(spec: Any, weight: Tensor, bias: Tensor | None) -> None:
    spec.weight = _array(weight)
    if bias is not None:
        spec.bias = _array(bias)


def _norm(spec: Any, norm: nn.Module) -> None:
    found: Any = norm
    spec.gamma = _array(found.weight)
    if hasattr(spec, "beta"):
        spec.beta = _array(found.bias)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().float().contiguous().numpy()


def _written(
    spec: Any, source: Tokenizer, target: Tokenizer, epsilon: float
) -> dict[str, Sequence[bytes | memoryview]]:
    """The files that the engine's package writes."""
    spec.register_source_vocabulary(source.vocabulary())
    spec.register_target_vocabulary(target.vocabulary())
    config = spec.config
    config.unk_token, config.bos_token, config.eos_token = (SPECIAL_PIECES[each] for each in (UNKNOWN, START, END))
    config.decoder_start_token = SPECIAL_PIECES[START]
    config.add_source_bos, config.add_source_eos = False, True
    config.layer_norm_epsilon = epsilon
    with tempfile.TemporaryDirectory() as folder:
        spec.validate()
        spec.save(folder)
        return {path.name: [path.read_bytes()] for path in sorted(Path(folder).iterdir())}
