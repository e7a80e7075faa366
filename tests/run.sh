#!/usr/bin/env bash
# Sets up what the tests need, and runs them.
#
#   tests/run.sh                            all tests but the long ones and those for a GPU
#   tests/run.sh -k frame_kl                what pytest selects
#   tests/run.sh -m "long or not long"      the long ones too
#   tests/run.sh tests/steps                one folder
#   tests/run.sh -n 0                       one after the other, in place of one process per core
#
# Real recordings are looked for in $RETORT_CORPORA (../shared/data, seen from the repository). Without them the
# tests that need them are skipped; with them a skip is a failure.
set -euo pipefail

case ${1:-} in
  --help | -h)
    sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p}}' "$0"
    exit 0
    ;;
esac

root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
retort_requirements=tests/requirements.txt
source utils/path.sh

if ! command -v cc gcc clang >/dev/null; then # the faults of the disk are made in C
  python3 -m pip install --quiet --disable-pip-version-check ziglang
fi

has_target=false # whether an argument names tests
for argument in "$@"; do
  if [[ -e ${argument%%::*} ]]; then has_target=true; fi
done
targets=()
if ! $has_target; then targets+=(tests); fi
exec python3 -m pytest -c tests/pytest.ini --rootdir . -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder "$@" "${targets[@]}"
