#!/usr/bin/env bash
# The Free Spoken Digit Dataset: six speakers, digits, single and strung together.
#
#   egs/fsdd/run.sh --corpus-dir DIR                      both splits
#   egs/fsdd/run.sh --corpus-dir DIR --split published    the authors' split: all speakers are known
#   egs/fsdd/run.sh --corpus-dir DIR --split unseen       a speaker never heard, each of the six in turn
#
# All other options are those of ../../run.sh; --publish writes RESULTS.md from both splits.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
splits="published unseen"
seeds="0 1 2"
publish=false
overrides=""
options=()
while (($# > 0)); do
  case $1 in
    --split) splits=${2:-} && shift ;;
    --split=*) splits=${1#*=} ;;
    --seeds) seeds=${2:-} && options+=(--seeds "$seeds") && shift ;;
    --seeds=*) seeds=${1#*=} && options+=("$1") ;;
    --set) overrides+=" --set ${2:-}" && options+=(--set "${2:-}") && shift ;;
    --set=*) overrides+=" $1" && options+=("$1") ;;
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

speakers="george jackson lucas nicolas theo yweweler"
for split in $splits; do
  case $split in
    published) run_split published --set corpus.split=published ;;
    unseen)
      for speaker in $speakers; do
        run_split "unseen/$speaker" --set corpus.split=unseen --set "corpus.test_speaker=$speaker"
      done
      ;;
    *) echo "run.sh: --split '$split': choose published or unseen" >&2 && exit 2 ;;
  esac
done

case " ${options[*]} " in *" --why "* | *" --stop-stage "*) exit 0 ;; esac
python=$("$root/utils/setup.sh" | tail -n 1)
export PYTHONPATH=$root PYTHONSAFEPATH=1
cd "$here"
if [[ $splits == *unseen* ]]; then # the six test speakers as one test set
  folds=()
  for speaker in $speakers; do folds+=("exp/unseen/$speaker"); done
  "$python" -m steps.compare --seeds "$seeds" --out exp/unseen "${folds[@]}"
fi
if $publish; then
  command="egs/fsdd/run.sh --corpus-dir DIR --seeds \"$seeds\"$overrides --publish"
  "$python" -m steps.report --publish --out exp --command "$command" exp/published exp/unseen
fi
