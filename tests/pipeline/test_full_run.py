import json
import re
import sys

import pytest

from steps.nnet.tensor_file import load_tensors
from tests.pipeline.store_against_live import differences
from tests.pipeline.tiny import (
    assert_nothing_half_made,
    hashes,
    jobs_done,
    run_stages,
    worked,
    write_corpus,
    write_recipe,
)
from tests.support import change_keeping_size_and_time, execute

SYSTEMS = ("teacher", "student", "student_plain")


def test_a_full_run_makes_what_the_design_lists(made):
    recipe, _ = made
    files = ["data/train/wav.scp", "data/dev/text", "data/test/feats.scp", "data/train/cmvn", "data/lang/tokens.txt"]
    files += [f"exp/{name}/seed0/{file}" for name in SYSTEMS for file in ("model.safetensors", "config.json", "cmvn")]
    files += [
        f"exp/{name}/seed0/decode_test/{file}" for name in SYSTEMS for file in ("text", "nbest.jsonl", "score.json")
    ]
    files += ["exp/teacher/seed0/soft_labels/train/frame_topk/manifest.json", "exp/results.json", "exp/RESULTS.md"]
    assert [file for file in files if not (recipe / file).is_file()] == []
    assert_nothing_half_made(recipe)


def test_a_full_run_shows_the_comparison(made):
    _, result = made
    assert "student_plain" in result.stdout and "gap closed % [95 %]" in result.stdout


def test_results_hold_what_the_design_lists(made):
    recipe, _ = made
    part = json.loads((recipe / "exp" / "results.json").read_text())["sets"]["test"]
    assert set(part["systems"]) == set(SYSTEMS)
    keys = {
        "params",
        "error_rate",
        "ci95",
        "seeds",
        "sd",
        "updates",
        "labelled_hours",
        "unlabelled_hours",
        "cpu_minutes",
        "real_time_factor",
    }
    assert all(keys <= set(system) for system in part["systems"].values())
    (comparison,) = part["comparisons"]
    assert {k: comparison[k] for k in ("teacher", "student", "distilled", "twin", "better")} == {
        "teacher": "teacher",
        "student": "student_plain",
        "distilled": "student",
        "twin": True,
        "better": False,
    }


def test_a_score_holds_what_the_design_lists(made):
    recipe, _ = made
    score = json.loads((recipe / "exp" / "student" / "seed0" / "decode_test" / "score.json").read_text())
    assert (score["system"], score["seed"], score["set"], score["unit"]) == ("student", 0, "test", "word")
    assert score["errors"] == score["ins"] + score["del"] + score["sub"]
    assert score["error_rate"] == 100 * score["errors"] / score["ref_units"]
    assert sum(speaker["errors"] for speaker in score["per_speaker"].values()) == score["errors"]


def test_every_manifest_accounts_for_each_utterance(made):
    recipe, _ = made
    for path in recipe.glob("**/*manifest.json"):
        counts = json.loads(path.read_text())["counts"]
        assert counts["in"] == counts["out"] + counts["dropped"], path


def test_a_second_run_does_nothing(recipe, corpus):
    run_stages(recipe, corpus)
    before = jobs_done(recipe)
    result = run_stages(recipe, corpus)
    assert result.returncode == 0 and "nothing to do: everything is up to date" in result.stderr
    assert worked(before, jobs_done(recipe)) == set()


def test_each_stage_runs_again_alone_and_makes_the_same_bytes(recipe, corpus, made):
    for stage in range(12):
        result = run_stages(recipe, corpus, "--force", first=stage, last=stage)
        assert result.returncode == 0, result.stderr
    assert hashes(recipe) == hashes(made[0])
    assert "nothing to do" in run_stages(recipe, corpus).stderr


def test_path_locale_and_processes_change_no_byte(made, tmp_path):
    place = tmp_path / "a b'\"($x)é日"
    corpus, recipe = write_corpus(place / "my corpus"), write_recipe(place / "my recipe")
    result = run_stages(recipe, corpus, "--nj", "1", LC_ALL="POSIX", LANG=None, PYTHONHASHSEED="1", TZ="Asia/Tokyo")
    assert result.returncode == 0, result.stderr
    assert hashes(recipe) == hashes(made[0])


