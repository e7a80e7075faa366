import pytest

from tests.support import ROOT, execute

SCRIPT = """#!/usr/bin/env bash
# Does a thing.
#
#   --nj N   processes (4)
set -euo pipefail
# not a part of the help
stage=0
stop_stage=11
name=
why=false
set=
overrides=()
option_names="stage stop-stage name why set"
source "$ROOT/utils/parse_options.sh"
printf '%s\\n' "$stage" "$stop_stage" "$name" "$why" "${#overrides[@]}" "${overrides[@]}"
"""


def run_script(tmp_path, *args):
    path = tmp_path / "my script.sh"
    path.write_text(SCRIPT)
    return execute(["bash", path, *args], tmp_path, ROOT=str(ROOT))


@pytest.mark.parametrize(
    ("args", "values"),
    [
        ([], ["0", "11", "", "false", "0"]),
        (["--stage", "3", "--stop-stage=5"], ["3", "5", "", "false", "0"]),
        (["--why", "--name", "a b"], ["0", "11", "a b", "true", "0"]),
        (["--name=a=b"], ["0", "11", "a=b", "false", "0"]),
        (["--set", "a.b=1", "--set", "c.d=x y"], ["0", "11", "", "false", "4", "--set", "a.b=1", "--set", "c.d=x y"]),
        (["--name", "$(touch marker)`touch marker`"], ["0", "11", "$(touch marker)`touch marker`", "false", "0"]),
    ],
)
def test_options_set_variables(tmp_path, args, values):
    result = run_script(tmp_path, *args)
    assert (result.returncode, result.stdout.splitlines()) == (0, values)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--no"], "unknown option --no"),
        (["--name="], "--name needs a value"),
        (["--name", "", "--why"], "--name needs a value"),  # a variable that was not set
        (["--no=1"], "unknown option --no"),
        (["--"], "unknown option --"),
        (["--overrides", "x"], "unknown option --overrides"),
        (["--stage stop"], "unknown option --stage stop"),
        (["--stage"], "--stage needs a value"),
        (["--why=true"], "--why takes no value"),
        (["x"], "unexpected argument 'x'"),
        (["-x"], "unexpected argument '-x'"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_2(tmp_path, args, said):
    result = run_script(tmp_path, *args)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"my script.sh: {said}; see --help\n"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_the_header_comment(tmp_path, option):
    result = run_script(tmp_path, option)
    assert (result.returncode, result.stdout) == (0, "Does a thing.\n\n  --nj N   processes (4)\n")
