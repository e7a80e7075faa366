"""Choice of settings on dev, and further systems beside the twin that a distilled one is compared with."""

import json

from tests.pipeline.tiny import hashes, run_stages
from tests.support import assert_status, command, error_of

GRID = """
[student.tune]
distill.0.weight = [0.2, 0.8]
[student.tune_plain]
train.lr = [0.01, 0.02]
"""
LONG = """
[student_long]
base = "student"
distill = []
train.updates = 50
"""


def add(recipe, text):
    conf = recipe / "conf.toml"
    conf.write_text(conf.read_text() + text)


def test_a_grid_is_tried_on_dev_alone_and_changes_no_result(recipe, corpus):
    add(recipe, GRID)
    before = hashes(recipe)
    result = run_stages(recipe, corpus, "--tune", "student", first=5)
    assert_status(result, 0)
    found = json.loads((recipe / "exp/tune/student.json").read_text())
    assert found["set"] == "dev" and found["seeds"] == [0]
    settings = {name: sorted(str(row["settings"]) for row in rows) for name, rows in found["systems"].items()}
    assert settings == {
        "student": ["{'distill.0.weight': '0.2'}", "{'distill.0.weight': '0.8'}"],
        "student_plain": ["{'train.lr': '0.01'}", "{'train.lr': '0.02'}"],
    }
    for rows in found["systems"].values():
        assert rows[0]["error_rate"] <= rows[1]["error_rate"]
        assert "distill.0.weight = 0.8" in result.stdout
    weights = [
        (recipe / f"exp/tune/{point}/model.safetensors").read_bytes()
        for point in ("distill.0.weight=0.2/student/seed0", "distill.0.weight=0.8/student/seed0")
    ]
    assert weights[0] != weights[1]
    assert {path.name for path in recipe.glob("exp/tune/*/*/seed0/decode_*")} == {"decode_dev"}
    untuned = (recipe / "exp/student_plain/seed0/model.safetensors").read_bytes()  # its lr is one of the grid's
    same = recipe / "exp/tune/train.lr=0.01/student_plain/seed0/model.safetensors"
    assert same.read_bytes() == untuned
    after = hashes(recipe)
    assert {name: after[name] for name in before} == before
    again = run_stages(recipe, corpus, "--tune", "student", first=5)
    assert_status(again, 0)
    assert "nothing to do" in again.stderr and "distill.0.weight = 0.8" in again.stdout
    assert_status(run_stages(recipe, corpus, first=11), 0)
    report = (recipe / "exp/RESULTS.md").read_text()
    assert "## Choice on dev: student and its twin" in report and "| student_plain | train.lr = 0.02 |" in report
    other = command(
        "steps.report", "--seeds", "0", "--set", "student.tune_plain.train.lr=[0.01, 0.03]", "exp", cwd=recipe
    )
    assert_status(other, 0)
    assert "exp/tune/student.json: left out of the report: " in other.stderr
    assert "## Choice on dev" not in (recipe / "exp/RESULTS.md").read_text()


def test_a_recipe_without_grid_is_not_tuned(recipe, corpus):
    result = run_stages(recipe, corpus, "--tune", "student", first=5)
    assert_status(result, 2)
    assert "has no [[distill]], or no [student.tune]" in result.stderr
    result = run_stages(recipe, corpus, "--tune", "studnet", first=5)
    assert_status(result, 2)
    assert "no system 'studnet'; valid: student" in result.stderr


def test_a_control_is_a_row_beside_the_twin(recipe, corpus):
    add(recipe, LONG)
    assert_status(run_stages(recipe, corpus, "--set", 'student.controls=["student_long"]', first=5), 0)
    part = json.loads((recipe / "exp/results.json").read_text())["sets"]["test"]
    assert part["systems"]["student_long"]["updates"] == 50
    pairs = [(c["student"], c["distilled"], c["twin"]) for c in part["comparisons"]]
    assert pairs == [("student_plain", "student", True), ("student_long", "student", False)]


def test_a_student_is_shaped_to_a_budget(recipe, corpus):
    options = ("--max-mb", "0.04", "--try", "model.dim=[8, 16, 64]", "--nj", "2")
    found = command("steps.distil_to_budget", *options, "exp", cwd=recipe)
    assert_status(found, 0)
    told = json.loads((recipe / "exp" / "budget" / "student.json").read_text())
    sizes = [shape["megabytes"] for shape in told["shapes"]]
    assert max(sizes) <= 0.04 < min(shape["megabytes"] for shape in told["over_budget"])
    assert len(sizes) == 2 and len(told["over_budget"]) == 1
    by_rung = [sum(str(updates) in shape["errors"] for shape in told["shapes"]) for updates in (10, 20, 40)]
    assert by_rung[0] == 2 and by_rung[0] >= by_rung[1] >= by_rung[2] > 0
    assert any(shape["on_frontier"] for shape in told["shapes"])
    assert "best within the budget: --set student.model.dim=" in found.stdout
    again = command("steps.distil_to_budget", *options, "exp", cwd=recipe)
    assert_status(again, 0)
    assert again.stdout.splitlines()[-2:] == found.stdout.splitlines()[-2:]
    beam = ("--set", 'decode.decoder="beam"', "--max-mb", "0.0001")
    assert error_of(command("steps.distil_to_budget", *beam, "exp", cwd=recipe), 2).endswith(
        " MB; allow more, or --try smaller ones"
    )
    assert_status(command("steps.distil_to_budget", "--try", "model.dim=x", "exp", cwd=recipe), 2)