def weights_of(recipe, system):
    return load_tensors(recipe / "exp" / system / "seed0" / "model.safetensors")[0]


def are_equal(a, b):
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def test_a_student_with_weight_0_equals_its_twin_bit_for_bit(recipe, corpus):
    override = ("--set", "student.distill.0.weight=0")
    assert not are_equal(weights_of(recipe, "student"), weights_of(recipe, "student_plain"))  # the control
    result = run_stages(recipe, corpus, *override, first=7, last=7)
    assert result.returncode == 0, result.stderr
    assert are_equal(weights_of(recipe, "student"), weights_of(recipe, "student_plain"))


def test_soft_labels_from_the_store_train_about_as_a_live_teacher_does(recipe, corpus):
    stored = weights_of(recipe, "student")
    result = run_stages(recipe, corpus, "--set", "student.distill.0.source=live", first=7, last=7)
    assert result.returncode == 0, result.stderr
    live = weights_of(recipe, "student")
    assert not are_equal(stored, live)
    assert max(float((stored[name] - live[name]).abs().max()) for name in live) < 0.05


def edit_test_text(recipe, corpus):
    path = recipe / "data" / "test" / "text"
    change_keeping_size_and_time(
        path, path.read_bytes().replace(b"low", b"LOW").replace(b"mid", b"MID").replace(b"top", b"TOP")
    )


def edit_train_text(recipe, corpus):
    path = recipe / "data" / "train" / "text"
    utt_id, words, rest = re.fullmatch(rb"(\S+) (.*?)\n(.*)", path.read_bytes(), re.DOTALL).groups()
    other = words.translate(bytes.maketrans(b"lowmid", b"midlow"))
    change_keeping_size_and_time(path, utt_id + b" " + other + b"\n" + rest)


def edit_test_audio(recipe, corpus):
    path = corpus / "ada" / "ada-5.wav"
    data = bytearray(path.read_bytes())
    data[-1000:] = bytes(1000)
    change_keeping_size_and_time(path, bytes(data))


SCORES = {f"stage9.{name}.seed0.test" for name in SYSTEMS} | {"stage9.compare", "stage11.report"}
DECODED = {f"stage8.{name}.seed0" for name in SYSTEMS}


def of_system(name):
    return {f"stage8.{name}.seed0", f"stage9.{name}.seed0.dev", f"stage9.{name}.seed0.test"}


STUDENT = {"stage7.student.seed0", *of_system("student"), "stage9.compare", "stage11.report"}
TRAINED = {f"stage{7 if 'student' in name else 5}.{name}.seed0" for name in SYSTEMS}
CHANGES = {
    "a transcript of train": (
        edit_train_text,
        [],
        "input data/train/text changed",
        {"stage1.validate.train", "stage3.tokens.lang", "stage4.models", *TRAINED}.union(
            *map(of_system, SYSTEMS), {"stage6.teacher.seed0.train.frame_topk", "stage9.compare", "stage11.report"}
        ),
    ),
    "a transcript of test": (edit_test_text, [], "input data/test/text changed", {"stage1.validate.test", *SCORES}),
    "audio of test": (
        edit_test_audio,
        [],
        "ada-5.wav changed",
        {"stage1.prepare", "stage1.validate.test", "stage2.feats.test", *DECODED, *SCORES},
    ),
    "a setting of distillation": (
        lambda recipe, corpus: None,
        ["--set", "student.distill.0.weight=0.4"],
        "setting distill.0.weight changed (0.5 -> 0.4)",
        STUDENT,
    ),
}


