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
        (["--stage", ""], "--stage '' is not a number"),
        (["--nj", "two"], "--nj 'two' is not a number"),
        (["--nj", "0"], "--nj must be at least 1"),
        (["--stage", "9", "--stop-stage", "3"], "no stage from 9 to 3; they are 0 to 11"),
        (["--stop-stage", "12"], "no stage from 0 to 12; they are 0 to 11"),
        (["--no-such-option"], "unknown option --no-such-option"),
        (["--seeds"], "--seeds needs a value"),
        (["--set"], "--set needs a value"),
        (["--force=yes"], "--force takes no value"),
        (["stage"], "unexpected argument 'stage'"),
        (["--corpus-dir", "/no/such/folder"], "--corpus-dir '/no/such/folder' is not a folder"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_2(args, said):
    result = driver(YESNO, *args)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"run.sh: {said}; see --help\n")


def test_a_stage_with_a_leading_zero_is_a_decimal_number_or_refused(tmp_path):
    result = driver(YESNO, "--stage", "08", "--stop-stage", "3")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def test_a_recipe_without_configuration_is_refused(tmp_path):
    result = driver(tmp_path)
    assert (result.returncode, result.stderr) == (2, f"run.sh: --recipe '{tmp_path}' holds no conf.toml; see --help\n")


def test_seeds_that_are_no_numbers_are_refused(tmp_path):
    (tmp_path / "conf.toml").write_text((YESNO / "conf.toml").read_text())
    result = driver(tmp_path, "--seeds", "0 x", "--stage", "9", "--stop-stage", "9")
    assert result.returncode == 2 and "--seeds '0 x'" in result.stderr and "Traceback" not in result.stderr
