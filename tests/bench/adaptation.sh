#!/usr/bin/env bash
# One base model, many customers: adapters (LoRA) trained on a few utterances of each test speaker, against the base
# model on that speaker's other utterances.
#
#   tests/bench/adaptation.sh                    for egs/speechocean762, after its stage 5
#   tests/bench/adaptation.sh --recipe egs/demo
#   tests/bench/adaptation.sh --config conf_models.toml --exp-dir exp_models --base conformer
#
# Writes ADAPTATION.md. Nothing was tuned on these utterances: rank, updates and learning rate are those below.
#
# Options:
#   --recipe DIR           the recipe (egs/speechocean762)
#   --config FILE          its configuration (conf.toml)
#   --exp-dir DIR          where the base model is (exp)
#   --base SYSTEM          the base model (teacher)
#   --utts N               utterances of each speaker that its adapters are trained on (10)
#   --nj N                 trainings side by side (all cores)
#   --set TABLE.KEY=VALUE  overrides one setting of conf.toml; may be given again
#   --help                 this text
set -euo pipefail

root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
recipe=$root/egs/speechocean762
config=conf.toml
exp_dir=exp
base=teacher
utts=10
nj=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
overrides=()
option_names="recipe config exp-dir base utts nj set"
# shellcheck disable=SC2034  # read by parse_options.sh through its name
set=
source "$root/utils/parse_options.sh"
[[ $utts =~ ^[1-9][0-9]{0,5}$ ]] || options_fail "--utts '$utts' is no number"
[[ -f $recipe/$exp_dir/$base/seed0/model.safetensors ]] ||
  options_fail "$recipe/$exp_dir holds no $base; run the recipe first"

retort_requirements=$root/tests/requirements.txt
source "$root/utils/path.sh"
export PYTHONPATH=$PYTHONPATH:$root/tests
cd "$recipe"
source_dir=$exp_dir
exp_dir=$source_dir/adaptation
# shellcheck disable=SC2034  # read by stages.sh
first_stage=1 stop_stage=9 why=false force=false side_by_side=$nj
source "$root/utils/stages.sh"

base_dir=$exp_dir/base/$base/seed0 # each model lies in <its name>/<system>/seed0
mkdir -p "$base_dir"
for name in model.safetensors config.json tokens.txt cmvn; do
  cmp -s "$source_dir/$base/seed0/$name" "$base_dir/$name" || cp "$source_dir/$base/seed0/$name" "$base_dir/$name"
done
conf=(--config "$config" "${overrides[@]}")
adapted=("${conf[@]}")
for setting in init.model="\"$base_dir\"" lora.rank=4 train.updates=60 train.warmup_updates=10 train.lr=0.001 \
  train.final_lr=0.0 train.max_frames=6000 train.average=1 train.valid_updates=60 train.ranks=1 \
  spec_augment.num_freq_masks=0 spec_augment.num_time_masks=0 spec_augment.max_freq_warp=0.0; do
  adapted+=(--set "$base.$setting")
done

if stage 1 data; then
  python3 -m bench.adaptation split --utts "$utts" data/test "$exp_dir/data"
fi
mapfile -t speakers <"$exp_dir/data/speakers"
if stage 2 features; then
  for speaker in "${speakers[@]}"; do
    for name in "adapt_$speaker" "eval_$speaker"; do
      run "feats.$name" python3 -m steps.make_feats --nj "$nj" "${conf[@]}" "$exp_dir/data/$name"
    done
    run "cmvn.$speaker" python3 -m steps.compute_cmvn "$exp_dir/data/adapt_$speaker"
  done
fi
if stage 7 adapters; then
  for speaker in "${speakers[@]}"; do
    queue "$speaker" python3 -m steps.train --system "$base" --seed 0 "${adapted[@]}" --data-dir "$exp_dir/data" \
      --lang-dir data/lang --exp-dir "$source_dir" --out-dir "$exp_dir/$speaker" \
      --set "$base.data.train=adapt_$speaker" --set "$base.data.test=[\"eval_$speaker\"]"
  done
  drain
fi
# Calls `$1 <model> <speaker>`, which queues a job, for each speaker with and without adapters, and waits for all.
each_model() {
  local speaker
  for speaker in "${speakers[@]}"; do
    "$1" base "$speaker"
    "$1" "$speaker" "$speaker"
  done
  drain
}
decode() {
  queue "$1.$2" python3 -m steps.decode "${conf[@]}" "$exp_dir/$1/$base/seed0" "$exp_dir/data/eval_$2"
}
score() {
  queue "$1.$2" python3 -m steps.score "${conf[@]}" --lang-dir data/lang "$exp_dir/data/eval_$2" \
    "$exp_dir/$1/$base/seed0/decode_eval_$2"
}
if stage 8 decode; then each_model decode; fi
if stage 9 score; then
  each_model score
  python3 -m bench.adaptation table --config "$config" --base "$base" --utts "$utts" --out ADAPTATION.md "$exp_dir"
fi
