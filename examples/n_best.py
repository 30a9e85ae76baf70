"""Several answers to one input, each with its probability and with the piece the model was least sure of.

Run with ``python examples/n_best.py RUN [TEXT]``, where RUN is a run folder such as the one ``make demo`` leaves.
"""

from __future__ import annotations

import math
import sys

import clearhead


def main(run: str, text: str) -> None:
    """Print the four best hypotheses of a beam search, then four random draws at a higher temperature."""
    model = clearhead.load(run)
    found = model.predict([text], beam=8, n_best=4)[0]
    print(f"beam search for {text!r}")
    for answer in found.alternatives:
        weakest = min(answer.token_log_probabilities)
        print(
            f"  {answer.text:<14} p = {math.exp(answer.log_probability):.4f}, least sure step {math.exp(weakest):.4f}"
        )
    print("draws at temperature 2")
    for answer in model.predict([text], sample=True, temperature=2.0, n_best=4, seed=1)[0].alternatives:
        print(f"  {answer.text:<14} p = {math.exp(answer.log_probability):.4f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "5. listopada 2021.")
