"""An inspection gives what passed through the model: attentions, the stream between them, chosen parts, plain data."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as read_safetensors

from clearhead.errors import ConfigurationError, DataError
from clearhead.inspection.capture import inspecting
from clearhead.inspection.inspection import Choice, Inspection, inspect_forward
from clearhead.inspection.plain import PlainInspection

from .models import WORDS, model, words

TIGHT = {"rtol": 0, "atol": 1e-12}
SOURCE, TARGET = "▁der ▁Hund <script>".split(), "▁the ▁dog ▁barks </s>".split()


def inspection(choice: Choice | None = None, **changes: Any) -> Inspection:
    network, source, target = model(**changes), words(1, 3), words(1, 4)
    return inspect_forward(
        network,
        lambda: network.logits(source, target),
        SOURCE,
        TARGET,
        fed=["<s>", *TARGET[:-1]],
        choice=choice or Choice(),
    )


@pytest.mark.parametrize("order", ["pre", "post"])
@torch.no_grad()
def test_the_stream_is_what_entered_and_what_was_added(order: str) -> None:
    network, source, target = model(norm_order=order), words(2, 3), words(2, 4)
    with inspecting(network) as seen:
        network.logits(source, target)
    names = ["embedding", "0.self", "0.cross", "0.feedforward", "0", "1.self", "1.cross", "1.feedforward", "1", "final"]
    assert [name for name in seen.residual if name.startswith("decoder")] == [f"decoder.{name}" for name in names]
    assert seen.residual["decoder.1"] is seen.residual["decoder.1.feedforward"]
    around = network.decoder.blocks[0].around_self.norm
    added = seen["decoder.0.self"].addition()
    stream = seen.residual["decoder.embedding"] + added
    expected = around(stream) if order == "post" else stream
    torch.testing.assert_close(seen.residual["decoder.0.self"], expected, **TIGHT)
    if order == "pre":
        stream = seen.residual["decoder.1.cross"] + seen.networks["decoder.1.feedforward"]
        torch.testing.assert_close(seen.residual["decoder.1"], stream, **TIGHT)
    torch.testing.assert_close(network.output(seen.residual["decoder.final"]), network.logits(source, target), **TIGHT)


def test_maps_have_the_tokens_of_their_rows_and_columns() -> None:
    seen = inspection()
    assert seen.tokens("encoder.0.self").rows == tuple(SOURCE)
    assert seen.tokens("decoder.0.cross") == type(seen.tokens("decoder.0.cross"))(tuple(TARGET), tuple(SOURCE))
    assert seen.tokens("decoder.0.self").columns == ("<s>", "▁the", "▁dog", "▁barks")
    for name in seen.attentions:
        labels = seen.tokens(name)
        assert seen.weights(name).shape == (2, len(labels.rows), len(labels.columns))
        assert seen.scores(name).shape == seen.weights(name).shape
        assert seen.additions(name).shape == (2, len(labels.rows), 12)


def test_layers_and_heads_are_chosen() -> None:
    everything, chosen = inspection(), inspection(Choice(layers=[1], heads=[1]))
    assert list(chosen.attentions) == ["decoder.1.self", "decoder.1.cross"]
    assert set(chosen.residual) == {
        "encoder.embedding", "encoder.final", "decoder.embedding", "decoder.1.self", "decoder.1.cross",
        "decoder.1.feedforward", "decoder.1", "decoder.final",
    }  # fmt: skip
    with torch.no_grad():
        for name in chosen.attentions:
            assert chosen.weights(name).shape[0] == 1
            assert chosen.tile(name, (0, 2), (1, 3)).shape == (1, 2, 2)
            assert chosen.additions(name).shape == (1, 4, 12)
    assert len(everything.attentions) == 5
    for choice, said in [
        (Choice(layers=[2]), "layers: expected numbers from 0 to 1, got 2"),
        (Choice(heads=[0, -1]), "heads: expected numbers from 0 to 1, got -1"),
        (Choice(max_full=-1), "max_full must be a length of 0 or more, got -1"),
    ]:
        with pytest.raises(ConfigurationError, match=said):
            inspection(choice)


def test_a_long_map_comes_as_summary_and_rectangles() -> None:
    torch.manual_seed(0)
    short = inspection()
    torch.manual_seed(0)
    long = inspection(Choice(max_full=3))
    assert short.is_full("decoder.0.cross") and long.is_full("encoder.0.self") and not long.is_full("decoder.0.cross")
    with pytest.raises(ConfigurationError, match=r"the map of decoder.0.cross has 4 × 3 entries a head.*take summary"):
        long.weights("decoder.0.cross")
    weights = short.weights("decoder.0.cross")
    torch.testing.assert_close(long.tile("decoder.0.cross", (1, 4), (0, 2)), weights[:, 1:4, 0:2], **TIGHT)
    torch.testing.assert_close(long.summary("decoder.0.cross").received[0], weights.sum(1), **TIGHT)


@pytest.mark.parametrize("max_full", [512, 3])
def test_plain_data_is_json_and_a_frame_and_back(max_full: int) -> None:
    seen = inspection(Choice(max_full=max_full, heads=[1]))
    parts = ("weights", "scores", "q", "k", "v", "mixed", "additions", "residual", "logits")
    table = json.loads(json.dumps(seen.to_dict(parts), allow_nan=False))
    assert (table["format"], table["version"], table["target"]) == ("clearhead-inspection", 1, TARGET)
    cross = table["attentions"]["decoder.1.cross"]
    assert (cross["kind"], cross["queries"], cross["keys"], cross["heads"]) == ("cross", 4, 3, [1])
    assert cross["rows"] == TARGET and cross["columns"] == SOURCE
    assert ("weights" in cross) == (max_full == 512) == ("summary" not in cross)
    assert np.shape(cross["q"]) == (1, 4, 6) and np.shape(cross["k"]) == (2, 3, 6)
    assert np.shape(table["residual"]["decoder.1"]) == (4, 12) and np.shape(table["logits"]) == (4, WORDS)
    again = PlainInspection.from_frame(seen.to_frame(parts))
    assert again.to_dict() == seen.to_dict(parts)
    arrays = read_safetensors(seen.to_frame(parts))
    expected = seen["decoder.1.cross"].q[0, [1]].float()
    assert torch.equal(arrays["attentions/decoder.1.cross/q"], expected)


def test_nothing_but_what_is_asked_for_is_in_plain_data() -> None:
    plain = inspection().plain()
    assert set(plain.arrays) == {f"attentions/{name}/weights" for name in plain.attentions}
    with pytest.raises(ConfigurationError, match="there is no 'weigths' \\(did you mean 'weights'"):
        inspection().plain(["weigths"])


@pytest.mark.parametrize("frame", [b"", b"12345678", b"\x02\0\0\0\0\0\0\0{}", b"\x08\0\0\0\0\0\0\0{}      "])
def test_other_bytes_are_no_frame(frame: bytes) -> None:
    with pytest.raises(DataError, match="expected the frame of an inspection, got"):
        PlainInspection.from_frame(frame)


def test_a_newer_frame_is_refused() -> None:
    frame = inspection().to_frame().replace(b'\\"version\\": 1', b'\\"version\\": 2')
    with pytest.raises(DataError, match="version 1, got clearhead-inspection, version 2"):
        PlainInspection.from_frame(frame)


def test_in_a_notebook_it_shows_itself_and_runs_nothing() -> None:
    page = inspection()._repr_html_()
    assert page.count("<img") == 5 * 2
    assert "&lt;script&gt;" in page and "<script" not in page and "http" not in page
    assert "4 × 3<br>entropy" in inspection(Choice(max_full=3))._repr_html_()
