"""The face of an encoder without a task: vectors in the order of the texts, options checked, attentions by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.service.tasks.embedder import Embedder
from clearhead.service.verify import verify
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings

TEXTS = ["the cat sat on the mat", "a dog", "", "the dog and the cat and the mat and the dog and the cat"]


def embedder(**changes: object) -> Embedder:
    tokenizer = learn_tokenizer(TokenizerSettings(kind="characters", min_frequency=1), TEXTS)
    config = ModelConfig(
        architecture="encoder", width=12, heads=3, encoder_layers=2, feedforward=13, max_positions=29,
        source_vocabulary=tokenizer.size, target_vocabulary=tokenizer.size, head={"kind": "none"}, **changes,
    )  # fmt: skip
    return Embedder(build_model(config, seed=3).eval(), tokenizer)


def test_vectors_stand_in_the_order_of_the_texts_and_do_not_depend_on_the_batch() -> None:
    face = embedder()
    together = face.predict(TEXTS)
    for text, found in zip(TEXTS, together, strict=True):
        (alone,) = face.predict([text])
        assert found.input == text
        np.testing.assert_allclose(found.vector, alone.vector, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(found.vector), 1.0, atol=1e-6)
    assert [found.truncated for found in together] == [False, False, False, True]
    said = json.loads(json.dumps(together[1].as_dict()))
    assert [float(number) for number in said["text"].split()] == pytest.approx(said["vector"], rel=1e-6)
    assert face.predict([]) == []


def test_the_vector_is_the_mean_of_the_states() -> None:
    face = embedder()
    (found,) = face.predict(["a dog"], normalize=False)
    ids = face.tokenizer.symbols.surrounded(face.tokenizer.encode(["a dog"])[0])
    states = face.states(torch.tensor([ids]))[0]
    np.testing.assert_allclose(found.vector, states.mean(0).numpy(), atol=1e-6)
    (first,) = face.predict(["a dog"], normalize=False, pooling="first")
    np.testing.assert_allclose(first.vector, states[0].numpy(), atol=1e-6)


def test_options_are_checked() -> None:
    face = embedder()
    with pytest.raises(ConfigurationError, match=r"unknown key poling \(did you mean 'pooling'\?\)"):
        face.predict(["a"], poling="mean")
    with pytest.raises(ConfigurationError, match="this model has no pooling of its own"):
        face.predict(["a"], pooling="model")
    with pytest.raises(ConfigurationError, match="expected a list"):
        face.predict("a")
    with pytest.raises(ConfigurationError, match="no logits"):
        face.logits(torch.ones(1, 3, dtype=torch.int64))
    (short,) = face.predict(["a dog"], max_length=3)
    assert short.truncated
    assert embedder(pooling="first_tanh").predict(["a"], pooling="model")[0].vector.shape == (12,)


def test_every_attention_can_be_looked_at_and_verified() -> None:
    face = embedder()
    seen = face.inspect("a dog")
    assert list(seen.attentions) == ["encoder.0.self", "encoder.1.self"]
    assert seen.weights("encoder.1.self").shape == (3, len(seen.source), len(seen.source))
    assert seen.logits.shape == (len(seen.source), 0)
    assert face.view("a dog").answer == "a vector of 12 numbers"
    assert all(check.holds for check in verify(face))
