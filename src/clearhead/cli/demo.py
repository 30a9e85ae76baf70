"""``clearhead demo``: from nothing to a trained model one can look into, in a few minutes and without a download."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from clearhead.cli.page import has_display, open_page

if TYPE_CHECKING:
    from clearhead.service.tasks.task import Predictor

EXAMPLES = 4
PAGE_EXAMPLE = "den 3. März 2024"


@dataclass(frozen=True)
class DemoOptions:
    """Where to, and whether to open a page."""

    out: Annotated[Path, typer.Option(help="The run folder; the corpus goes beside it.")] = Path("runs/demo")
    seed: Annotated[int, typer.Option(help="Of the corpus, the weights and the order.")] = 1
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False


def demo(options: DemoOptions) -> None:
    """Make a small corpus of dates in many languages, learn to read them, and show how it is done."""
    from clearhead.cli.progress import show_training
    from clearhead.recipes.demo import write_demo
    from clearhead.service.load import load
    from clearhead.service.train import train

    console = Console(highlight=False)
    corpus = options.out.with_name(options.out.name + "-corpus")
    recipe = write_demo(corpus, seed=options.seed)
    if not (options.out / "report.json").is_file():
        resume = (options.out / "recipe.toml").is_file()
        show_training(train(recipe, options.out, resume=resume), options.out)
    translator = load(options.out)
    console.print("\nDates as people write them in many languages, read as ISO 8601:\n", style="bold")
    _show_examples(console, translator, corpus)
    _show_score(console, options.out)
    _show_next(console, options.out)
    if not options.no_browser and sys.stdout.isatty() and has_display():
        open_page(options.out, PAGE_EXAMPLE)


def _show_examples(console: Console, translator: Predictor, corpus: Path) -> None:
    from clearhead.cli.draw import draw_map
    from clearhead.service.look import look_at

    rows = [line.split("\t") for line in (corpus / "test.tsv").read_text(encoding="utf-8").split("\n")[1:-1]]
    for source, reference, language in rows[:EXAMPLES]:
        answer = translator.predict([source], n_best=1)[0].text
        verdict = "right" if answer == reference else f"wrong, it is {reference}"
        console.print(f"  {source}  →  {answer}   ({language}, {verdict})", markup=False)
    found = look_at(translator, max((row[0] for row in rows[:EXAMPLES]), key=len))
    console.print("\nWhere it looked while it wrote (mean over all heads of the decoder):\n", style="bold")
    console.print(draw_map(found, found.choose()[1]), end="", soft_wrap=True)


def _show_score(console: Console, out: Path) -> None:
    from clearhead.service.run_folder import RunFolder

    report = RunFolder.open(out).report()
    score = report["scores"]["test"]
    seconds = report["training"]["seconds"]
    console.print(
        f"\n{score['exact_match']:.1f} % of {score['pairs']} dates never seen before are exactly right, "
        f"after {seconds:.0f} s of training.\n",
        style="bold",
        soft_wrap=True,
    )


def _show_next(console: Console, out: Path) -> None:
    name = "clearhead" if shutil.which("clearhead") else sys.argv[0]
    console.print("Now look into it, with dates of your own; this opens a page in the browser:", style="bold")
    console.print(f"  {name} look {out} '{PAGE_EXAMPLE}'\n", markup=False, soft_wrap=True)
    console.print("Or try:", style="bold")
    for command in (
        f'echo "3 mars 2024" | {name} predict {out}',
        f"{name} look {out} '2024年3月3日' --text --layer 0 --head 0",
        f'{name} look {out} "{PAGE_EXAMPLE}" --html look.html',
        f"{name} evaluate {out}",
        f"{name} verify {out}",
        f"{name} account {out}",
        f"{name} recipe translation > my.toml        # then your own data",
    ):
        console.print(f"  {command}", markup=False, soft_wrap=True)
