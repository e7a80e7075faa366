#!/usr/bin/env bash
# speechocean762: read English by Mandarin speakers, half of them children. Options are those of ../../run.sh.
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
exec "$here/../../run.sh" --recipe "$here" "$@"