@pytest.fixture
def restored(corpus):
    """Puts the corpus back in the end."""
    before = {path: path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    yield
    for path, data in before.items():
        if path.read_bytes() != data:
            path.write_bytes(data)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_named_and_what_depends_on_it_is_made_again(recipe, corpus, restored, name):
    change, options, said, expected = CHANGES[name]
    change(recipe, corpus)
    before = jobs_done(recipe)
    why = run_stages(recipe, corpus, "--why", *options)
    assert why.returncode == 0 and said in why.stdout, why.stdout + why.stderr
    assert jobs_done(recipe) == before
    result = run_stages(recipe, corpus, *options)
    assert result.returncode == 0, result.stderr
    found = worked(before, jobs_done(recipe))
    assert found <= expected  # a score stays where the same words were recognised
    assert found >= {job for job in expected if not job.startswith(("stage9", "stage11"))}
    assert "nothing to do" in run_stages(recipe, corpus, *options).stderr


def test_why_names_all_that_would_be_made_again_after_a_changed_transcript(recipe, corpus):
    edit_train_text(recipe, corpus)
    lines = run_stages(recipe, corpus, "--why").stdout.splitlines()
    found = {line.split(": ", 1)[0]: line.split(": ", 1)[1] for line in lines if ": " in line}
    assert found["train exp/teacher/seed0"] == "depends on stage 3 (data/lang/tokens.txt), which would run; " + (
        "input data/train/text changed"
    )
    assert found["make_feats data/train/feats"] == "up to date"
    assert "depends on stage 5" in found["make_soft_labels exp/teacher/seed0/soft_labels/train/frame_topk"]
    assert "would run" in found["report exp"]


def test_why_on_a_fresh_recipe_runs_nothing(corpus, tmp_path):
    fresh = write_recipe(tmp_path / "recipe")
    result = run_stages(fresh, corpus, "--why")
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    assert "never made" in result.stdout and not (fresh / "data").exists()


WITHOUT_TORCH = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as e:
    assert not e.code, e.code
heavy = {"torch", "librosa", "scipy", "torchaudio"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["utils.validate_data_dir", "--incremental", "--no-feats", "--allow-empty-text", "data/train"],
        ["steps.make_feats", "data/train"],
        ["steps.compute_cmvn", "data/train"],
        ["steps.make_tokens", "data/train", "data/lang"],
        ["steps.train", "--system", "teacher"],
        ["steps.train", "--system", "student"],
        ["steps.make_soft_labels", "exp/teacher/seed0", "data/train"],
        ["steps.decode", "exp/student/seed0", "data/dev", "data/test"],
        ["steps.score", "data/test", "exp/student/seed0/decode_test"],
        ["steps.compare", "--seeds", "0", "exp"],
        ["steps.list_runs", "students"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_that_is_up_to_date_imports_no_torch(made, arguments):
    recipe, _ = made
    result = execute([sys.executable, "-c", WITHOUT_TORCH, *arguments], recipe)
    assert result.returncode == 0, result.stderr
    assert "up to date" in result.stderr or arguments[0] == "steps.list_runs"


def test_the_term_from_the_store_and_its_gradient_equal_those_of_the_live_teacher(made):
    found = differences(made[0])
    assert found.keys() == {1.0, 2.0, 4.0}
    assert all(term < 0.01 and grad < 0.02 for term, grad in found.values()), found


def test_the_report_is_one_file_whose_counts_are_those_scored(made):
    recipe = made[0]
    html = (recipe / "exp" / "report.html").read_text()
    assert html.count("<svg") == 2 and "data:audio/flac;base64," in html  # learning curves, and reliability
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)
    scores = [
        json.loads((recipe / "exp" / name / "seed0" / "decode_test" / "score.json").read_text())
        for name in ("teacher", "student_plain", "student")
    ]
    row = re.search(r"<tr><td>all</td>((?:<td>-?\d+</td>)+)</tr>", html)
    fixed, broken, wrong, right, net = map(int, re.findall(r"-?\d+", row[1]))
    assert fixed + wrong == scores[1]["sub"] + scores[1]["del"]
    assert broken + wrong == scores[2]["sub"] + scores[2]["del"]
    assert fixed + broken + wrong + right == scores[2]["ref_units"] and net == fixed - broken
