"""Two heads that write: one in words, one in the letters of other transcripts."""

import json

import pytest

from tests.pipeline.tiny import run_stages
from tests.support import assert_status
from utils.data_dir.tables import read_table, write_table

SYSTEMS = """
[tokens.letters]
unit = "char"

[both]
base = "student"
distill = []
model.subsampling = 2
train.updates = 20

[both.heads.ctc]
[both.heads.spelling]
type = "ctc"
tokens = "letters"
weight = 0.3
"""


@pytest.mark.long
def test_a_second_head_learns_other_transcripts(recipe, corpus):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + SYSTEMS)
    for name in ("train", "dev", "test"):
        texts = read_table(recipe / f"data/{name}/text")
        write_table(recipe / f"data/{name}/text_letters", {u: text.upper() for u, text in texts.items()})
    assert_status(run_stages(recipe, corpus, first=3), 0)
    letters = (recipe / "data/lang_letters/tokens.txt").read_text()
    assert "L " in letters and "l " not in letters
    folder = recipe / "exp/both/seed0"
    assert (folder / "tokens_letters.txt").read_text() == letters
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["train_spelling"] > 0 and line["dev_spelling"] > 0
    options = ("--set", "decode.head=spelling", "--set", "score.unit=char")
    assert_status(run_stages(recipe, corpus, *options, first=8, last=8), 2)  # the student has no such head
    again = run_stages(recipe, corpus, first=3)
    assert "everything is up to date" in again.stdout + again.stderr


def test_tokens_that_are_not_there_are_refused(recipe, corpus):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + SYSTEMS.replace('[tokens.letters]\nunit = "char"\n', ""))
    result = run_stages(recipe, corpus, first=3)
    assert_status(result, 2)
    assert "[both.heads.spelling] tokens = 'letters': no [tokens.letters]" in result.stderr
