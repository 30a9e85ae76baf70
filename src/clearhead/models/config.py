"""What a model is, in one small frozen value: enough to build it, count it and estimate it, allocating nothing."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.errors import nearest
from clearhead.models.details import BiasSettings, BucketSettings, HeadSettings, InputSettings, RotarySettings
from clearhead.settings import Settings

Architecture = Literal["encoder-decoder", "encoder", "decoder"]
Body = Literal["transformer", "lstm"]
Score = Literal["dot", "scaled_dot", "additive", "bilinear"]
Normalizer = Literal["softmax", "relu", "relu_mean", "sigmoid", "sparsemax", "entmax15"]
Positions = Literal["sinusoidal", "sinusoidal_halves", "learned", "rotary", "alibi", "t5", "none"]
Activation = Literal["relu", "gelu", "gelu_tanh", "silu", "reglu", "geglu", "geglu_tanh", "swiglu"]
Norm = Literal["layer", "rms", "batch", "none"]
NormOrder = Literal["pre", "post"]
Pooling = Literal["none", "mean", "first", "first_tanh", "attention"]
WordPooling = Literal["first", "mean"]
Ties = Literal["all", "embeddings", "target", "none"]
Initialisation = Literal[
    "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "normal", "depth_scaled"
]

Size = Annotated[int, Field(ge=1, le=1 << 20)]
Layers = Annotated[int, Field(ge=0, le=1024)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]

GATED = ("reglu", "geglu", "geglu_tanh", "swiglu")
OF_ATTENTION = ("positions", "score", "score_width", "normalizer", "window", "mask_self")  # what an LSTM has not
OF_TRANSFORMERS = ("biases", "input", "rotary", "buckets", "head", "query_key_norm", "final_norm", "kept_heads")
OF_ENCODERS = ("input_width", "pooling", "ngram_buckets", "token_dropout")


class ModelConfig(Settings):
    """Sizes and choices of one model. Vocabulary sizes and ``classes`` are counted, not written by a recipe's author.

    ``architecture``: "encoder-decoder" (sequence to sequence), "encoder" (``classes`` a position, or a sequence where
    ``pooling`` says so; its input is tokens, or vectors of ``input_width``), "decoder" (a language model of the target
    vocabulary). ``body``: a Transformer, or an LSTM of the same width and layers to compare it with, which has no use
    for heads, feed-forward networks and norms.
    ``tie`` says which matrices are one: "all" (source embedding = target embedding = output, needs one shared
    vocabulary; section 3.4 of arXiv 1706.03762), "embeddings" (the first two), "target" (the last two), "none".
    ``window`` lets a position see at most so many neighbours on each side, ``mask_self`` hides it from itself.
    ``query_key_norm`` puts every head's queries and keys through RMSNorm with a learned gain before they are turned
    (Qwen3). ``final_norm`` says whether a norm ends each stack; when left out, a pre-norm stack has one. The tables
    ``biases``, ``input``, ``rotary``, ``buckets`` and ``head`` are ``models.details``'. ``kept_heads`` says by
    attention (``decoder.3.cross``) which of its ``heads`` are left, from 0, where some were pruned.
    """

    architecture: Architecture = "encoder-decoder"
    body: Body = "transformer"
    width: Size = 128
    encoder_layers: Layers = 4
    decoder_layers: Layers = 4
    heads: Size = 4
    key_value_heads: Size | None = None
    kept_heads: dict[str, list[int]] | None = None
    key_width: Size | None = None
    value_width: Size | None = None
    score: Score = "scaled_dot"
    score_width: Size | None = None
    normalizer: Normalizer = "softmax"
    window: Annotated[int, Field(ge=0, le=1 << 20)] | None = None
    mask_self: bool = False
    feedforward: Size = 256
    activation: Activation = "relu"
    norm: Norm = "layer"
    norm_order: NormOrder = "pre"
    norm_epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    final_norm: bool | None = None
    query_key_norm: bool = False
    biases: BiasSettings = BiasSettings()
    positions: Positions = "sinusoidal"
    max_positions: Size = 1024
    rotary: RotarySettings = RotarySettings()
    buckets: BucketSettings = BucketSettings()
    input: InputSettings = InputSettings()
    dropout: Probability = 0.1
    embedding_dropout: Probability | None = None
    attention_dropout: Probability = 0.0
    feedforward_dropout: Probability = 0.0
    token_dropout: Probability = 0.0
    pooling: Pooling = "none"
    word_pooling: WordPooling = "first"
    input_width: Size | None = None
    ngram_buckets: Annotated[int, Field(ge=0, le=1 << 24)] = 0
    head: HeadSettings = HeadSettings()
    tie: Ties = "all"
    initialisation: Initialisation = "xavier_uniform"
    initial_std: Annotated[float, Field(gt=0, le=10)] = 0.02
    source_vocabulary: Size = 8000
    target_vocabulary: Size = 8000
    classes: Size = 2

    @property
    def kv_heads(self) -> int:
        """G, the number of key/value heads; H unless grouped."""
        return self.key_value_heads or self.heads

    @property
    def head_width(self) -> int:
        """D, query and key width of one head."""
        return self.key_width or self.width // self.heads

    @property
    def value_head_width(self) -> int:
        """M, value width of one head."""
        return self.value_width or self.width // self.heads

    @property
    def hidden_of_score(self) -> int:
        """E, the width inside the tanh of the additive score."""
        return self.score_width or self.head_width

    @property
    def one_embedding(self) -> bool:
        """Whether source and target have one embedding."""
        return self.tie in ("all", "embeddings")

    @property
    def output_is_embedding(self) -> bool:
        """Whether the output matrix is the embedding of what is written."""
        return self.tie in ("all", "target")

    @property
    def ends_in_norm(self) -> bool:
        """Whether a norm ends each stack: in pre-norm nothing else normalises the stream."""
        return self.norm_order == "pre" if self.final_norm is None else self.final_norm

    @property
    def output_bias(self) -> bool:
        """Whether the output matrix has a bias."""
        return self.architecture == "encoder" if self.biases.output is None else self.biases.output

    def attentions(self) -> list[str]:
        """The names of all attentions of a Transformer: ``encoder.0.self``, ``decoder.3.cross``, …"""
        both = self.architecture == "encoder-decoder"
        encoder = 0 if self.architecture == "decoder" else self.encoder_layers
        decoder = 0 if self.architecture == "encoder" else self.decoder_layers
        kinds = ("self", "cross") if both else ("self",)
        found = [f"encoder.{layer}.self" for layer in range(encoder)]
        return found + [f"decoder.{layer}.{kind}" for layer in range(decoder) for kind in kinds]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self._check_heads()
        self._check_kept()
        self._check_score()
        self._check_positions()
        self._check_ties()
        self._check_encoder()
        self._check_head()
        self._check_body()
        return self

    def _check_heads(self) -> None:
        if self.body == "lstm":
            return
        if (self.key_width is None or self.value_width is None) and self.width % self.heads:
            raise ValueError(
                f"width {self.width} cannot be cut into {self.heads} equal heads: choose heads that divide width, "
                "or give key_width and value_width"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"key_value_heads {self.kv_heads} must divide heads {self.heads}")
        if self.query_key_norm and self.score == "additive":
            raise ValueError('query_key_norm is for scores that are products, but score is "additive": leave it out')
        if self.positions == "rotary" and self.head_width % 2:
            raise ValueError(
                f'positions = "rotary" turns pairs of columns, so the width of keys must be even, '
                f"got {self.head_width}: choose another key_width"
            )

    def _check_kept(self) -> None:
        for name, kept in (self.kept_heads or {}).items() if self.body == "transformer" else ():
            if name not in self.attentions():
                raise ValueError(f"kept_heads: this model has no attention {name!r}{nearest(name, self.attentions())}")
            if not kept or kept != sorted(set(kept)) or kept[0] < 0 or kept[-1] >= self.heads:
                raise ValueError(
                    f"kept_heads: of {name} expected at least one number from 0 to {self.heads - 1}, rising, got {kept}"
                )

    def _check_score(self) -> None:
        if self.score_width is not None and self.score != "additive":
            raise ValueError(
                f'score_width is the width inside the additive score, but score is "{self.score}": leave it out'
            )

    def _check_positions(self) -> None:
        for name, kind in (("rotary", "rotary"), ("buckets", "t5")):
            if self.positions != kind:
                self._refuse_changed(name, f'needs positions = "{kind}", got "{self.positions}"')
        if self.input.first_position and self.positions != "learned":
            raise ValueError(
                f'input.first_position is about learned positions, got positions = "{self.positions}": leave it out'
            )
        if self.input.norm and self.norm == "batch":
            raise ValueError('input.norm goes by single positions, but norm is "batch": leave one of them out')

    def _check_ties(self) -> None:
        both = self.architecture == "encoder-decoder"
        if not both and self.tie == "embeddings":
            raise ValueError(f'tie = "embeddings" needs two sides, but architecture is "{self.architecture}"')
        if both and self.one_embedding and self.source_vocabulary != self.target_vocabulary:
            raise ValueError(
                f'tie = "{self.tie}" needs one shared vocabulary, but the source has '
                f"{self.source_vocabulary} entries and the target {self.target_vocabulary}"
            )

    def _check_encoder(self) -> None:
        if self.architecture != "encoder":
            for name in OF_ENCODERS:
                self._refuse_changed(name, f'needs architecture = "encoder", got "{self.architecture}"')
            for name, value in (("segments", self.input.segments), ("skip_padding", self.input.skip_padding)):
                if value:
                    raise ValueError(f'input.{name} needs architecture = "encoder", got "{self.architecture}"')
        if self.input_width is not None:
            for name in ("ngram_buckets", "token_dropout"):
                self._refuse_changed(
                    name, f"is about tokens, but with input_width {self.input_width} the input is vectors"
                )
        if self.ngram_buckets == 1:
            raise ValueError("ngram_buckets must be 0 (none) or at least 2, as number 0 stands for no n-gram, got 1")

    def _check_head(self) -> None:
        if self.architecture != "encoder" and self.head.kind != "classes":
            raise ValueError(f'head.kind needs architecture = "encoder", got "{self.architecture}": leave it out')
        if self.architecture == "encoder" and self.head.scale != 1.0:
            raise ValueError('head.scale is for an output over words, but architecture is "encoder": leave it out')
        if self.head.kind == "vocabulary" and (self.pooling != "none" or self.input_width is not None):
            raise ValueError(
                'head.kind = "vocabulary" scores tokens, one at each position: leave out pooling and input_width'
            )

    def _check_body(self) -> None:
        if self.body != "lstm":
            return
        for name in OF_TRANSFORMERS:
            self._refuse_changed(name, 'belongs to Transformers, but body is "lstm"')
        for name in OF_ATTENTION:
            self._refuse_changed(name, 'belongs to self-attention, but body is "lstm"')
        if self.architecture != "decoder" and self.width % 2:
            raise ValueError(
                f'body = "lstm" reads both ways, each with half of the width, so it must be even, got {self.width}'
            )
        layers = {"encoder": (self.encoder_layers,), "decoder": (self.decoder_layers,)}
        if 0 in layers.get(self.architecture, (self.encoder_layers, self.decoder_layers)):
            raise ValueError('body = "lstm" needs at least one layer on each side, got 0')

    def _refuse_changed(self, name: str, why: str) -> None:
        """Refuse a setting that has no meaning here, unless it stands at its default."""
        value, default = getattr(self, name), type(self).model_fields[name].default
        if value != default:
            shown = name if isinstance(value, Settings) else f"{name} = {value!r}"
            raise ValueError(f"{name} {why}: leave {shown} out")
