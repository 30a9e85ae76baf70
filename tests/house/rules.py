"""The rules of the house as functions from one file's source to sentences about what breaks them.

Rooms are the packages directly under ``clearhead``. ``MAY_IMPORT`` is the whole import direction; what is not in it is
forbidden.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

FILE_LINES, FUNCTION_LINES, ARGUMENTS = 300, 50, 8
WORDS = {"errors", "hardware", "settings", "shapes", "strict_json", "symbols", "workers"}  # what everybody may import
BELOW_RECIPES = {"models", "training", "tasks", "text", "data", "generation"}
MAY_IMPORT: dict[str, set[str]] = {
    "mechanism": set(),
    "layers": {"mechanism"},
    "models": {"layers", "mechanism"},
    "pretrained": {"models", "layers", "mechanism", "text"},
    "text": set(),
    "data": {"text"},
    "generation": set(),
    "tasks": {"text", "data", "generation"},
    "training": {"tasks", "text", "data", "generation", "mechanism"},
    "inspection": {"mechanism"},
    "recipes": BELOW_RECIPES,
    "service": BELOW_RECIPES | {"recipes", "inspection", "mechanism", "layers", "pretrained"},
    "server": {"service", "recipes", "inspection", "generation", "models"},
    "cli": BELOW_RECIPES | {"service", "recipes", "inspection", "server"},
}
NO_TORCH = {"text", "recipes", "server", "cli"}
MAY_PRINT = {"cli"}
FACE = {"__init__", "__main__"}  # directly under clearhead: the public face and the way in, which reach every room
KEYWORDS_ALLOWED = {
    "predict": "the contract: model.predict(inputs, **decoding)",
    "enter": "typer calls a command by keyword; the options are one dataclass",
    "dimensions": "names the tensors of an error message",
}
WIDE_ALLOWED = {
    "clearhead/mechanism/attention.py": "the contract's signatures: q, k, v and seven settings",
    "clearhead/mechanism/textbook.py": "the same signatures, to be compared with",
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
UNSAFE_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "torch.save", "__import__", "compile"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def violations(path: str, source: str) -> list[str]:
    """Every broken rule in the file ``path`` (relative to ``src``, such as ``clearhead/text/learn.py``)."""
    tree = ast.parse(source)
    found = [*_file(path, source, tree), *_imports(path, tree), *_calls(path, tree)]
    for node in ast.walk(tree):
        if isinstance(node, Function):
            found += [f"{path}:{node.lineno}: {text}" for text in _function(node, wide=path in WIDE_ALLOWED)]
    return found


def room(path: str) -> str:
    """``text`` for ``clearhead/text/learn.py``; the file's own stem directly under ``clearhead``."""
    return PurePosixPath(path).parts[1].removesuffix(".py")


def _file(path: str, source: str, tree: ast.Module) -> Iterator[str]:
    if (lines := source.count("\n")) > FILE_LINES:
        yield f"{path}: {lines} lines, limit {FILE_LINES}"
    if bad := FORBIDDEN_NAMES & {part.removesuffix(".py") for part in PurePosixPath(path).parts}:
        yield f"{path}: {bad.pop()!r} says nothing about what is inside"
    if tree.body and not ast.get_docstring(tree):
        yield f"{path}: the file does not open with a paragraph saying what it is"


def _function(node: Function, *, wide: bool) -> Iterator[str]:
    if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES:
        yield f"{node.name} has {lines} lines, limit {FUNCTION_LINES}"
    spec = node.args
    names = [argument.arg for argument in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]]
    if (count := len([name for name in names if name not in {"self", "cls"}])) > ARGUMENTS and not wide:
        yield f"{node.name} takes {count} arguments, limit {ARGUMENTS}"
    if spec.kwarg and node.name not in KEYWORDS_ALLOWED:
        yield f"{node.name} takes **{spec.kwarg.arg}: name the arguments"


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] != ["__version__"]:
            yield node.lineno, "." * node.level + (node.module or "")


def _imports(path: str, tree: ast.Module) -> Iterator[str]:
    here = room(path)
    for line, module in _imported(tree):
        top, _, rest = module.partition(".")
        if top in UNSAFE_MODULES:
            yield f"{path}:{line}: {module} can run code from a file"
        if top == "torch" and here in NO_TORCH:
            yield f"{path}:{line}: {here} must not know torch"
        if module.startswith("."):
            yield f"{path}:{line}: relative import; rooms are imported by file"
        if top == "clearhead" and here not in FACE:
            yield from (f"{path}:{line}: {text}" for text in _direction(here, rest.partition(".")[0]))


def _direction(here: str, there: str) -> Iterator[str]:
    if not there:
        yield "imports the public face; rooms are imported by file"
    elif there != here and there not in WORDS | MAY_IMPORT.get(here, set()):
        yield f"{here} must not import {there}"


def _calls(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in UNSAFE_CALLS or any(word.arg == "allow_pickle" for word in node.keywords):
                yield f"{path}:{node.lineno}: {name} can run code from a file"
            if name == "print" and room(path) not in MAY_PRINT:
                yield f"{path}:{node.lineno}: the core does not print"
