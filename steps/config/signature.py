"""The settings of an encoder or a loss: the keyword-only arguments in its source, read without importing it.

>>> settings_of(Path("steps/losses/frame_kl.py"), "frame_kl")["temperature"].default
1.0
"""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from steps.config.types import BY_NAME
from utils.jobs.files import sha256_text


@dataclass(frozen=True)
class Setting:
    """One keyword-only argument: its type and its default."""

    type: Any
    default: object


def settings_of(path: Path, name: str) -> dict[str, Setting]:
    """The settings of function `name`, or of the constructor of class `name`, in the Python file `path`.

    Raises: LookupError when the file does not define it, or gives a setting a type that is not in
        `steps.config.types`.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            node = next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
        elif not (isinstance(node, ast.FunctionDef) and node.name == name):
            continue
        pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        return {arg.arg: Setting(type_of(arg.annotation), ast.literal_eval(value)) for arg, value in pairs}
    raise LookupError(f"{path} does not define {name}")


def code_digest(path: Path) -> str:
    """The first 12 hex digits of the SHA-256 of a Python file's code: comments, docstrings and layout do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return sha256_text(ast.unparse(tree))[:12]


def type_of(annotation: ast.expr) -> Any:
    """The type that an annotation names."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        choices = ast.literal_eval(annotation.slice)
        return Literal[choices if isinstance(choices, tuple) else (choices,)]
    return BY_NAME[ast.unparse(annotation)]
