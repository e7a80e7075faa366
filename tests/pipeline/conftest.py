"""The tiny corpus, and one full run on it that all tests of the pipeline begin with."""

import pytest

from tests.pipeline.tiny import copy_recipe, run_stages, write_corpus, write_recipe


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The tiny corpus; who changes it puts it back."""
    return write_corpus(tmp_path_factory.mktemp("tiny") / "corpus")


@pytest.fixture(scope="session")
def made(tmp_path_factory, corpus):
    """(recipe, result) of a full run, each command started as users start it; nobody changes it."""
    recipe = write_recipe(tmp_path_factory.mktemp("made") / "recipe")
    result = run_stages(recipe, corpus, LC_ALL="C.UTF-8")  # an environment of its own: nothing is warm
    assert result.returncode == 0, result.stderr
    return recipe, result


@pytest.fixture
def recipe(made, corpus, tmp_path):
    """A copy of what the full run made, up to date in its new place."""
    copy = copy_recipe(made[0], tmp_path / "recipe")
    assert run_stages(copy, corpus, last=2).returncode == 0
    return copy


@pytest.fixture
def prepared(corpus, tmp_path):
    """A recipe whose data directories are made, and nothing else."""
    fresh = write_recipe(tmp_path / "recipe")
    assert run_stages(fresh, corpus, last=1).returncode == 0
    return fresh
