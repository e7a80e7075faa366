import pytest

from steps.config.load import load
from tests.steps.config.examples import BASE


@pytest.fixture
def conf(tmp_path):
    """Writes a conf.toml, and loads it with overrides."""

    def load_text(more="", *overrides, base=BASE):
        (tmp_path / "conf.toml").write_text(base + more)
        return load(tmp_path / "conf.toml", list(overrides))

    return load_text
