#!/usr/bin/env bash
# mini LibriSpeech: 5 h of LibriSpeech, to try a recipe out. Options are those of ../../run.sh.
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
exec "$here/../../run.sh" --recipe "$here" "$@"
