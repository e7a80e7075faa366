"""Which shapes of a student a search within a budget goes on with, and which it marks."""

import json
import re
import time
from types import SimpleNamespace

import pytest

from steps import distil_to_budget as search
from steps.config.load import load
from steps.config.schema import DecodeConfig
from steps.distil_to_budget import Shape, is_steady, speed_of
from tests.support import ROOT, released
from utils.jobs.errors import UsageError

UPDATES = (750, 1500, 3000)  # of egs/demo's student: a quarter, half, all


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """Searches among made-up shapes, {dim: (MB, errors after a quarter, half, all updates, RTF when trained)}.

    Returns what it writes: {dim: facts}. `fresh` is the RTF of all before they are trained.
    """
    monkeypatch.chdir(ROOT / "egs" / "demo")

    def run(shapes, *options, fresh=0.001):
        def distil(args, commands, updates, shape):
            _, *errors, rtf = shapes[int(shape.point["model.dim"])]
            shape.errors[updates] = errors[UPDATES.index(updates)]
            shape.rtf = rtf if updates == UPDATES[-1] else shape.rtf

        def measure(args, point):
            size, *_, rtf = shapes[int(point["model.dim"])]
            return Shape(point, size, rtf if fresh == "as trained" else fresh)

        monkeypatch.setattr(search, "measure", measure)
        monkeypatch.setattr(search, "distil", distil)
        with released():
            search.main(["--try", f"model.dim={list(shapes)}", "--nj", "1", *options, str(tmp_path)])
        found = json.loads((tmp_path / "budget" / "student.json").read_text())["shapes"]
        return {int(facts["point"]["model.dim"]): facts for facts in found}

    return run


def trained(found):
    """The shapes that were given all updates."""
    return [dim for dim, facts in sorted(found.items()) if str(UPDATES[-1]) in facts["errors"]]


def on_frontier(found):
    return [dim for dim, facts in sorted(found.items()) if facts["on_frontier"]]


def test_what_no_smaller_shape_matches_is_trained_to_the_end(searched):
    found = searched(
        {
            8: (0.010, 60, 50, 45, 0.001),
            16: (0.020, 61, 51, 46, 0.001),  # matched by a smaller one
            24: (0.030, 40, 36, 35, 0.001),
            32: (0.040, 30, 31, 34, 0.001),
            40: (0.050, 29, 26, 25, 0.001),
        }
    )
    assert trained(found) == on_frontier(found) == [8, 24, 32, 40]


def test_a_larger_shape_that_is_clearly_faster_is_on_the_frontier_too(searched):
    shapes = {8: (0.010, 40, 35, 30, 0.01), 16: (0.020, 41, 36, 31, 0.0095), 24: (0.030, 42, 37, 32, 0.005)}
    assert on_frontier(searched(shapes, fresh="as trained")) == [8, 24]


def test_the_better_half_is_kept_where_one_shape_matches_all(searched):
    found = searched({dim: (dim / 1000, dim, dim, dim, 0.001) for dim in (8, 16, 24, 32, 40)})
    assert [len(facts["errors"]) for _, facts in sorted(found.items())] == [3, 3, 2, 1, 1]
    assert on_frontier(found) == [8]


def test_of_shapes_with_one_error_rate_the_smallest_is_best(searched, capsys):
    found = searched({dim: (0.08 - dim / 1000, 35, 35, 35, 0.001) for dim in (24, 32, 40)})
    assert on_frontier(found) == [40]
    assert "best within the budget: --set student.model.dim=40" in capsys.readouterr().out


