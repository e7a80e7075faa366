#!/usr/bin/env bash
# LibriSpeech: read English audiobooks, up to 960 h; parts are chosen in conf.toml. Options are those of ../../run.sh.
set -euo pipefail
here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
exec "$here/../../run.sh" --recipe "$here" "$@"
