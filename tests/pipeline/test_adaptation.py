"""The table of adapters for single speakers, made of the tiny recipe."""

import shutil

from tests import warm
from tests.pipeline.tiny import SPEAKERS
from tests.support import ROOT, assert_status, execute


def test_each_speaker_has_a_row_and_what_is_there_is_not_made_again(recipe):
    shutil.rmtree(recipe / "data/test")
    shutil.copytree(recipe / "data/train", recipe / "data/test")  # four utterances of each speaker
    args = [ROOT / "tests/bench/adaptation.sh", "--recipe", recipe, "--base", "student", "--utts", "2", "--nj", "2"]
    result = execute(args, ROOT, **warm.environment())
    assert_status(result, 0)
    table = (recipe / "ADAPTATION.md").read_text()
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert rows[2:] == [*SPEAKERS, "all"] and f"`student` of `egs/{recipe.name}/conf.toml`" in table
    assert (recipe / "exp/adaptation/ada/student/seed0/decode_eval_ada/score.json").is_file()
    again = execute(args, ROOT, **warm.environment())
    assert_status(again, 0)
    assert "done in" not in again.stderr and (recipe / "ADAPTATION.md").read_text() == table
