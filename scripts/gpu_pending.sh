#!/usr/bin/env bash
# Measurements that wait for a GPU, one resumable step each. Run a step by name; with no name, list them.
#
#   scripts/gpu_pending.sh fashion-mnist [OUT]
#
# Each step trains only what has no record yet, so a step that was cut off goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
step=${1:-}
out=${2:-results}
export ISOFLOP_DATA=${ISOFLOP_DATA:-.data}

case "$step" in
fashion-mnist) # about 25 minutes: 18 shapes x 3 seeds, joules in every record (short cells replayed for 10 s)
  python3 -m isoflop sweep sweep=fashion_mnist meter.idle_seconds=5 sweep.name=fashion-mnist-gpu "out=$out/fashion-mnist-gpu"
  python3 -m isoflop report "$out/fashion-mnist-gpu"
  ;;
*)
  grep -E '^[a-z0-9-]+\)' "$0"
  ;;
esac
