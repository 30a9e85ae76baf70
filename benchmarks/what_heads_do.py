"""What the heads of a translator do, in numbers: where they look, and how well each aligns words.

    python benchmarks/what_heads_do.py --run RUN --name multi30k --pairs 200 --words ein eine einen einem einer eines

Over the first pairs of RUN's validation data with their references, one at a time: shares of the weight by place
(``inspection.measures``), and for each head of cross-attention how predictable the words it links are
(``inspection.alignment``), read at the row that writes a piece and at the row that has just read it; and by how much
the loss rises without it where one of --words is to be written, and elsewhere. The result goes to
benchmarks/results/what-heads-do-NAME.json.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from duel import write_result
from torch.nn import functional

from clearhead.data.batch import PairBatch
from clearhead.inspection.ablate import without_heads
from clearhead.inspection.alignment import NONE, links_of, predictability
from clearhead.inspection.measures import Measures, measure, together
from clearhead.inspection.seams import seams
from clearhead.service.evaluate import held_out_of
from clearhead.service.load import load
from clearhead.service.look import SPACE
from clearhead.service.tasks.translation import loss_batches
from clearhead.text.tokenizer import SPECIAL_PIECES

SHARES = ("entropy", "distance", "diagonal", "previous", "next", "first", "marked")
Sentence = tuple[set[tuple[int, int]], Sequence[str], Sequence[str]]


def main() -> None:
    """Look, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--name", required=True, help="of the result: what-heads-do-NAME.json")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--words", nargs="+", default=[])
    arguments = parser.parse_args()
    translator: Any = load(arguments.run, device="cpu")
    whole: Any = held_out_of(arguments.run, (), ("valid",))
    data = replace(whole, sources=whole.sources[: arguments.pairs], references=whole.references[: arguments.pairs])
    seen: defaultdict[str, list[Measures]] = defaultdict(list)
    linked: defaultdict[tuple[str, int, int], list[Sentence]] = defaultdict(list)
    for source, target in zip(data.sources, data.references, strict=True):
        view = translator.inspect(source, target)
        for name, record in view.attentions.items():
            keys = view.source if name.endswith("cross") or name.startswith("encoder") else view.fed
            seen[name].append(measure(record, torch.tensor([is_mark(piece) for piece in keys])))
        (left, left_words), (right, right_words) = words_of(view.source), words_of(view.target)
        for name in view.named("cross"):
            for head, weights in enumerate(view.weights(name)):
                for shift in (0, 1):
                    links = links_of(weights, left, right, shift=shift)
                    linked[name, head, shift].append((links, left_words, right_words))
    heads = [row for name, each in seen.items() for row in rows(name, together(each), linked)]
    told = {"run": arguments.run.name, "pairs": arguments.pairs, "heads": heads}
    if arguments.words:
        told |= {"words": arguments.words, "without_a_head": by_word(translator, data, arguments.words)}
    write_result(f"what-heads-do-{arguments.name}", told)


def by_word(translator: Any, data: Any, words: Sequence[str]) -> list[dict[str, Any]]:
    """Loss where one of ``words`` is to be written and elsewhere: of the whole model, then without each cross head."""
    pieces = translator.task.target.pieces(range(translator.task.target.size))
    wanted = torch.tensor([pieces.index(SPACE + word) for word in words if SPACE + word in pieces])
    batches = loss_batches(translator, data)
    base = losses(translator.model, batches, wanted)
    found: list[dict[str, Any]] = [{"name": "", "words": round(base[0], 4), "elsewhere": round(base[1], 4)}]
    for name, seam in seams(translator.model).items():
        for head in range(seam.heads if name.endswith("cross") else 0):
            with without_heads(translator.model, {name: [head]}):
                here, elsewhere = losses(translator.model, batches, wanted)
            rises = {"words": round(here - base[0], 4), "elsewhere": round(elsewhere - base[1], 4)}
            found.append({"name": name, "head": head, **rises})
    return found


@torch.inference_mode()
def losses(model: Any, batches: Sequence[PairBatch], wanted: torch.Tensor) -> tuple[float, float]:
    """Mean loss at targets that are ``wanted``, and at the others."""
    sums, counts = [0.0, 0.0], [0, 0]
    for batch in batches:
        states = model.hidden(batch.source, batch.target_in, mask=batch.source_mask)[batch.target_mask]
        targets = batch.target_out[batch.target_mask]
        nll = functional.cross_entropy(functional.linear(states, model.output_weight), targets, reduction="none")
        here = torch.isin(targets, wanted)
        for place, chosen in enumerate((here, ~here)):
            sums[place] += float(nll[chosen].sum())
            counts[place] += int(chosen.sum())
    return sums[0] / max(counts[0], 1), sums[1] / max(counts[1], 1)


def rows(name: str, found: Measures, linked: dict[tuple[str, int, int], list[Sentence]]) -> list[dict[str, Any]]:
    """A table of every head of one attention."""
    table = found.as_dict()
    made = []
    for head in range(len(table["entropy"])):
        row: dict[str, Any] = {"name": name, "head": head} | {each: round(table[each][head], 3) for each in SHARES}
        if (name, head, 0) in linked:
            row |= {
                "links_where_written": round(predictability(linked[name, head, 0]), 3),
                "links_where_read": round(predictability(linked[name, head, 1]), 3),
            }
        made.append(row)
    return made


def is_mark(piece: str) -> bool:
    """Whether a piece is punctuation or a special symbol."""
    text = piece.removeprefix(SPACE)
    return piece in SPECIAL_PIECES or (bool(text) and not any(letter.isalnum() for letter in text))


def words_of(pieces: Sequence[str]) -> tuple[list[int], list[str]]:
    """The number of each piece's word, and the words in small letters."""
    numbers: list[int] = []
    words: list[str] = []
    for piece in pieces:
        if piece in SPECIAL_PIECES:
            numbers.append(NONE)
            continue
        if piece.startswith(SPACE) or not words:
            words.append("")
        words[-1] += piece.removeprefix(SPACE).lower()
        numbers.append(len(words) - 1)
    return numbers, words


if __name__ == "__main__":
    main()
