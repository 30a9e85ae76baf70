"""``clearhead look RUN TEXT``: where every head looked while the model answered.

In a terminal it opens the page; what is not read by somebody there, a pipe or a file, gets the drawing as text.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


@dataclass(frozen=True)
class LookOptions:
    """Which run, at what, drawn how."""

    run: Annotated[Path, typer.Argument(help="A run folder.")]
    text: Annotated[str | None, typer.Argument(help="What to look at (default: the first line of stdin).")] = None
    as_text: Annotated[bool, typer.Option("--text", help="Draw in the terminal; so is the default in a pipe.")] = False
    page: Annotated[bool, typer.Option("--page", help="Open the page; so is the default in a terminal.")] = False
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Serve the page and print its address only.")] = False
    html: Annotated[Path | None, typer.Option(help="Write the page as one file that holds this answer.")] = None
    png: Annotated[Path | None, typer.Option(help="Write a picture (needs the extra 'pictures').")] = None
    svg: Annotated[Path | None, typer.Option(help="The same as SVG.")] = None
    align: Annotated[bool, typer.Option("--align", help="A translation's words, with lines to its source's.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="All maps as one JSON object on stdout.")] = False
    layer: Annotated[int | None, typer.Option(help="One layer, from 0 (default: the mean of all).")] = None
    head: Annotated[int | None, typer.Option(help="One head of that layer, from 0 (default: their mean).")] = None


def look(options: LookOptions) -> None:
    """Show the attention behind an answer: a translation's in its source, any other text's in itself."""
    if _wants_page(options):
        from clearhead.cli.page import open_page

        wanted, browser = options.text or "", not options.no_browser
        open_page(options.run, wanted, layer=options.layer, head=options.head, browser=browser)
        return
    from clearhead.service.load import load
    from clearhead.service.look import look_at

    text = options.text if options.text is not None else sys.stdin.readline().rstrip("\r\n")
    pictures = {form: path for form, path in (("png", options.png), ("svg", options.svg)) if path is not None}
    if options.align:
        from clearhead.cli.look_alignment import look_aligned

        look_aligned(options.run, text, options.layer, options.head, pictures)
        return
    if options.html is not None:
        from clearhead.service.looking.file import write_page

        typer.echo(f"wrote {options.html}: {write_page(options.run, text, options.html)}", err=True)
        if not (pictures or options.as_json or options.as_text):
            return
    found = look_at(load(options.run), text)
    name, chosen = found.choose(options.layer, options.head)
    for form, path in pictures.items():
        from clearhead.service.picture import draw

        boxes = draw(found, path, layer=options.layer, head=options.head, form=form)
        note = f"; no font here has {boxes} of its characters, they are boxes" if boxes else ""
        typer.echo(f"wrote {path}{note}", err=True)
    if options.as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    if options.as_text or not (pictures or options.as_json or options.html):
        from clearhead.cli.draw import draw_map

        console = Console(highlight=False, soft_wrap=True)
        console.print(f"{found.text}\n{found.answer}\n", markup=False)
        console.print(f"{name}: each row looks at the columns", style="dim", markup=False)
        console.print(draw_map(found, chosen), end="")


def _wants_page(options: LookOptions) -> bool:
    drawn = options.as_text or options.as_json or options.png or options.svg or options.html or options.align
    return options.page or options.no_browser or not (drawn or not sys.stdout.isatty())
