#!/usr/bin/env bash
# The Free Spoken Digit Dataset: six speakers, digits, single and strung together.
#
#   egs/fsdd/run.sh --corpus-dir DIR                      both splits
#   egs/fsdd/run.sh --corpus-dir DIR --split published    the authors' split: all speakers are known
#   egs/fsdd/run.sh --corpus-dir DIR --split unseen       a speaker never heard, each of the six in turn
#
# All other options are those of ../../run.sh; --publish writes RESULTS.md from both splits, and that of another --config
# from those that --split names.
set -euo pipefail

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$here/../..
splits="published unseen"
seeds="0 1 2"
config=conf.toml
publish=false why=false tunes=false stop_stage=11
overrides=()
options=()
while (($# > 0)); do
  case $1 in
    --split | --seeds | --set | --stop-stage | --config)
      (($# > 1)) || { echo "run.sh: $1 needs a value; see --help" >&2 && exit 2; }
      set -- "$1=$2" "${@:3}"
      continue
      ;;
    --split=*) splits=${1#*=} ;;
    --seeds=*) seeds=${1#*=} && options+=("$1") ;;
    --set=*) overrides+=("$1") && options+=("$1") ;;
    --stop-stage=*) stop_stage=${1#*=} && options+=("$1") ;;
    --why) why=true && options+=("$1") ;;
    --config=*) config=${1#*=} ;;
    --data-dir* | --exp-dir* | --out-dir*) echo "run.sh: $1: each split has folders of its own; see --help" >&2 && exit 2 ;;
    --tune | --tune=*) tunes=true && options+=("$1") ;;
    --publish) publish=true ;;
    --help | -h) sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p}}' "$0" && exit 0 ;;
    *) options+=("$1") ;;
  esac
  shift
done

# Runs the driver for one split in folders of its own.
run_split() {
  local name=$1
  shift
  "$root/run.sh" --recipe "$here" --config "$config" --data-dir "data$variant/$name" --exp-dir "exp$variant/$name" \
    "$@" "${options[@]}" &
  driver=$!
  wait "$driver" || exit
}
# A signal to this script alone would leave the driver running.
interrupted() {
  trap '' INT TERM
  kill -TERM "${driver:-}" 2>/dev/null && wait "$driver"
  exit 7
}
trap interrupted INT TERM

[[ $splits =~ ^(published|unseen|published unseen)$ ]] ||
  { echo "run.sh: --split '$splits': choose published or unseen" >&2 && exit 2; }

variant=$(basename "$config" .toml)
variant=${variant#conf} # of conf_models.toml: _models
[[ $publish == false || $splits == "published unseen" || -n $variant ]] ||
  { echo "run.sh: --publish writes both splits; leave out --split" >&2 && exit 2; }
[[ $publish == false || ($stop_stage == 11 && $why == false && $tunes == false) ]] ||
  { echo "run.sh: --publish needs all stages to the last one; leave out --stop-stage, --tune and --why" >&2 && exit 2; }

speakers="george jackson lucas nicolas theo yweweler"
for split in $splits; do
  case $split in
    published) run_split published --set corpus.split=published ;;
    unseen)
      for speaker in $speakers; do
        run_split "unseen/$speaker" --set corpus.split=unseen --set "corpus.test_speaker=$speaker"
      done
      ;;
  esac
done

if $why || $tunes || ((stop_stage < 9)); then exit 0; fi
source "$root/utils/path.sh"
cd "$here"
if [[ $splits == *unseen* ]]; then # the six test speakers as one test set
  folds=()
  for speaker in $speakers; do folds+=("exp$variant/unseen/$speaker"); done
  python3 -m steps.compare --config "$config" --seeds "$seeds" "${overrides[@]}" --out "exp$variant/unseen" "${folds[@]}"
fi
if $publish; then
  command="egs/fsdd/run.sh${variant:+ --config $config}$([[ $splits == *" "* ]] || echo " --split $splits")"
  command+=" --corpus-dir DIR --seeds \"$seeds\"${overrides[*]:+ ${overrides[*]}} --publish"
  read -ra folders <<<"$splits"
  data_dir=data$variant/${folders[0]}
  [[ ${folders[0]} == published ]] || data_dir+=/${speakers%% *}
  python3 -m steps.report --config "$config" --publish "RESULTS$variant.md" --out "exp$variant" --command "$command" \
    --seeds "$seeds" --data-dir "$data_dir" "${overrides[@]}" "${folders[@]/#/exp$variant/}"
fi
