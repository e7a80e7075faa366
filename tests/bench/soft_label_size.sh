#!/usr/bin/env bash
# What soft labels cost and what they give: bytes per second of speech against the error rate of the student.
#
#   tests/bench/soft_label_size.sh                    for egs/speechocean762, after its stage 9
#   tests/bench/soft_label_size.sh --recipe egs/demo
#
# Trains [student] on soft labels of several sizes (tokens kept, bits of each), and writes SOFT_LABEL_SIZE.md. Its
# temperature is 1, for what was cut off cannot be read at another.
#
# Options:
#   --recipe DIR           the recipe (egs/speechocean762)
#   --exp-dir DIR          where its teacher and the student's twin are (exp)
#   --seeds "0 1 2"        seeds of the student
#   --nj N                 trainings side by side (all cores)
#   --set TABLE.KEY=VALUE  overrides one setting of conf.toml; may be given again
#   --help                 this text
set -euo pipefail

root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
recipe=$root/egs/speechocean762
exp_dir=exp
seeds="0 1 2"
nj=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
overrides=()
option_names="recipe exp-dir seeds nj set"
# shellcheck disable=SC2034  # read by parse_options.sh through its name
set=
source "$root/utils/parse_options.sh"
[[ -f $recipe/$exp_dir/teacher/seed0/model.safetensors ]] ||
  options_fail "$recipe/$exp_dir holds no teacher; run the recipe first"

source "$root/utils/path.sh"
export PYTHONPATH=$PYTHONPATH:$root/tests
cd "$recipe"
source_dir=$exp_dir
exp_dir=$source_dir/soft_label_size
# shellcheck disable=SC2034  # read by stages.sh
first_stage=6 stop_stage=9 why=false force=false side_by_side=$nj
source "$root/utils/stages.sh"

sizes=("1 8" "4 8" "8 8" "8 16" "64 8" "64 16") # tokens kept (at most all), bits
homes=()
for size in "${sizes[@]}"; do homes+=("$exp_dir/top${size/ /.bits}"); done
read -ra seed_list <<<"$seeds"

if stage 6 "soft labels"; then
  for size in "${sizes[@]}"; do
    read -r top_k bits <<<"$size"
    home=$exp_dir/top$top_k.bits$bits
    mkdir -p "$home/teacher/seed0"
    for name in model.safetensors config.json tokens.txt cmvn; do
      cmp -s "$source_dir/teacher/seed0/$name" "$home/teacher/seed0/$name" ||
        cp "$source_dir/teacher/seed0/$name" "$home/teacher/seed0/$name"
    done
    queue "top$top_k.bits$bits" python3 -m steps.make_soft_labels "${overrides[@]}" \
      --set "teacher.soft_labels.top_k=$top_k" --set "teacher.soft_labels.bits=$bits" "$home/teacher/seed0" data/train
  done
  drain
fi

# Calls `$1 <folder> <seed> <job name>`, which queues a job, for each size and seed, and waits for all.
each_run() {
  local seed size home
  for seed in "${seed_list[@]}"; do
    for size in "${sizes[@]}"; do
      home=$exp_dir/top${size/ /.bits}
      "$1" "$home" "$seed" "${home##*/}.seed$seed"
    done
  done
  drain
}
train() {
  queue "$3" python3 -m steps.train --system student --seed "$2" --exp-dir "$1" \
    --set student.distill.0.temperature=1.0 "${overrides[@]}"
}
decode() {
  queue "$3" python3 -m steps.decode "${overrides[@]}" "$1/student/seed$2" data/test
}
score() {
  queue "$3" python3 -m steps.score "${overrides[@]}" data/test "$1/student/seed$2/decode_test"
}
if stage 7 students; then each_run train; fi
if stage 8 decode; then each_run decode; fi
if stage 9 score; then
  each_run score
  python3 -m bench.soft_label_size --seeds "$seeds" --out SOFT_LABEL_SIZE.md "$source_dir" "${homes[@]}"
fi
