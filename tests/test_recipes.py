"""The recipes: their configurations load, and the published figures agree with one another."""

import re

import pytest

from steps.config.load import load
from tests.support import ROOT, execute

RECIPES = sorted(path.parent for path in ROOT.glob("egs/*/run.sh"))
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "egs" / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| [")
]


def names(folders):
    return [folder.name for folder in folders]


@pytest.mark.parametrize("recipe", RECIPES, ids=names(RECIPES))
def test_a_recipe_has_teacher_student_and_the_three_sets(recipe):
    config = load(recipe / "conf.toml")
    assert {"teacher", "student"} <= set(config.systems)
    assert (config.data.train, config.data.dev, config.data.test) == ("train", "dev", ["test"])


@pytest.mark.parametrize("recipe", RECIPES, ids=names(RECIPES))
def test_the_help_of_a_recipe_is_printed(recipe):
    result = execute([recipe / "run.sh", "--help"], ROOT)
    assert result.returncode == 0 and "--corpus-dir" in result.stdout


def test_each_recipe_has_a_row():
    assert {re.match(r"\[(\w+)", row[0])[1] for row in ROWS} == set(names(RECIPES))


def test_the_table_of_recipes_has_as_many_cells_in_each_row():
    assert {len(row) for row in ROWS} == {9}


def published(row):
    """The published table that a row of egs/README.md links: {system: (hours, error rate)} on test."""
    text = (ROOT / "egs" / re.search(r"\(([^)]*RESULTS\.md)", row[8])[1]).read_text(encoding="utf-8")
    part = next(part for part in text.split("\n## ")[1:] if part.startswith(expected_heading(row)))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
    return {line[0]: (line[7], line[2].split(" ")[0]) for line in lines if len(line) == 9}


def expected_heading(row):
    """`published: test` for the row `[fsdd](fsdd), published`, else `test`."""
    split = row[0].partition(", ")[2]
    return f"{split}: test" if split else "test"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_table_of_recipes_says_what_was_published(row):
    found = published(row)
    assert [found[name][1] for name in ("teacher", "student_plain", "student")] == row[5:8]
    assert found["teacher"][0] == row[2]
