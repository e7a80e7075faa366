# shellcheck shell=bash disable=SC2154  # the caller sets the variables
# Stages and jobs for the driver, sourced. A stage is a numbered block; a job is one command with a log of its own.
#
#   if stage 2 features; then
#     run make_feats_train python3 -m steps.make_feats data/train
#     queue train_a …; queue train_b …; drain      # side by side, at most $side_by_side at once
#   fi
#
# Uses: first_stage, stop_stage, exp_dir, why, force, side_by_side. Locks $exp_dir until the shell ends.

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) ||
  { echo "run.sh: needs bash 5.1 or newer, this is $BASH_VERSION" >&2 && exit 5; }
[[ $side_by_side =~ ^[1-9][0-9]*$ ]] || options_fail "--nj '$side_by_side' is not a number above 0"
{ mkdir -p "$exp_dir/log" && exec 9>>"$exp_dir/.run.lock"; } || { echo "run.sh: --exp-dir '$exp_dir' cannot be written" >&2 && exit 5; }
python3 -m utils.jobs.lock 9 || { echo "run.sh: $PWD/$exp_dir: in use by another run" >&2 && exit 6; }
if [[ -t 2 ]]; then # progress bars go to the terminal, past the logs
  exec 3>&2
  export RETORT_BAR_FD=3
fi
if $why; then # tells later commands what earlier ones would write
  RETORT_WHY_FILE=$(mktemp) || exit 5
  export RETORT_WHY_FILE
  trap 'rm -f "$RETORT_WHY_FILE"' EXIT
fi

stages_run=0
jobs_done=0
declare -A job_name=() job_log=() job_size=() job_start=()

say() {
  printf '%s %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$1" >&2
}

# Whether stage $1, named $2, is among those asked for.
stage() {
  (($1 >= first_stage && $1 <= stop_stage)) || return 1
  stages_run=$((stages_run + 1))
  export RETORT_STAGE=$1
  $why || say "stage $1: $2"
}

# Starts a job and waits for all.
run() {
  queue "$@"
  drain
}

# Starts a job as soon as fewer than $side_by_side run.
queue() {
  local name=$1 log
  shift
  if $why; then
    "$@" --why
    return
  fi
  while ((${#job_name[@]} >= side_by_side)); do reap; done
  log=$exp_dir/log/stage$RETORT_STAGE.$name.log
  mkdir -p "$(dirname "$log")"
  touch "$log"
  local size
  size=$(stat -c %s "$log")
  RETORT_BAR_SLOT=${#job_name[@]} "$@" </dev/null >>"$log" 2>&1 9>&- &
  job_name[$!]=$name job_log[$!]=$log job_size[$!]=$size job_start[$!]=$SECONDS
}

# Waits for all jobs.
drain() {
  while ((${#job_name[@]} > 0)); do reap; done
}

# Waits for one job, and stops the run if it failed.
reap() {
  local pid='' status=0 output
  wait -n -p pid "${!job_name[@]}" || status=$?
  [[ -n $pid ]] || return 0
  local name=${job_name[$pid]} log=${job_log[$pid]} seconds=$((SECONDS - job_start[$pid]))
  output=$(tail -c "+$((job_size[$pid] + 1))" "$log")
  unset "job_name[$pid]" "job_log[$pid]" "job_size[$pid]" "job_start[$pid]"
  if ((status > 128)); then
    printf '%s killed by signal %d after %d s\n' "$name" $((status - 128)) "$seconds" >>"$log"
    status=5
  fi
  if ((status == 7)); then interrupted; fi
  if ((status != 0)); then
    [[ -n $output ]] || output="it wrote nothing into its log; is there space on the disk?"
    printf '%s\n' "$output" | tail -n 15 >&2
    say "stage $RETORT_STAGE: $name failed with status $status after $seconds s; its log: $log"
    stop_jobs
    exit "$status"
  fi
  printf '%s\n' "$output" | grep ': warning: ' >&2 || true
  [[ $output == *" command: "* ]] || return 0 # up to date
  jobs_done=$((jobs_done + 1))
  say "stage $RETORT_STAGE: $name: done in $seconds s"
}

# Asks all running jobs to stop, and waits for them.
stop_jobs() {
  local pid
  for pid in "${!job_name[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${!job_name[@]}"; do wait "$pid" 2>/dev/null || true; done
  job_name=()
}

interrupted() {
  trap '' INT TERM
  stop_jobs
  if $force; then
    say "interrupted; without --force, what was not finished goes on or is made"
  else
    say "interrupted; the same command goes on where it stopped"
  fi
  exit 7
}
trap interrupted INT TERM
