"""Other features than mel energies, from the audio to a hypothesis."""

import json

from tests.pipeline.tiny import run_stages
from tests.support import assert_status, command, error_of
from utils.data_dir.tables import read_table

SETTINGS = ("type=mfcc", "num_ceps=12", "deltas=2", "cmvn=speaker")


def sets(*settings):
    return [text for setting in settings for text in ("--set", f"features.{setting}")]


def test_a_model_learns_from_cepstra_and_hears_no_others(prepared, corpus):
    assert_status(run_stages(prepared, corpus, *sets(*SETTINGS), first=1, last=5), 0)
    config = json.loads((prepared / "exp" / "teacher" / "seed0" / "config.json").read_text())
    assert config["features"]["cmvn"] == "speaker" and config["train"]["spec_augment"]["num_freq_masks"] == 0
    decode = ("steps.decode", "exp/teacher/seed0", "data/test")
    assert_status(command(*decode, cwd=prepared), 0)
    hypotheses = read_table(prepared / "exp" / "teacher" / "seed0" / "decode_test" / "text", has_value=False)
    assert hypotheses.keys() == read_table(prepared / "data" / "test" / "text").keys()
    assert_status(command("steps.make_feats", *sets(*SETTINGS[:-1]), "data/test", cwd=prepared), 0)
    said = error_of(command(*decode, cwd=prepared), 4)
    assert "data/test: features of other settings (cmvn global, the model hears speaker); run steps.make_feats" in said
