"""The examples in the documentation of the tools on data directories run as they stand."""

import shlex

import pytest

from tests.support import ROOT, assert_status, command, write_data_dir, write_wav
from utils.data_dir.data_dir import DataDir
from utils.data_dir.transmit import transmit
from utils.data_dir.validate import find_faults

TOOLS = sorted(path.stem for path in (ROOT / "utils").glob("*_data_dir*.py"))
EXAMPLES = {
    line.strip(): tool
    for tool in TOOLS
    for line in (ROOT / "utils" / f"{tool}.py").read_text().splitlines()
    if line.strip().startswith("python3 -m utils.")
}


@pytest.fixture
def recipe(tmp_path):
    """A folder with all that the examples name."""
    for name in ("train_a", "train_b", "all", "dev", "test", "unlabelled"):
        ids = [f"{speaker}{name}-{i}" for speaker in "abcde" for i in range(2)]
        write_data_dir(tmp_path / "data" / name, dict.fromkeys(ids, "one two"))
    write_data_dir(tmp_path / "data" / "train", {"lucas-1": "one", "theo-1": "two", "yweweler-1": "three"})
    write_data_dir(tmp_path / "data" / "long", {"a-1": "one two"})
    write_wav(tmp_path / "data" / "long" / "wav" / "a-1.wav", 2.0)
    phone = DataDir.read(tmp_path / "data" / "test")
    transmit(phone, ["telephone"]).write(tmp_path / "data" / "test_phone")
    (tmp_path / "ids.txt").write_text("lucas-1\n")
    (tmp_path / "parts").write_text("a-1-1 a-1 0 0.5\na-1-2 a-1 0.5 2\n")
    (tmp_path / "text_of_parts").write_text("a-1-1 one\na-1-2 two\n")
    return tmp_path


def test_each_tool_has_an_example():
    assert set(EXAMPLES.values()) == set(TOOLS) and len(TOOLS) == 10


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_runs_and_leaves_valid_directories(recipe, example):
    _, _, module, *args = shlex.split(example)
    assert_status(command(module, *args, cwd=recipe), 0)
    written = {path for path in (recipe / "data").iterdir() if (path / "wav.scp").exists()}
    assert [fault for path in sorted(written) for fault in find_faults(path)] == []
