# shellcheck shell=bash
# Puts Retort's Python and its modules on the shell's path, sourced; then single commands run from any folder:
#
#   . utils/path.sh
#   cd egs/yesno && python3 -m utils.validate_data_dir data/train
#
# The set-up is made first where it is missing; $retort_requirements may name a further requirements file.

retort_root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd -P)
retort_python=$("$retort_root/utils/setup.sh" ${retort_requirements:+"$retort_requirements"})
retort_python=${retort_python##*$'\n'}
[[ -x $retort_python ]] || return 5
PATH=$(dirname "$retort_python"):$PATH
export PATH PYTHONPATH=$retort_root PYTHONSAFEPATH=1 PYTHONUTF8=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
