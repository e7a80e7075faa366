#!/usr/bin/env bash
# Runs the fault battery whole, which takes hours: faulty data directories and audio, flipped bits, kills, I/O calls
# that fail, the cost of it all. The tests hold a quick part of each experiment.
#
#   tests/faults/run.sh --out tests/faults/RESULTS.md   all
#   tests/faults/run.sh --only saving audio             some of these experiments
#
# Experiments: directories audio flips saving enospc eio kill controls kills cost; enospc, eio and kill are one a step of the
# recipe (eio-tokens), which several batteries with one --work may share.
#
# Options:
#   --only NAME ...  these experiments only
#   --work DIR       where finished experiments are kept, so that an interrupted battery goes on
#   --out FILE       write the table there too, as Markdown
#   --help           this text
#
# Needs a C compiler (cc, or the Python package ziglang).
set -euo pipefail

case ${1:-} in
  --help | -h)
    sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p}}' "$0"
    exit 0
    ;;
esac

root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
retort_requirements=$root/tests/requirements.txt
source "$root/utils/path.sh"
# not as a module: each forked process would import it anew
exec python3 -W ignore::UserWarning -c 'import sys; from tests.faults.battery import main; sys.exit(main())' "$@"
