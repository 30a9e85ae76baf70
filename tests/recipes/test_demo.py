"""The demo corpus: readable by one rule only, split by day, the same for the same seed."""

from __future__ import annotations

import csv
import datetime
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from babel.dates import format_date

from clearhead.recipes.dates import languages
from clearhead.recipes.demo import SPLITS, write_demo

INVISIBLE = dict.fromkeys(map(ord, "\u200e\u200f\u061c"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo"), seed=7).parent


def test_there_are_at_least_40_languages_and_no_text_stands_for_two_days() -> None:
    meanings: dict[str, set[datetime.date]] = defaultdict(set)
    first = datetime.date(2021, 1, 1).toordinal()
    for day in map(datetime.date.fromordinal, range(first, first + 730)):
        for language in languages().values():
            for pattern in language.patterns:
                meanings[language.write(day, pattern)].add(day)
    assert len(languages()) >= 40
    assert {text: days for text, days in meanings.items() if len(days) > 1} == {}


def test_the_renderer_agrees_with_babel() -> None:
    for tag, language in languages().items():
        locale = "ar_EG" if tag == "ar" else tag
        for day in (datetime.date(2021, 3, 5), datetime.date(1900, 12, 31), datetime.date(2064, 9, 14)):
            for pattern in language.patterns:
                expected = format_date(day, pattern, locale=locale).translate(INVISIBLE)
                expected = expected.replace("\u00a0", " ").replace("\u202f", " ")
                written = "".join(str(int(c)) if c.isdecimal() else c for c in language.write(day, pattern))
                assert written == expected, (tag, pattern)


def test_hand_worked_days() -> None:
    """Checked by eye against CLDR 47's charts: genitive month, native digits, quoted words, an era, a prefix."""
    day = datetime.date(2021, 10, 5)
    table = languages()
    assert table["hr"].write(day, "d. MMMM y.") == "5. listopada 2021."
    assert table["pl"].write(datetime.date(2021, 11, 5), "d MMMM y") == "5 listopada 2021"
    assert table["fa"].write(day, "y/MM/dd") == "۲۰۲۱/۱۰/۰۵"
    assert table["es"].write(day, "d 'de' MMMM 'de' y") == "5 de octubre de 2021"
    assert table["th"].write(day, "d MMMM G y") == "5 ตุลาคม ค.ศ. 2021"
    assert table["he"].write(day, "d בMMMM y") == "5 באוקטובר 2021"


def test_no_day_stands_in_two_splits_and_no_pair_twice(demo: Path) -> None:
    targets = {split: [row["target"] for row in rows(demo / f"{split}.tsv")] for split in SPLITS}
    every = [target for split in targets.values() for target in split]
    assert {split: len(found) for split, found in targets.items()} == SPLITS
    assert len(set(every)) == len(every)
    assert all(1900 <= datetime.date.fromisoformat(target).year <= 2099 for target in every)


def test_every_language_is_trained_and_tested(demo: Path) -> None:
    assert {row["language"] for row in rows(demo / "train.tsv")} == set(languages())
    assert {row["language"] for row in rows(demo / "test.tsv")} == set(languages())


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path, demo: Path) -> None:
    again = write_demo(tmp_path / "again", seed=7).parent
    other = write_demo(tmp_path / "other", seed=8).parent
    for name in ("train.tsv", "valid.tsv", "test.tsv", "demo.toml"):
        assert (again / name).read_bytes() == (demo / name).read_bytes()
        assert (other / name).read_bytes() != (demo / name).read_bytes()


def test_the_recipe_is_toml_that_names_the_files(demo: Path) -> None:
    recipe = tomllib.loads((demo / "demo.toml").read_text(encoding="utf-8"))
    assert recipe["seed"] == 7
    assert all((demo / recipe["data"][split]["file"]).is_file() for split in SPLITS)
