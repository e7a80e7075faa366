#!/usr/bin/env bash
# Kaldi's yesno: one speaker, "yes" and "no". Options are those of ../../run.sh.
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
exec "$here/../../run.sh" --recipe "$here" "$@"
