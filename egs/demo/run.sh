#!/usr/bin/env bash
# The demo: spoken commands, made on the spot. Options are those of ../../run.sh.
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
exec "$here/../../run.sh" --recipe "$here" "$@"
