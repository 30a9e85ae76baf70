"""Every attention head of a model on one input: how far it spreads, and how much it adds to what it reads.

Run with ``python examples/every_head.py RUN [TEXT]``, where RUN is a run folder such as the one ``make demo`` leaves.
"""

from __future__ import annotations

import sys

import torch

import clearhead


@torch.no_grad()
def main(run: str, text: str) -> None:
    """A line for each head: entropy of its weights in nats (0 = one place), and the length of what it adds."""
    seen = clearhead.load(run).inspect(text)
    print(f"{'attention':<18}{'head':>4}{'entropy':>10}{'adds':>10}")
    for name, record in seen.attentions.items():
        weights_HTS = seen.weights(name)
        entropy_H = torch.special.entr(weights_HTS).sum(-1).mean(-1)
        adds_H = record.additions()[0].norm(dim=-1).mean(-1)
        for head, (entropy, adds) in enumerate(zip(entropy_H.tolist(), adds_H.tolist(), strict=True)):
            print(f"{name:<18}{head:>4}{entropy:>10.2f}{adds:>10.2f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "5. listopada 2021.")
