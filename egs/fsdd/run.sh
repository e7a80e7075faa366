#!/usr/bin/env bash
# The Free Spoken Digit Dataset: six speakers, digits, single and strung together.
#
#   egs/fsdd/run.sh --corpus-dir DIR                      both splits
#   egs/fsdd/run.sh --corpus-dir DIR --split published    the authors' split: all speakers are known
#   egs/fsdd/run.sh --corpus-dir DIR --split unseen       a speaker never heard, each of the six in turn
#
# All other options are those of ../../run.sh; --publish writes RESULTS.md from both splits.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$here/../..
splits="published unseen"
seeds="0 1 2"
publish=false
is_whole=true
overrides=()
options=()
while (($# > 0)); do
  case $1 in
    --split | --seeds | --set | --stop-stage)
      (($# > 1)) || { echo "run.sh: $1 needs a value; see --help" >&2 && exit 2; }
      set -- "$1=$2" "${@:3}"
      continue
      ;;
    --split=*) splits=${1#*=} ;;
    --seeds=*) seeds=${1#*=} && options+=("$1") ;;
    --set=*) overrides+=("$1") && options+=("$1") ;;
    --stop-stage=*) is_whole=false && options+=("$1") ;;
    --why) is_whole=false && options+=("$1") ;;
    --config*) echo "run.sh: --config: this recipe has conf.toml only; override it with --set" >&2 && exit 2 ;;
    --data-dir* | --exp-dir*) echo "run.sh: $1: each split has folders of its own; see --help" >&2 && exit 2 ;;
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
  "$root/run.sh" --recipe "$here" --data-dir "data/$name" --exp-dir "exp/$name" "$@" "${options[@]}"
}

[[ $splits =~ ^(published|unseen|published unseen)$ ]] ||
  { echo "run.sh: --split '$splits': choose published or unseen" >&2 && exit 2; }

[[ $publish == false || $splits == "published unseen" ]] ||
  { echo "run.sh: --publish writes both splits; leave out --split" >&2 && exit 2; }

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

$is_whole || exit 0
source "$root/utils/path.sh"
cd "$here"
if [[ $splits == *unseen* ]]; then # the six test speakers as one test set
  folds=()
  for speaker in $speakers; do folds+=("exp/unseen/$speaker"); done
  python3 -m steps.compare --seeds "$seeds" "${overrides[@]}" --out exp/unseen "${folds[@]}"
fi
if $publish; then
  command="egs/fsdd/run.sh --corpus-dir DIR --seeds \"$seeds\"${overrides[*]:+ ${overrides[*]}} --publish"
  python3 -m steps.report --publish RESULTS.md --out exp --command "$command" --seeds "$seeds" \
    --data-dir data/published "${overrides[@]}" exp/published exp/unseen
fi
