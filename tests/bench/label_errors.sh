#!/usr/bin/env bash
# How many planted errors of transcripts are found by models that never heard their speakers: speechocean762, 5 folds.
#
#   tests/bench/label_errors.sh --corpus-dir DIR [--nj N] [--out FILE]
#
# Replaces a word in 5 % of the training utterances, trains five models in exp_critic, and ranks the utterances. About
# 20 minutes on 2 cores; run again, it goes on.
set -euo pipefail

root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
corpus_dir='' nj=$(nproc) out=
option_names="corpus-dir nj out"
source "$root/utils/parse_options.sh"
[[ -d $corpus_dir ]] || options_fail "--corpus-dir '$corpus_dir' is not a folder"
corpus_dir=$(CDPATH='' cd "$corpus_dir" && pwd)

source "$root/utils/path.sh"
export PYTHONPATH=$root:$root/tests
cd "$root/egs/speechocean762"
options=(--config conf_critic.toml --data-dir data --corpus-dir "$corpus_dir" --nj "$nj" --seeds 0)
./run.sh "${options[@]}" --stop-stage 3
python3 -m bench.plant_errors --share 0.05 data/train_wrong exp_critic/planted
./run.sh "${options[@]}" --stage 4 --stop-stage 7
found=$(python3 -m steps.find_label_errors --out exp_critic/label_errors \
  --truth exp_critic/planted data/train_wrong exp_critic/fold{0,1,2,3,4}/seed0)
echo "$found"
if [[ -n $out ]]; then
  {
    echo "# Planted errors of transcripts, found by models that never heard their speakers"
    echo
    echo "A word replaced in 5 % of speechocean762's training utterances, each of which is heard, and counts, at three"
    echo "speeds. Intervals are over speakers. The scores were not chosen on other data. tests/bench/label_errors.sh."
    echo
    echo '```'
    sed -n '/^score/,$p' <<<"$found"
    echo '```'
  } >"$out"
fi
