#!/usr/bin/env bash
# Prints how fast Retort is, against the least that the same work can take on this machine. It is no test: a busy
# machine changes the figures, so each ratio is of two times that were taken in turns.
#
#   tests/bench/run.sh                                      all, in about 10 minutes
#   tests/bench/run.sh --only features training --out FILE  some of these parts
#
# Parts: features training encoders soft_labels distilling decoding scoring text_preparation startup
#
# Options:
#   --only PART ...  these parts only
#   --out FILE       write the table there too, as Markdown
#   --help           this text
#
# Real recordings are read from $RETORT_CORPORA (../shared/data, seen from the repository); without them, noise.
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
export PYTHONPATH=$root:$root/tests
exec python3 -W ignore::UserWarning -m bench.table "$@"
