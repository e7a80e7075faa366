"""Linters over the tree, and the examples of the documentation."""

import doctest
import importlib
import subprocess

import pytest

from tests.support import ROOT, execute

FILES = subprocess.run(
    ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()
FILES = [name for name in FILES if (ROOT / name).is_file()]
SHELL = [name for name in FILES if name.endswith(".sh")]
EXAMPLES = [
    name for name in FILES if name.startswith(("steps/", "utils/", "local/")) and ">>> " in (ROOT / name).read_text()
]


@pytest.mark.parametrize("name", SHELL)
def test_shellcheck_is_clean(name):
    result = execute(["shellcheck", "-x", "-s", "bash", "-e", "SC1091", name], ROOT)
    assert result.returncode == 0, result.stdout


def test_ruff_is_clean():
    result = execute(
        ["ruff", "check", "--no-cache", "--config", "tests/ruff.toml", "--output-format", "concise", "."], ROOT
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_documentation_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


def test_some_documentation_has_examples():
    assert EXAMPLES


@pytest.mark.parametrize(
    "name", [n for n in FILES if n.endswith(".py") and n.startswith(("steps/", "utils/", "local/"))]
)
def test_each_module_says_what_it_does(name):
    assert (ROOT / name).read_text(encoding="utf-8").startswith('"""')
