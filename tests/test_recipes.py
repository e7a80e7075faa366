"""The recipes: their configurations load, and the published figures agree with one another."""

import re

import pytest

from steps.config.load import load
from steps.scoring.units import Units
from tests.support import ROOT, execute

RECIPES = sorted(path.parent for path in ROOT.glob("egs/*/run.sh"))
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "egs" / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| [")
]


CONFIGS = sorted(path for recipe in RECIPES for path in recipe.glob("conf*.toml"))
MAIN = [path for path in CONFIGS if path.name in ("conf.toml", "conf_gpu.toml")]
SERVER = [path for path in CONFIGS if path.name == "conf_gpu.toml"]


def names(folders):
    return [folder.name for folder in folders]


def names_of(configs):
    return [f"{path.parent.name}/{path.name}" for path in configs]


@pytest.mark.parametrize("path", MAIN, ids=names_of(MAIN))
def test_a_configuration_has_teacher_student_and_sets_for_each_use(path):
    config = load(path)
    if path.name in ("conf.toml", "conf_gpu.toml"):  # others compare models
        assert {"teacher", "student"} <= set(config.systems)
    assert (config.data.train, config.data.dev) == ("train", "dev") and config.data.test
    assert all(name == "test" or name.startswith("test_") for name in config.data.test)


@pytest.mark.parametrize("path", CONFIGS, ids=names_of(CONFIGS))
def test_the_map_of_a_configuration_can_be_used(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert Units.of(load(path).score).split("") == []


@pytest.mark.parametrize("path", SERVER, ids=names_of(SERVER))
def test_the_configuration_for_a_server_is_scored_as_that_for_a_laptop(path):
    here, there = load(path.with_name("conf.toml")), load(path)
    assert (here.data, here.tokens, here.score) == (there.data, there.tokens, there.score)
    assert set(here.systems) == set(there.systems)
    for name, system in there.systems.items():
        assert system.train.bf16 and not here.systems[name].train.bf16
    assert there.systems["teacher"].model["dim"] > here.systems["teacher"].model["dim"]


@pytest.mark.parametrize("recipe", RECIPES, ids=names(RECIPES))
def test_the_help_of_a_recipe_is_printed(recipe):
    result = execute([recipe / "run.sh", "--help"], ROOT)
    assert result.returncode == 0 and "--corpus-dir" in result.stdout


def test_each_recipe_has_a_row():
    assert {re.match(r"\[(\w+)", row[0])[1] for row in ROWS} == set(names(RECIPES))


def test_the_table_of_recipes_has_as_many_cells_in_each_row():
    assert {len(row) for row in ROWS} == {9}


PUBLISHED = [row for row in ROWS if "RESULTS" in row[8]]


@pytest.mark.parametrize("row", [row for row in ROWS if row not in PUBLISHED], ids=lambda row: row[0])
def test_a_recipe_without_published_figures_says_so(row):
    assert row[5:8] == ["–"] * 3 and row[8].startswith("not run here: ")
    assert not (ROOT / "egs" / re.match(r"\[(\w+)", row[0])[1] / "RESULTS.md").exists()


def published(row):
    """The published table that a row of egs/README.md links: {system: (hours, error rate)} on test."""
    text = (ROOT / "egs" / re.search(r"\(([^)]*RESULTS\w*\.md)", row[8])[1]).read_text(encoding="utf-8")
    part = next(part for part in text.split("\n## ")[1:] if part.startswith(expected_heading(row)))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:1] == "|"]
    head = lines[0]
    hours, error = head.index("hours"), next(i for i, name in enumerate(head) if "error %" in name)
    return {line[0]: (line[hours], line[error].split(" ")[0]) for line in lines if len(line) == len(head)}


def expected_heading(row):
    """`published: test` for the row `[fsdd](fsdd), published`, else `test`."""
    split = row[0].partition(", ")[2]
    return f"{split}: test" if split else "test"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row[0])
def test_the_table_of_recipes_says_what_was_published(row):
    found = published(row)
    assert [found[name][1] for name in ("teacher", "student_plain", "student")] == row[5:8]
    assert found["teacher"][0] == row[2]
