#!/usr/bin/env bash
# Runs the stages of a recipe: from a corpus to a table that compares teacher, students and their undistilled twins.
#
#   ./run.sh                                            the demo: speech made on the spot, no download
#   egs/yesno/run.sh --corpus-dir DIR                   a recipe
#   egs/yesno/run.sh --corpus-dir DIR --stage 7 --set student.model.dim=32
#
# Stages:
#   0 corpus    1 data         2 features   3 tokens   4 pretrain  5 teacher
#   6 soft      7 students     8 decode     9 score   10 export   11 report
#
# Options:
#   --recipe DIR           the recipe (egs/demo)
#   --config FILE          its configuration, seen from the recipe (conf.toml); conf_gpu.toml is that for a server
#   --stage N              first stage (0)
#   --stop-stage N         last stage (11)
#   --nj N                 processes side by side (all cores)
#   --gpus N               GPUs for training and decoding (0)
#   --seeds "0 1 2"        seeds of the students
#   --corpus-dir DIR       where the corpus is; without it the recipe makes or downloads it
#   --data-dir DIR         where data directories go, seen from the recipe (data; data_gpu for conf_gpu.toml)
#   --exp-dir DIR          where models and results go, seen from the recipe (exp; exp_gpu for conf_gpu.toml)
#   --out-dir DIR          where results.json and RESULTS.md go, seen from the recipe (the folder of --exp-dir)
#   --set TABLE.KEY=VALUE  overrides one setting of the configuration; may be given again
#   --tune SYSTEM          train and score what [SYSTEM.tune] says on dev, in place of the students; test is not read
#   --publish              copy RESULTS.md beside the recipe's run.sh (RESULTS_gpu.md for conf_gpu.toml)
#   --why                  run nothing; say what is stale, and why
#   --force                do the stages again even where nothing changed
#   --verify               hash every file instead of trusting size and times
#   --help                 this text
#
# Exit status: 0 done, 2 usage or configuration, 3 bad data, 4 stale or mismatched artefact, 5 machine,
# 6 in use by another run, 7 interrupted, 1 a bug in Retort.
set -euo pipefail

{ # bash reads the whole block before it runs, so that the file may be edited meanwhile
unset CDPATH # which would send cd elsewhere
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
recipe=$root/egs/demo
config=conf.toml
stage=0 stop_stage=11
nj=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) # which would tell threads, not cores
gpus=0
seeds="0 1 2"
corpus_dir=
out_dir=
data_dir='' exp_dir='' # by default named after the configuration
tune=
publish=false why=false force=false verify=false
overrides=()
option_names="recipe config stage stop-stage nj gpus seeds corpus-dir data-dir exp-dir out-dir tune publish why force verify set"
# shellcheck disable=SC2034  # read by parse_options.sh through its name
set=
source "$root/utils/parse_options.sh"

for name in stage stop_stage nj gpus; do
  [[ ${!name} =~ ^(0|[1-9][0-9]{0,3})$ ]] || options_fail "--${name//_/-} '${!name}' is not a number"
done
((nj > 0)) || options_fail "--nj must be at least 1"
((stage <= stop_stage && stop_stage <= 11)) || options_fail "no stage from $stage to $stop_stage; they are 0 to 11"
! $publish || [[ $stop_stage == 11 && -z $tune && $why == false ]] ||
  options_fail "--publish needs stage 11, and its results: leave out --stop-stage, --tune and --why"