def test_shapes_that_write_nothing_yet_are_all_given_more_updates(searched, capsys):
    later = {8: (100, 60), 16: (90, 30), 24: (80, 20), 32: (100, 10)}
    found = searched({dim: (dim / 1000, 100, *errors, 0.001) for dim, errors in later.items()})
    assert trained(found) == [8, 16, 24] and len(found[32]["errors"]) == 2
    assert "writes a word" not in capsys.readouterr().err
    searched({dim: (dim / 1000, 100, 100, 100, 0.001) for dim in (8, 16)})
    assert "no shape writes a word yet after 3,000 updates" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-mb", "nan"), "--max-mb: 'nan' is not a number above 0"),
        (("--max-rtf", "-1"), "--max-rtf: '-1' is not a number above 0"),
        (("--try", "model.dim=[8]", "--try", "model.dim=[16]"), "--try model.dim: twice"),
        (("--try", "model.dim=[8, 8]"), "[--try] model.dim = [8, 8]: has a value twice"),
    ],
)
def test_a_budget_and_tries_that_are_none_are_refused(tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(ROOT / "egs" / "demo")
    with released(), pytest.raises(UsageError, match=re.escape(said)):
        search.main([*options, str(tmp_path)])


def test_a_shape_that_decodes_too_slowly_once_it_is_trained_is_left_out(searched, capsys):
    shapes = {8: (0.01, 60, 50, 45, 0.002), 16: (0.02, 30, 20, 10, 0.06), 24: (0.03, 40, 30, 20, 0.05)}
    found = searched(shapes, "--max-rtf", "0.05")
    assert trained(found) == [8, 16, 24] and on_frontier(found) == [8, 24]
    said = capsys.readouterr().out
    assert "best within the budget: --set student.model.dim=24" in said
    assert next(line for line in said.splitlines() if "model.dim = 16" in line).endswith("over the budget")
    slow = {dim: (mb, *errors, 0.06) for dim, (mb, *errors, _) in shapes.items()}
    with pytest.raises(UsageError, match="--max-rtf 0.05: the smallest shape takes 0.010 MB at 0.0600"):
        searched(slow, "--max-rtf", "0.05")


@pytest.mark.parametrize(
    ("decode", "heads", "expected"),
    [
        ('decoder = "greedy"', "ctc = {}", True),
        ('decoder = "beam"', "ctc = {}", False),
        ('decoder = "greedy"', "hmm = {}", True),
        ('decoder = "greedy"', "las = {}\nctc = {}", False),
        ('head = "ctc"', "las = {}\nctc = {}", True),
    ],
)
def test_speed_is_known_before_the_training_where_no_weight_decides_it(tmp_path, decode, heads, expected):
    model = f'[student.model]\nencoder = "lstm"\n[student.heads]\n{heads}\n'
    (tmp_path / "conf.toml").write_text(f"[decode]\n{decode}\n{model}")
    config = load(tmp_path / "conf.toml", [])
    assert is_steady(config, config.systems["student"]) is expected


def test_no_shape_is_left_out_for_a_speed_that_only_its_training_shows(searched, capsys):
    shapes = {8: (0.01, 60, 50, 45, 0.002), 16: (0.02, 30, 20, 10, 0.06), 24: (0.08, 40, 30, 20, 0.05)}
    found = searched(shapes, "--max-rtf", "0.05", "--max-mb", "0.05", fresh=None)
    assert trained(found) == [8, 16] and on_frontier(found) == [8]
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "model.dim = " in line]
    assert {row[2]: row[4] for row in rows if row[0] == "model.dim"} == {"8": "0.0020", "16": "0.0600", "24": "–"}
    with pytest.raises(UsageError, match="--max-mb 0.001 --max-rtf inf: the smallest shape takes 0.010 MB;"):
        searched(shapes, "--max-mb", "0.001", fresh=None)


def test_the_speed_is_the_best_of_three_measurements_after_a_first_that_does_not_count(tmp_path, monkeypatch):
    clock, heard = [0.0], []

    def decode_set(model, feats_scp, num_frames, device, settings):
        heard.append((list(feats_scp), list(num_frames)))
        clock[0] += (9.0, 4.0, 2.0, 3.0)[len(heard) - 1]

    monkeypatch.setattr("steps.decoding.decode_set.decode_set", decode_set)
    monkeypatch.setattr(time, "process_time", lambda: clock[0])
    (tmp_path / "utt2num_frames").write_text("u-1 300\nu-2 100\n")
    (tmp_path / "feats.scp").write_text("u-1 a\nu-2 b\n")
    loaded = SimpleNamespace(model=SimpleNamespace(feature_shift_ms=10.0))
    assert speed_of(loaded, tmp_path, DecodeConfig()) == pytest.approx(2.0 / 4.0)
    assert heard[1:] == [(["u-1", "u-2"],) * 2] * 3
