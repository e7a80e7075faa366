"""Each part of the benchmark, run once: that it still fits the code, not what it measures."""

import importlib

import pytest

from tests.support import ROOT

PARTS = [
    *("features", "training", "soft_labels", "decoding", "scoring"),
    *(pytest.param(part, marks=pytest.mark.long) for part in ("distilling", "encoders", "text_preparation", "startup")),
]


def once(runners, repetitions):
    """Runs each, and takes no time."""
    for runner in runners.values():
        runner()
    return dict.fromkeys(runners, 1.0)


@pytest.mark.parametrize("part", PARTS)
def test_it_fills_its_rows(part, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    names = ["bench.training", f"bench.{part}"]
    for module in map(importlib.import_module, names):
        monkeypatch.setattr(module, "race", once, raising=False)
        monkeypatch.setattr(module, "NUM_BATCHES", 1, raising=False)
    rows = importlib.import_module(f"bench.{part}").rows(tmp_path)
    assert rows
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.ours >= 0 and row.unit for row in rows)
