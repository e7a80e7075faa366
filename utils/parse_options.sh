# shellcheck shell=bash disable=SC2154  # the caller sets the variables
# Option parsing for the driver, sourced after the defaults were set:
#
#   stage=0         # the first stage to run
#   why=false       # a flag, because its default is true or false
#   source utils/parse_options.sh
#
# Each option --stop-stage sets the variable stop_stage, which must exist; --help prints the header comment of the
# script. A wrong option is one line on stderr, and exit 2. Nothing is evaluated: values are assigned as they are.

options_fail() {
  printf '%s: %s; see --help\n' "$(basename -- "$0")" "$1" >&2
  exit 2
}

options_help() {
  sed -n '2,/^[^#]/{/^#/{s/^# \{0,1\}//;p}}' "$0"
}

while (($# > 0)); do
  case $1 in
    --help | -h)
      options_help
      exit 0
      ;;
    --*)
      option_name=${1#--}
      option_name=${option_name%%=*}
      [[ $option_name =~ ^[a-z][a-z-]*$ && " $option_names " == *" $option_name "* ]] ||
        options_fail "unknown option --$option_name"
      option_variable=${option_name//-/_}
      if [[ ${!option_variable} == true || ${!option_variable} == false ]]; then
        [[ $1 != *=* ]] || options_fail "--$option_name takes no value"
        printf -v "$option_variable" true
      else
        if [[ $1 == *=* ]]; then
          option_value=${1#*=}
        else
          (($# > 1)) || options_fail "--$option_name needs a value"
          option_value=$2
          shift
        fi
        [[ -n $option_value ]] || options_fail "--$option_name needs a value"
        if [[ $option_name == set ]]; then # may be given several times
          overrides+=(--set "$option_value")
        else
          printf -v "$option_variable" '%s' "$option_value"
        fi
      fi
      shift
      ;;
    *) options_fail "unexpected argument '$1'" ;;
  esac
done
