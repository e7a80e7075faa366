"""Scores that tests make up: of systems side by side, and as they lie in an experiment."""

import json
from pathlib import Path

import numpy as np

from steps.config.schema import Config
from steps.scoring.comparison import SystemScores
from steps.scoring.score_set import score_set
from steps.scoring.units import Units


def scores(seeds, errors, ref_units=(100, 100, 100, 100)):
    """Errors of each seed and speaker."""
    ref_units = np.array(ref_units)
    return SystemScores(list(range(seeds)), np.array(errors), ref_units, [f"s{i}" for i in range(len(ref_units))], [""])


TWIN = scores(3, [[40, 42, 38, 40], [41, 43, 39, 41], [39, 41, 37, 39]])
BETTER = scores(3, [[30, 32, 28, 30], [32, 34, 30, 32], [29, 31, 27, 29]])
TEACHER = scores(1, [[20, 22, 18, 20]])


def write_run(folder: Path, config: Config, set_name: str, texts: tuple[dict, dict], *, hours=0.0, cpu_seconds=60):
    """What comparisons read of one run, of phones; `folder` is that of its seed, `texts` references and hypotheses.

    A speaker's name is that of an utterance before its number.
    """
    (folder / f"decode_{set_name}").mkdir(parents=True)
    facts = {"params": 9, "train": {"train": {"updates": 5}}, "labelled_hours": 1.0, "unlabelled_hours": hours}
    (folder / "config.json").write_text(json.dumps(facts))
    (folder / "manifest.json").write_text(json.dumps({"counts": {"cpu_seconds": cpu_seconds}}))
    ref, hyp = texts
    figures, _ = score_set(ref, hyp, {utt_id: utt_id.split("-")[0] for utt_id in ref}, Units("phone"))
    named = {"system": folder.parent.name, "seed": int(folder.name.removeprefix("seed")), "set": set_name}
    named["decode"] = config.decode.in_use()
    (folder / f"decode_{set_name}" / "score.json").write_text(json.dumps(named | figures))
