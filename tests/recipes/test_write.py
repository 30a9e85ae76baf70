"""What is written is read back as the same recipe; the starter names every key there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import ConfigurationError
from clearhead.recipes.read import read_recipe
from clearhead.recipes.schema import COUNTED
from clearhead.recipes.sentences import all_keys
from clearhead.recipes.starter import starter
from clearhead.recipes.table import RECIPES as SCHEMAS
from clearhead.recipes.write import recipe_to_toml, to_toml

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
OF_ENCODERS = {"pooling", "word_pooling", "input_width", "ngram_buckets", "token_dropout"}
FOREIGN = {  # keys of a model that mean nothing to one of this architecture, so a starter need not name them
    "encoder-decoder": OF_ENCODERS,
    "encoder": {"decoder_layers", "tie", "input_width", "ngram_buckets"},
    "decoder": OF_ENCODERS | {"encoder_layers"},
}
OF_WORDS = {"word_pooling", "token_dropout"}  # … and to one whose input is no words
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
NUMBERS = st.integers(-(1 << 62), 1 << 62) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"]))
TABLES = st.recursive(
    st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3), max_size=4),
    lambda inner: st.dictionaries(NAMES, SCALARS | inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None)
@given(TABLES)
def test_toml_round_trips(table: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(table)) == table


def test_none_is_left_out() -> None:
    assert to_toml({"a": None, "b": {"c": None, "d": 1}}) == "[b]\nd = 1\n"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_in_the_folder_is_valid_and_round_trips(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path)
    written = tmp_path / "recipe.toml"
    written.write_text(recipe_to_toml(recipe), encoding="utf-8")
    assert read_recipe(written) == recipe


@pytest.mark.parametrize("task", SCHEMAS)
def test_the_starter_is_valid(task: str, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(starter(task), encoding="utf-8")
    recipe = read_recipe(tmp_path / "my.toml")
    bare = SCHEMAS[task].model_validate({"task": task, "data": recipe.data})
    assert recipe == bare, "the starter shows the defaults, so it should equal a recipe that sets nothing"


@pytest.mark.parametrize("task", SCHEMAS)
def test_the_starter_explains_every_key(task: str) -> None:
    text = starter(task)
    said = set(re.findall(r"^(?:# )?(\w+) +?=", text, re.MULTILINE)) | set(
        re.findall(r"^(?:# )?\[(?:\w+\.)?(\w+)\]", text, re.M)
    )
    wanted = {key.rpartition(".")[2] for key in all_keys(SCHEMAS[task])} - set(COUNTED)
    wanted -= FOREIGN[SCHEMAS[task].ARCHITECTURES[0]] | (OF_WORDS if task.startswith("vector") else set())
    assert wanted - said == set()


def test_an_unknown_task_is_refused_with_what_exists() -> None:
    with pytest.raises(
        ConfigurationError, match=r"one of translation.*; got 'translate' \(did you mean 'translation'\?\)"
    ):
        starter("translate")