[[ -d $recipe ]] || options_fail "--recipe '$recipe' is not a folder"
[[ -z $corpus_dir || -d $corpus_dir ]] || options_fail "--corpus-dir '$corpus_dir' is not a folder"
[[ -z $corpus_dir ]] || corpus_dir=$(cd "$corpus_dir" && pwd)
cd "$recipe"
[[ -f $config ]] || options_fail "--recipe '$recipe' holds no $config"
variant=$(basename "$config" .toml)
variant=${variant#conf} # of conf_gpu.toml: _gpu
variant=${variant:+_${variant#_}}
data_dir=${data_dir:-data$variant} exp_dir=${exp_dir:-exp$variant} out_dir=${out_dir:-$exp_dir}

source "$root/utils/path.sh"
export RETORT_DRIVER_PID=$$
first_stage=$stage
side_by_side=$((gpus > 0 ? 1 : nj))
source "$root/utils/stages.sh"

job=() # options of every job
if $force; then job+=(--force); fi
if $verify; then job+=(--verify); fi
conf=(--config "$config" "${overrides[@]}")
list() { python3 -m steps.list_runs --seeds "$seeds" --tune "$tune" "${conf[@]}" "$@"; }
# Sets `lines` to what list_runs prints; where it fails, after an edit of the configuration perhaps, the run ends.
lines_of() {
  mapfile -t lines < <(list "$@")
  wait "$!" || exit
}
sets=$(list sets)
[[ -z $tune ]] || list students >/dev/null # fails where there is nothing to tune
train_sets=$(list trained)
corpus=(--data-dir "$data_dir" ${corpus_dir:+--corpus-dir "$corpus_dir"})
folders=(--data-dir "$data_dir" --exp-dir "$exp_dir")

if stage 0 corpus && [[ -z $corpus_dir && -f local/get_corpus.py ]]; then
  run corpus python3 local/get_corpus.py --nj "$nj" "${conf[@]}" "${job[@]}"
fi

if stage 1 data; then
  run prepare python3 local/prepare_data.py --nj "$nj" "${corpus[@]}" "${conf[@]}" "${job[@]}"
  copies=()
  lines_of copies
  for line in "${lines[@]}"; do
    read -r name copy <<<"$line"
    copies+=("$copy") # as valid as what they are copies of
    run "copy.$copy" python3 -m utils.copy_data_dir "${job[@]}" "$data_dir/$name" "$data_dir/$copy"
  done
  checks=(--incremental --no-feats --allow-empty-text) # training drops and counts what has no transcript
  lines_of resample
  if [[ ${lines[0]} == yes ]]; then checks+=(--any-rate); fi
  earlier=() # `<role> <set>`: sets of one role may hold the same audio through other channels
  while read -r name role; do
    [[ " ${copies[*]} " != *" $name "* ]] || continue
    options=("${checks[@]}")
    if [[ $role == unlabelled ]]; then role=train; options+=(--no-text); fi
    for other in "${earlier[@]}"; do
      [[ ${other%% *} == "$role" ]] && how=--beside || how=--apart-from
      options+=("$how" "$data_dir/${other#* }")
    done
    # one after the other: each recalls what those before it saw of their recordings
    run "validate.$name" python3 -m utils.validate_data_dir "${options[@]}" "${job[@]}" "$data_dir/$name"
    earlier+=("$role $name")
  done <<<"$sets"
fi

# Computes the statistics of set $1 if a system is trained on it.
cmvn() {
  ! grep -qx "$1" <<<"$train_sets" || run "cmvn.$1" python3 -m steps.compute_cmvn "${job[@]}" "$data_dir/$1"
}
if stage 2 features; then
  lines_of features
  for name in "${lines[@]}"; do
    run "feats.$name" python3 -m steps.make_feats --nj "$nj" "${conf[@]}" "${job[@]}" "$data_dir/$name"
    cmvn "$name"
  done
fi

if stage 3 tokens; then
  lines_of langs
  for lang in "${lines[@]}"; do
    run "tokens.$lang" python3 -m steps.make_tokens "${conf[@]}" "${job[@]}" \
      "$data_dir/${train_sets%%$'\n'*}" "$data_dir/$lang"
  done
fi
# Trains the runs that list_runs names with these arguments.
train() {
  lines_of "$@"
  ((${#lines[@]} > 0)) || return 0
  local nj_each=$((side_by_side > ${#lines[@]} ? side_by_side / ${#lines[@]} : 1)) # of a teacher, say, that trains alone
  for line in "${lines[@]}"; do
    read -r name seed folder settings <<<"$line"
    read -ra point <<<"$settings"
    home=$exp_dir/$folder
    queue "$name.seed$seed${point[*]:+.${folder##*/}}" python3 -m steps.train --system "$name" --seed "$seed" \
      --nj "$nj_each" --gpus "$gpus" "${folders[@]}" --out-dir "${home%/.}" "${conf[@]}" "${point[@]/#/--set=}" "${job[@]}"
  done
  drain
}
if stage 4 pretrain; then
  run models python3 -m steps.check_models --data-dir "$data_dir" "${conf[@]}" "${job[@]}" # before any is trained
  train pretrained
  lines_of model_features
  for line in "${lines[@]}"; do
    read -r model name copy <<<"$line"
    run "feats.$copy" python3 -m steps.make_model_feats "${conf[@]}" "${job[@]}" \
      "$exp_dir/$model/seed0" "$data_dir/$name" "$data_dir/$copy"
    cmvn "$copy"
  done
fi
if stage 5 teacher; then train teachers; fi

# Makes the soft labels of teachers of generation $1: 0 learn from no other, 1 from such ones, and so on.
soft_labels() {
  lines_of --generation "$1" soft_labels
  for line in "${lines[@]}"; do
    read -r name seed name_of_set kind <<<"$line"
    run "$name.seed$seed.$name_of_set.$kind" python3 -m steps.make_soft_labels --kind "$kind" --nj "$nj" --gpus "$gpus" \
      "${conf[@]}" "${job[@]}" "$exp_dir/$name/seed$seed" "$data_dir/$name_of_set"
  done
}
if stage 6 "soft labels"; then soft_labels 0; fi

if stage 7 students; then
  lines_of generations
  for generation in "${lines[@]}"; do
    ((generation == 1)) || soft_labels $((generation - 1)) # of students that teach
    train students --generation "$generation"
  done
fi

if stage 8 decode; then
  lines_of decodings
  for line in "${lines[@]}"; do
    read -r name seed folder eval_sets <<<"$line"
    home=$exp_dir/$folder
    read -ra data_dirs <<<"$eval_sets"
    queue "$name.seed$seed${tune:+.${folder##*/}}" python3 -m steps.decode --gpus "$gpus" "${conf[@]}" "${job[@]}" \
      "${home%/.}/$name/seed$seed" "${data_dirs[@]/#/"$data_dir/"}"
  done
  drain
fi

if stage 9 score; then
  lines_of decodings
  for line in "${lines[@]}"; do
    read -r name seed folder eval_sets <<<"$line"
    home=$exp_dir/$folder
    for name_of_set in $eval_sets; do # split on purpose: names hold no space
      queue "$name.seed$seed${tune:+.${folder##*/}}.$name_of_set" python3 -m steps.score "${conf[@]}" "${job[@]}" \
        "$data_dir/$name_of_set" "${home%/.}/$name/seed$seed/decode_$name_of_set"
    done
  done
  drain
  if [[ -n $tune ]]; then
    run "tune.$tune" python3 -m steps.tune --system "$tune" --seeds "$seeds" "${conf[@]}" "${job[@]}" "$exp_dir"
  else
    run compare python3 -m steps.compare --seeds "$seeds" --out "$out_dir" "${conf[@]}" "${job[@]}" "$exp_dir"
  fi
fi

if [[ -n $tune ]]; then stop_stage=$((stop_stage < 9 ? stop_stage : 9)); fi
if stage 10 export; then $why || say "stage 10: export is not built yet"; fi
if stage 11 report; then
  if $publish; then job+=(--publish "RESULTS$variant.md"); fi
  # what a person would type for the same figures
  command="egs/$(basename "$recipe")/run.sh$([[ $config == conf.toml ]] || echo " --config $config")${corpus_dir:+ --corpus-dir DIR}"
  [[ $data_dir == "data$variant" ]] || command+=" --data-dir $data_dir"
  [[ $exp_dir == "exp$variant" ]] || command+=" --exp-dir $exp_dir"
  [[ $out_dir == "$exp_dir" ]] || command+=" --out-dir $out_dir"
  ((gpus == 0)) || command+=" --gpus $gpus"
  command+=" --seeds \"$seeds\"${overrides[*]:+$(printf ' %q' "${overrides[@]}")}"
  run report python3 -m steps.report --command "$command" --seeds "$seeds" --data-dir "$data_dir" \
    --models-dir "$exp_dir" "${conf[@]}" "${job[@]}" "$out_dir"
fi

((stages_run > 0)) || options_fail "no stage ran"
if $why; then exit 0; fi
if ((jobs_done == 0)); then say "nothing to do: everything is up to date"; fi
if [[ -n $tune ]]; then
  ((stop_stage < 9)) || python3 -m steps.tune --show --system "$tune" "${conf[@]}" "$exp_dir"
elif ((stop_stage >= 9)); then
  python3 -m steps.compare --show --seeds "$seeds" "${conf[@]}" "$out_dir"
fi
exit 0
}
