#!/usr/bin/env bash
# TIMIT: read American English with phones, 5 h, licensed by LDC (LDC93S1). Options are those of ../../run.sh.
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
exec "$here/../../run.sh" --recipe "$here" "$@"
