"""It learns: a tiny model learns to say sequences backwards, which takes order, cross-attention and an end."""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.training.loss import chunked_cross_entropy

PAD, START, END, FIRST, WORDS = 0, 2, 3, 4, 14
SHORTEST, LONGEST = 5, 8
CONFIG = ModelConfig(
    width=32, heads=4, feedforward=64, encoder_layers=1, decoder_layers=1, source_vocabulary=WORDS,
    target_vocabulary=WORDS, max_positions=16, dropout=0.0, positions="learned",
)  # fmt: skip


def batch(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences (B, 8) padded behind, their mask, and the same backwards with an end symbol (B, 9)."""
    lengths = torch.randint(SHORTEST, LONGEST + 1, (rows, 1))
    places = torch.arange(LONGEST + 1)
    source = torch.where(places[:-1] < lengths, torch.randint(FIRST, WORDS, (rows, LONGEST)), PAD)
    backwards = source.gather(1, (lengths - 1 - places).clamp(min=0).clamp(max=LONGEST - 1))
    target = torch.where(places < lengths, backwards, torch.where(places == lengths, END, PAD))
    return source, places[:-1] < lengths, target


def train(model: EncoderDecoder, updates: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-2, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.5e-2, total_steps=updates, pct_start=0.1)
    for _ in range(updates):
        source, mask, target = batch(64)
        begun = torch.cat((torch.full((64, 1), START), target[:, :-1]), dim=1)
        real = target != PAD
        states = model.hidden(source, begun, mask=mask)[real]
        loss = chunked_cross_entropy(states, model.output_weight, target[real], bias=model.output_bias)
        optimizer.zero_grad()
        (loss.total / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def greedy(model: EncoderDecoder, source: Tensor, mask: Tensor) -> Tensor:
    """The best token at each step, through the cache; what follows the end is padding."""
    state = model.begin(source, mask, beam=1, max_length=LONGEST + 1)
    token, said = torch.full((len(source), 1), START), []
    for _ in range(LONGEST + 1):
        token = model.advance(token, state).argmax(-1)
        said.append(token)
    answer = torch.cat(said, dim=1)
    ended = (answer == END).cumsum(1) - (answer == END).long()
    return answer.masked_fill(ended > 0, PAD)


def test_a_tiny_model_learns_to_say_it_backwards() -> None:
    model = build_model(CONFIG, seed=1)
    assert isinstance(model, EncoderDecoder)
    torch.manual_seed(1)
    source, mask, target = batch(200)
    assert (greedy(model, source, mask) == target).all(1).float().mean() < 0.05
    train(model, updates=350)
    right = (greedy(model.eval(), source, mask) == target).all(1).float().mean().item()
    assert right > 0.95, f"{right:.1%} of 200 new sequences"
