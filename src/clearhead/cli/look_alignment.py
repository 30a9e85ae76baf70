"""``clearhead look RUN TEXT --align``: the words of one translation beside those of its source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer

from clearhead.cli.draw import harmless
from clearhead.errors import ConfigurationError


def look_aligned(run: Path, text: str, layer: int | None, head: int | None, pictures: Mapping[str, Path]) -> None:
    """Draw the alignment of a translation to each of ``pictures``, by their form; in words where there are none.

    It is read off the layer and head that are named, else off what aligns the run's validation pairs best.
    """
    from clearhead.service.align_run import validation_pairs
    from clearhead.service.alignments import Place, alignment_of, best_place
    from clearhead.service.load import load

    if not text.strip():
        raise ConfigurationError("there is nothing to look at: the text is empty")
    predictor = load(run)
    if layer is None:
        if head is not None:
            raise ConfigurationError(f"head {head} of which layer? give a layer with it")
        place = best_place(predictor, validation_pairs(run)).place
    else:
        place = Place(f"decoder.{layer}.cross", head, "written")
    aligned = alignment_of(predictor.view(text).inspection, place)
    for form, path in pictures.items():
        from clearhead.service.alignment_picture import draw_alignment

        boxes = draw_alignment(aligned, path, form=form)
        note = f"; no font here has {boxes} of its characters, they are boxes" if boxes else ""
        typer.echo(f"wrote {path}{note}", err=True)
    if not pictures:
        for number, word in enumerate(aligned.target):
            sources = [aligned.source[s] for s, t in sorted(aligned.links) if t == number]
            typer.echo(harmless(f"{word} ← {' '.join(sources) or '–'}"))
    typer.echo(f"read off {place}", err=True)
