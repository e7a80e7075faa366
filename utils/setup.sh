#!/usr/bin/env bash
# Finds or makes the Python that Retort runs in; the last line of its output is the path of that Python.
#
#   utils/setup.sh [more-requirements.txt ...]
#
# The active Python is used as it is when it satisfies requirements.txt and the packages really import. Otherwise
# a .venv in the repository is made, and made again when the requirements change.
set -euo pipefail

case ${1:-} in
  --help | -h)
    sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p}}' "$0"
    exit 0
    ;;
esac

root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
files=("$root/requirements.txt")
for extra in "$@"; do
  [[ -f $extra ]] || { echo "setup: no such file: $extra" >&2 && exit 2; }
  files+=("$(CDPATH='' cd "$(dirname "$extra")" && pwd)/$(basename "$extra")")
done
venv=$root/.venv
stamp=$venv/retort-requirements

fail() {
  echo "setup: $1" >&2
  exit 5
}

# The first Python that is new enough.
find_python() {
  local name
  for name in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  fail "Python 3.11 or newer is needed; install it, or name it in PYTHON"
}

# A virtual environment, also where the venv module is missing or incomplete.
make_venv() {
  rm -rf "$venv"
  if "$python" -m venv "$venv" >/dev/null 2>&1; then
    return
  fi
  rm -rf "$venv"
  local tools
  tools=$(mktemp -d)
  "$python" -m pip install --quiet --target "$tools" virtualenv >&2 || fail "neither venv nor pip works in $python"
  PYTHONPATH=$tools "$python" -m virtualenv --quiet "$venv" >&2 || fail "$venv cannot be made"
  rm -rf "$tools"
}

# What a .venv is made of: its own Python, whichever comes first on the path, and the requirements.
fingerprint() {
  "$venv/bin/python3" --version
  cat "$root/utils/constraints.txt" "${files[@]}"
}

# Whether the stamp of the .venv covers all files asked for.
is_current() {
  [[ -x $venv/bin/python3 && -f $stamp ]] || return 1
  [[ -z ${PYTHON:-} || $("$PYTHON" --version 2>&1) == "$("$venv/bin/python3" --version)" ]] || return 1
  [[ $(<"$stamp") == "$(fingerprint)" ]] && return 0
  # made for these requirements and the tests' as well
  [[ $# -eq 0 && $(<"$stamp") == "$(fingerprint)"* ]]
}

if is_current "$@"; then
  echo "$venv/bin/python3"
  exit 0
fi
python=$(find_python)
if [[ $python != "$venv"/* ]] && "$python" "$root/utils/check_environment.py" "${files[@]}" >/dev/null 2>&1; then
  echo "$python"
  exit 0
fi
if [[ $python == "$venv"/* ]]; then # an active but outdated .venv cannot remake itself
  python=$("$python" -c 'import os, sys; print(os.path.join(sys.base_prefix, "bin", "python3"))')
fi

if command -v flock >/dev/null; then # one set-up at a time: a second one waits, and finds it done
  exec 9>"$venv.lock" || fail "$root: cannot be written"
  flock 9
  if is_current "$@"; then
    echo "$venv/bin/python3"
    exit 0
  fi
fi
echo "setup: installing the requirements into $venv (once; downloads about 3 GB, takes 6 GB on disk)" >&2
free_kb=$(df -Pk "$root" | awk 'NR == 2 { print $4 }')
((free_kb > 7000000)) || [[ -d $venv ]] || fail "$root: $((free_kb / 1000000)) GB are free, 7 GB are needed"
# An environment of the same requirements only grows; any other is made anew.
[[ -x $venv/bin/python3 && -f $stamp && $(fingerprint) == "$(<"$stamp")"* ]] || make_venv
rm -f "$stamp"
requirement_options=()
for file in "${files[@]}"; do requirement_options+=(--requirement "$file"); done
"$venv/bin/python3" -m pip install --quiet --disable-pip-version-check --constraint "$root/utils/constraints.txt" \
  "${requirement_options[@]}" >&2 || fail "the packages could not be installed; run the same command again"
found=$("$venv/bin/python3" "$root/utils/check_environment.py" "${files[@]}") || fail "${found//$'\n'/; }"
fingerprint >"$stamp"
echo "$venv/bin/python3"
