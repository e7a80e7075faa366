import shutil
import subprocess
import time

import pytest

from tests.support import ROOT, driver, execute

YESNO = ROOT / "egs" / "yesno"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_the_header_of_the_driver(option):
    result = execute([ROOT / "run.sh", option], ROOT)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith("Runs the stages of a recipe") and "--stop-stage N" in result.stdout
    assert "set -euo" not in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--stage", "x"], "--stage 'x' is not a number"),
        (["--stage", "-1"], "--stage '-1' is not a number"),
        (["--stage", ""], "--stage needs a value"),
        (["--nj", "two"], "--nj 'two' is not a number"),
        (["--nj", "0"], "--nj must be at least 1"),
        (["--stage", "9", "--stop-stage", "3"], "no stage from 9 to 3; they are 0 to 11"),
        (["--stop-stage", "12"], "no stage from 0 to 12; they are 0 to 11"),
        (["--no-such-option"], "unknown option --no-such-option"),
        (["--seeds"], "--seeds needs a value"),
        (["--set"], "--set needs a value"),
        (["--force=yes"], "--force takes no value"),
        (["stage"], "unexpected argument 'stage'"),
        (["--config"], "--config needs a value"),
        (["--config", "conf_tpu.toml"], f"--recipe '{YESNO}' holds no conf_tpu.toml"),
        (
            ["--stage", "9", "--stop-stage", "9", "--publish"],
            "--publish needs stage 11, and its results: leave out --stop-stage, --tune and --why",
        ),
        (["--recipe", "/no/such/folder"], "--recipe '/no/such/folder' is not a folder"),
        (["--corpus-dir", "/no/such/folder"], "--corpus-dir '/no/such/folder' is not a folder"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_2(args, said):
    result = driver(YESNO, *args)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"run.sh: {said}; see --help\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--split"], "--split needs a value"),
        (["--seeds"], "--seeds needs a value"),
        (["--split", ""], "--split '': choose published or unseen"),
        (["--split="], "--split '': choose published or unseen"),
        (["--split", "other"], "--split 'other': choose published or unseen"),
        (["--exp-dir", "x"], "--exp-dir: each split has folders of its own"),
        (["--data-dir=x"], "--data-dir=x: each split has folders of its own"),
        (["--out-dir", "x"], "--out-dir: each split has folders of its own"),
        (["--tune", "student", "--publish"], "--publish needs all stages to the last one"),
        (["--split", "unseen", "--publish"], "--publish writes both splits"),
        (["--stop-stage", "9", "--publish"], "--publish needs all stages to the last one"),
    ],
)
def test_a_wrong_option_of_fsdd_is_one_line_and_status_2(args, said):
    result = execute([ROOT / "egs" / "fsdd" / "run.sh", *args], ROOT)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"run.sh: {said}") and result.stderr.count("\n") == 1


def test_a_recipe_is_found_through_a_link(tmp_path):
    (tmp_path / "link").symlink_to(YESNO)
    result = execute([tmp_path / "link" / "run.sh", "--help"], tmp_path)
    assert result.returncode == 0 and "--corpus-dir" in result.stdout


def test_an_exported_cdpath_moves_nothing(tmp_path):
    elsewhere = tmp_path / "egs" / "yesno"
    elsewhere.mkdir(parents=True)
    (elsewhere / "conf.toml").write_text((YESNO / "conf.toml").read_text())
    options = ("--recipe", "egs/yesno", "--exp-dir", tmp_path / "exp", "--stage", "3", "--stop-stage", "3", "--why")
    result = execute([ROOT / "run.sh", *options], ROOT, CDPATH=str(tmp_path))
    assert result.returncode == 0 and str(elsewhere) not in result.stdout + result.stderr


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "R&D"
    result = driver(YESNO, "--data-dir", folder, "--exp-dir", tmp_path / "exp", "--stage", "8", "--stop-stage", "8")
    assert result.returncode == 3 and str(folder) in result.stderr


def test_a_signal_to_the_script_of_several_runs_stops_the_one_at_work(tmp_path):
    recipe = tmp_path / "egs" / "fsdd"
    recipe.mkdir(parents=True)
    shutil.copy(ROOT / "egs" / "fsdd" / "run.sh", recipe)
    stub = tmp_path / "run.sh"
    stub.write_text(
        f"#!/bin/bash\ntrap 'echo stopped >> {tmp_path}/log; exit 7' TERM\necho up >> {tmp_path}/log\n"
        "for i in {1..300}; do sleep 0.1; done\n"
    )
    stub.chmod(0o755)
    with subprocess.Popen([recipe / "run.sh"]) as process:
        while not (tmp_path / "log").exists():
            time.sleep(0.05)
        process.terminate()
        assert process.wait(20) == 7
    assert (tmp_path / "log").read_text() == "up\nstopped\n"


def test_an_experiment_folder_that_cannot_be_made_is_one_line_and_status_5(tmp_path):
    (tmp_path / "file").touch()
    result = driver(YESNO, "--exp-dir", tmp_path / "file", "--stage", "9", "--stop-stage", "9")
    assert result.returncode == 5 and f"--exp-dir '{tmp_path}/file' cannot be written" in result.stderr


def test_the_path_helper_runs_single_commands_from_any_folder(tmp_path):
    line = f". '{ROOT}/utils/path.sh' && cd '{tmp_path}' && python3 -m utils.validate_data_dir none"
    result = execute(["bash", "-c", line], tmp_path)
    assert result.returncode == 3 and "none: no such data directory" in result.stderr


def test_a_stage_with_a_leading_zero_is_a_decimal_number_or_refused(tmp_path):
    result = driver(YESNO, "--stage", "08", "--stop-stage", "3")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def test_a_recipe_without_configuration_is_refused(tmp_path):
    result = driver(tmp_path)
    assert (result.returncode, result.stderr) == (2, f"run.sh: --recipe '{tmp_path}' holds no conf.toml; see --help\n")


@pytest.mark.parametrize(
    ("config", "variant"), [("conf.toml", ""), ("conf_gpu.toml", "_gpu"), ("./try.toml", "_try"), ("conf2.toml", "_2")]
)
def test_a_configuration_has_folders_of_its_own(tmp_path, config, variant):
    (tmp_path / config).write_text((YESNO / "conf.toml").read_text() + "[late.model]\nencoder = 'none'\n")
    options = ["--config", config, "--stage", "1", "--stop-stage", "1"]
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "prepare_data.py").write_text("import sys\nprint(*sys.argv[1:])\nsys.exit(3)\n")
    assert "late.model.encoder = 'none'" in driver(tmp_path, *options).stderr
    (tmp_path / config).write_text((YESNO / "conf.toml").read_text())
    assert driver(tmp_path, *options).returncode == 3
    told = (tmp_path / f"exp{variant}" / "log" / "stage1.prepare.log").read_text().split()
    assert told[told.index("--data-dir") + 1] == f"data{variant}" and told[told.index("--config") + 1] == config


def test_seeds_that_are_no_numbers_are_refused(tmp_path):
    (tmp_path / "conf.toml").write_text((YESNO / "conf.toml").read_text())
    result = driver(tmp_path, "--seeds", "0 x", "--stage", "9", "--stop-stage", "9")
    assert result.returncode == 2 and "--seeds '0 x'" in result.stderr and "Traceback" not in result.stderr
