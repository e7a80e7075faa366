"""Stages with a beam search, and with pieces of words as tokens."""

import json
import shutil

import pytest

from tests.pipeline.tiny import copy_recipe, run_stages
from tests.support import ROOT, assert_status, command, error_of

BEAM = ("--set", "decode.decoder=beam", "--set", "decode.nbest=4")
PIECES = ("--set", "tokens.unit=bpe", "--set", "tokens.vocab_size=15")
STUDENT = "exp/student/seed0"


def nbest_of(recipe):
    lines = (recipe / STUDENT / "decode_test" / "nbest.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def run_command(recipe, *args):
    assert_status(command(*args, cwd=recipe), 0)


@pytest.fixture(scope="module")
def searched(made, corpus, tmp_path_factory):
    """(recipe, result): what the full run made, decoded once more with a beam; nobody changes it."""
    copy = copy_recipe(made[0], tmp_path_factory.mktemp("searched") / "recipe")
    result = run_stages(copy, corpus, *BEAM)
    assert_status(result, 0)
    return copy, result


def test_score_and_results_say_how_was_decoded(searched, made):
    recipe, result = searched
    settings = {"decoder": "beam", "beam_size": 16, "beam_tokens": 20, "beam_threshold": 20.0, "nbest": 4}
    score = json.loads((recipe / STUDENT / "decode_test" / "score.json").read_text())
    part = json.loads((recipe / "exp" / "results.json").read_text())["sets"]["test"]
    assert score["decode"] == part["decode"] == settings
    told = "decoder: beam (beam_size 16, beam_tokens 20, beam_threshold 20, nbest 4)"
    assert told in result.stdout and told in (recipe / "exp" / "RESULTS.md").read_text()
    assert "decoder: greedy" in made[1].stdout and "decoder: greedy" in (made[0] / "exp" / "RESULTS.md").read_text()


def test_another_decoder_makes_hypotheses_and_scores_stale(searched, corpus):
    lines = run_stages(searched[0], corpus, "--why", first=3).stdout.splitlines()
    due = {line.split(" ")[0] for line in lines if ": " in line and not line.endswith("up to date")}
    assert due == {"decode", "score", "compare", "report"}
    assert f"decode {STUDENT}/decode_test: setting beam_size changed (16 -> unset)" in lines


def test_an_n_best_list_is_sorted_and_begins_with_the_text(searched):
    texts = dict(line.split(" ", 1) for line in (searched[0] / STUDENT / "decode_test" / "text").open())
    found = nbest_of(searched[0])
    for entry in found:
        scores = [hypothesis["score"] for hypothesis in entry["nbest"]]
        assert 1 <= len(scores) <= 4 and scores == sorted(scores, reverse=True) and scores[0] < 0
        assert entry["nbest"][0]["text"] == texts[entry["utt_id"]].strip()
        assert all(len(h["tokens"]) == len(h["start_s"]) == len(h["text"].split()) for h in entry["nbest"])
    assert max(len(entry["nbest"]) for entry in found) == 4


def test_a_labelling_is_at_least_as_probable_as_its_best_path(searched, made):
    greedy = {entry["utt_id"]: entry["nbest"][0] for entry in nbest_of(made[0])}
    found = {entry["utt_id"]: entry["nbest"] for entry in nbest_of(searched[0])}
    same = [(h, greedy[u]) for u, nbest in found.items() for h in nbest if h["tokens"] == greedy[u]["tokens"]]
    assert same and all(a["score"] >= b["score"] for a, b in same)


def test_a_beam_gives_the_same_bytes_again_and_greedy_decoding_the_old_ones(searched, made, tmp_path):
    copy = copy_recipe(searched[0], tmp_path / "recipe")
    file = copy / STUDENT / "decode_test" / "nbest.jsonl"
    before = file.read_bytes()
    run_command(copy, "steps.decode", STUDENT, "data/test")
    assert file.read_bytes() == (made[0] / STUDENT / "decode_test" / "nbest.jsonl").read_bytes() != before
    run_command(copy, "steps.decode", *BEAM, STUDENT, "data/dev", "data/test")
    assert file.read_bytes() == before


def test_scores_of_another_decoder_are_not_compared(searched, tmp_path):
    copy = copy_recipe(searched[0], tmp_path / "recipe")
    said = error_of(command("steps.compare", "--seeds", "0", "exp", cwd=copy), 4)
    assert "of hypotheses decoded with other settings (decode.decoder beam -> greedy); decode and score again" in said
    run_command(copy, "steps.decode", STUDENT, "data/dev")
    run_command(copy, "steps.score", "data/dev", f"{STUDENT}/decode_dev")
    said = error_of(command("steps.compare", "--seeds", "0", *BEAM, "exp", cwd=copy), 4)
    assert said.startswith(f"{STUDENT}/decode_dev/score.json: of hypotheses decoded with") and "greedy -> beam" in said


def test_scores_of_other_units_are_not_compared(made, tmp_path):
    copy = copy_recipe(made[0], tmp_path / "recipe")
    said = error_of(command("steps.report", "--seeds", "0", "--set", "score.unit=char", "exp", cwd=copy), 4)
    assert "made with other settings (score.unit word -> char); run stage 9 again" in said
    run_command(copy, "steps.score", "--set", "score.unit=char", "data/test", f"{STUDENT}/decode_test")
    said = error_of(command("steps.compare", "--seeds", "0", "exp", cwd=copy), 4)
    assert said.startswith(f"{STUDENT}/decode_test/score.json: its errors were counted with another [score]: char")


def test_hypotheses_from_elsewhere_are_scored_without_a_decoder(searched, tmp_path):
    copy = copy_recipe(searched[0], tmp_path / "recipe")
    (copy / "other").mkdir()
    shutil.copy(copy / "data" / "test" / "text", copy / "other" / "text")
    run_command(copy, "steps.score", "data/test", "other")
    score = json.loads((copy / "other" / "score.json").read_text())
    assert (score["decode"], score["errors"]) == (None, 0)


def test_sets_that_would_be_decoded_into_one_folder_are_refused(made, tmp_path):
    said = error_of(command("steps.decode", STUDENT, "data/test", "other/test", cwd=made[0]), 2)
    assert said == "two sets are called 'test', and would be decoded into one folder"
    assert "'-1' is not a number from 0 on" in error_of(
        command("steps.decode", "--gpus", "-1", STUDENT, "data/test", cwd=made[0]), 2
    )


def test_a_machine_without_flashlight_ends_with_5(searched, tmp_path):
    copy = copy_recipe(searched[0], tmp_path / "recipe")
    (tmp_path / "none" / "flashlight").mkdir(parents=True)
    (tmp_path / "none" / "flashlight" / "__init__.py").write_text("raise ImportError('none here')\n")
    args, path = ("steps.decode", "--force", STUDENT, "data/test"), f"{tmp_path / 'none'}:{ROOT}"
    assert_status(command(*args, cwd=copy, PYTHONPATH=path), 0)
    result = command(*args, *BEAM, cwd=copy, PYTHONPATH=path)
    assert "needs the package flashlight-text (none here); run: python3 -m pip install" in error_of(result, 5)


@pytest.fixture(scope="module")
def pieces(made, corpus, tmp_path_factory):
    """The recipe, run once more with pieces of words; nobody changes it."""
    copy = copy_recipe(made[0], tmp_path_factory.mktemp("pieces") / "recipe")
    assert_status(run_stages(copy, corpus, *PIECES), 0)
    return copy


def test_pieces_are_trained_on_decoded_and_scored(pieces, corpus):
    tokens = (pieces / "data" / "lang" / "tokens.txt").read_text()
    assert tokens.startswith("<blk> 0\n") and len(tokens.splitlines()) == 15 and "▁" in tokens
    assert (pieces / STUDENT / "tokens.txt").read_text() == tokens
    for entry in nbest_of(pieces):
        (best,) = entry["nbest"]
        assert "".join(best["tokens"]).replace("▁", " ").split() == best["text"].split()
    assert "nothing to do" in run_stages(pieces, corpus, *PIECES).stderr


@pytest.mark.parametrize("unit", ["word", "char"])
def test_pieces_are_scored_in_words_and_characters(pieces, tmp_path, unit):
    copy = copy_recipe(pieces, tmp_path / "recipe")
    folder = "exp/teacher/seed0/decode_test"
    run_command(copy, "steps.score", *PIECES, "--set", f"score.unit={unit}", "--force", "data/test", folder)
    score = json.loads((copy / folder / "score.json").read_text())
    words = [line.split()[1:] for line in (copy / "data" / "test" / "text").read_text().splitlines()]
    units = [len(text) if unit == "word" else len("".join(text)) for text in words]
    assert (score["unit"], score["ref_units"]) == (unit, sum(units))


def test_a_model_of_pieces_decodes_elsewhere(pieces, tmp_path):
    shutil.copytree(pieces / STUDENT, tmp_path / "model", ignore=shutil.ignore_patterns("decode_*"))
    shutil.copytree(pieces / "data" / "test", tmp_path / "data" / "test")
    run_command(tmp_path, "steps.decode", "model", "data/test")
    here = (pieces / STUDENT / "decode_test" / "text").read_bytes()
    assert (tmp_path / "model" / "decode_test" / "text").read_bytes() == here


def test_a_decoder_is_chosen_without_a_recipe_too(pieces, tmp_path):
    shutil.copytree(pieces / STUDENT, tmp_path / "model", ignore=shutil.ignore_patterns("decode_*"))
    shutil.copytree(pieces / "data" / "test", tmp_path / "data" / "test")
    run_command(tmp_path, "steps.decode", *BEAM, "model", "data/test")
    manifest = json.loads((tmp_path / "model" / "decode_test" / "manifest.json").read_text())
    assert manifest["settings"]["decoder"] == "beam"
    said = error_of(command("steps.decode", "--set", "student.model.dim=3", "model", "data/test", cwd=tmp_path), 2)
    assert "conf.toml has no system 'student'" in said
    said = error_of(command("steps.decode", "--config", "none.toml", "model", "data/test", cwd=tmp_path), 2)
    assert "none.toml: no such configuration" in said


def test_a_character_that_is_no_piece_is_counted_as_unknown(pieces, tmp_path):
    copy = shutil.copytree(pieces, tmp_path / "recipe", ignore=shutil.ignore_patterns("exp"))
    path = copy / "data" / "train" / "text"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([f"{first} zoo", *rest, ""]))
    (copy / "data" / "lang" / "manifest.json").unlink()  # so that it passes for made elsewhere
    result = command("steps.train", "--system", "teacher", *PIECES, cwd=copy)
    utt_id = first.split()[0]
    assert f"data/train/text:1: utterance '{utt_id}' holds a token that is not in tokens.txt" in error_of(result, 3)
