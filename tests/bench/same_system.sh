#!/usr/bin/env bash
# How often equal systems are called different: one system of speechocean762 under many seeds, compared with itself.
#
#   tests/bench/same_system.sh --corpus-dir DIR
#
# Trains conf_same_system.toml in exp_same_system, and writes SAME_SYSTEM.md. Uses the data of conf.toml.
#
# Options:
#   --corpus-dir DIR  the corpus
#   --count N         seeds (20)
#   --nj N            trainings side by side (all cores)
#   --help            this text
set -euo pipefail

root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
corpus_dir='' count=20 nj=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
option_names="corpus-dir count nj"
source "$root/utils/parse_options.sh"
[[ -d $corpus_dir ]] || options_fail "--corpus-dir '$corpus_dir' is not a folder"
[[ $count =~ ^[1-9][0-9]{1,3}$ ]] || options_fail "--count '$count' is no number of 10 or more"

"$root/egs/speechocean762/run.sh" --config conf_same_system.toml --data-dir data --corpus-dir "$corpus_dir" \
  --nj "$nj" --seeds "$(seq -s ' ' 0 $((count - 1)))" --stop-stage 9
source "$root/utils/path.sh"
export PYTHONPATH=$PYTHONPATH:$root/tests
cd "$root/egs/speechocean762"
python3 -m bench.same_system --out SAME_SYSTEM.md exp_same_system/student test
