"""The questions and their answers: every block runs and prints what stands below it, and both languages agree.

The blocks of the first section are run once; those of each question after it in a namespace of their own, as the
document promises. A number may be off by one in its last digit; whole numbers are exact unless they are percentages.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from .blocks import ROOT, blocks

ENGLISH, CHINESE = ROOT / "docs" / "questions.md", ROOT / "docs" / "questions.zh.md"
TRANSLATED = [(ROOT / "README.md", ROOT / "README.zh.md"), (ENGLISH, CHINESE)]
HEADING = re.compile(r"^### (\d+)\. (.+)$", re.MULTILINE)
NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?)(\s*%)?")
CHINESE_CHARACTER = re.compile(r"[\u4e00-\u9fff]")
FEWEST_QUESTIONS, MOST_LINES = 26, 15

Namespace = dict[str, object]


@dataclass(frozen=True)
class Question:
    """One heading of the third level with all below it; ``code`` pairs each block with its output, "" for none."""

    number: int
    title: str
    prose: str
    code: tuple[tuple[str, str], ...]


def questions(document: Path) -> list[Question]:
    """The questions of a document in order; number 0 is what the others stand on."""
    text = document.read_text(encoding="utf-8")
    headings = [*HEADING.finditer(text)]
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    found = list(blocks(document))
    result = []
    for heading, end in zip(headings, ends, strict=True):
        first, last = text.count("\n", 0, heading.start()) + 1, text.count("\n", 0, end) + 1
        mine = [(block.language, block.text) for block in found if first < block.line < last]
        prose = re.sub(r"^```.*?^```$", "", text[heading.end() : end], flags=re.MULTILINE | re.DOTALL).strip()
        result.append(Question(int(heading[1]), heading[2], prose, tuple(code_and_output(mine))))
    return result


def code_and_output(found: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each ``python`` block with the ``text`` block right after it."""
    for (language, text), (next_language, next_text) in zip(found, [*found[1:], ("", "")], strict=True):
        if language == "python":
            yield text, next_text if next_language == "text" else ""


def run(question: Question, namespace: Namespace) -> list[str]:
    """What each block of a question prints, the blocks run in order in ``namespace``."""
    printed = []
    for code, _ in question.code:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(code, f"question {question.number}", "exec"), namespace)
        printed.append(out.getvalue())
    return printed


def differences(printed: str, shown: str) -> list[str]:
    """How a text that was printed differs from the one shown, beyond the rounding of its numbers."""
    told = [" ".join(NUMBER.sub("#", text).split()) for text in (printed, shown)]
    if told[0] != told[1]:
        return [f"printed:\n{printed}", f"shown:\n{shown}"]
    pairs = zip(NUMBER.finditer(printed), NUMBER.finditer(shown), strict=True)
    return [f"{new[0]} printed, {old[0]} shown" for new, old in pairs if not rounds_alike(new, old)]


def rounds_alike(printed: re.Match[str], shown: re.Match[str]) -> bool:
    mantissa, _, exponent = shown[1].replace(",", "").partition("e")
    decimals = len(mantissa.partition(".")[2])
    exact = not (decimals or exponent or shown[2])
    unit = 0.0 if exact else 10.0 ** (int(exponent or 0) - decimals)
    new, old = (float(number[1].replace(",", "")) for number in (printed, shown))
    return abs(new - old) <= 1.001 * unit


@pytest.fixture(autouse=True)
def same_precision() -> Iterator[None]:
    """The first section makes float64 the default; other tests want float32."""
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def first_section() -> Iterator[tuple[Namespace, list[str]]]:
    before = torch.get_default_dtype()
    namespace: Namespace = {"__name__": "document"}
    printed = run(questions(ENGLISH)[0], namespace)
    torch.set_default_dtype(before)
    yield namespace, printed


def test_the_first_section_prints_what_it_shows(first_section: tuple[Namespace, list[str]]) -> None:
    shown = [output for _, output in questions(ENGLISH)[0].code]
    assert [differences(*both) for both in zip(first_section[1], shown, strict=True)] == [[]] * len(shown)


@pytest.mark.parametrize("question", questions(ENGLISH)[1:], ids=lambda question: str(question.number))
def test_every_answer_prints_what_it_shows(question: Question, first_section: tuple[Namespace, list[str]]) -> None:
    torch.set_default_dtype(torch.float64)
    (printed,) = run(question, dict(first_section[0]))
    assert differences(printed, question.code[0][1]) == []


def test_every_question_is_answered_shortly_with_a_measurement() -> None:
    asked = questions(ENGLISH)
    assert [question.number for question in asked] == list(range(len(asked)))
    assert len(asked) > FEWEST_QUESTIONS
    for question in asked[1:]:
        assert question.prose, question.title
        ((code, output),) = question.code  # one block, and what it prints
        assert output, question.title
        assert len(code.rstrip("\n").split("\n")) <= MOST_LINES, question.title
    assert all(len(code.rstrip("\n").split("\n")) <= MOST_LINES for code, _ in asked[0].code)


def test_the_chinese_questions_are_the_same() -> None:
    english, chinese = questions(ENGLISH), questions(CHINESE)
    assert [question.number for question in chinese] == [question.number for question in english]
    for theirs, ours in zip(chinese, english, strict=True):
        assert theirs.code == ours.code, ours.title
        assert CHINESE_CHARACTER.search(theirs.title) and CHINESE_CHARACTER.search(theirs.prose), ours.title


@pytest.mark.parametrize(("original", "translation"), TRANSLATED, ids=lambda path: path.name)
def test_a_translation_has_the_same_commands_and_both_lead_to_each_other(original: Path, translation: Path) -> None:
    commands = [[(block.language, block.text) for block in blocks(document)] for document in (original, translation)]
    assert commands[0] == commands[1]
    assert f"]({translation.name})" in original.read_text(encoding="utf-8")
    assert f"]({original.name})" in translation.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("printed", "shown", "alike"),
    [
        ("right 99 %\n", "right 100 %\n", True),
        ("right  97 %\n", "right 100 %\n", False),
        ("entropy 1.23", "entropy 1.24", True),
        ("entropy 1.23", "entropy 1.26", False),
        ("slope 1.3e-03", "slope 1.2e-03", True),
        ("slope 1.2e-02", "slope 1.2e-03", False),
        ("(4, 5)", "(4, 6)", False),
        ("1,000 in all", "1,001 in all", False),
        ("the same: True", "the same: False", False),
    ],
)
def test_what_counts_as_the_same_output(printed: str, shown: str, alike: bool) -> None:
    assert (differences(printed, shown) == []) == alike
