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

# once FILE COMMAND: print what the command says into $out/FILE, unless a whole earlier run already did.
once() {
  local file=$out/$1
  shift
  if [[ -s $file ]]; then
    echo "$file: done before"
    return
  fi
  mkdir -p "$(dirname "$file")"
  "$@" 2>&1 | tee "$file.part"
  mv "$file.part" "$file"
}

case "$step" in
fashion-mnist) # about 25 minutes: 18 shapes x 3 seeds, joules in every record (short runs replayed for 10 s)
  python3 -m isoflop sweep sweep=fashion_mnist meter.idle_seconds=5 sweep.name=fashion-mnist-gpu "out=$out/fashion-mnist-gpu"
  python3 -m isoflop report "$out/fashion-mnist-gpu"
  ;;
loop-tests) # at most 10 minutes: no step waits for the device; all engines agree; the fused batch norm on the GPU itself.
  # Tracebacks are printed as tests fail, so a run that is cut off has said what it knows
  once loop/tests.txt python3 -m pytest tests/gpu/test_loop_gpu.py tests/gpu/test_step_gpu.py tests/train/fused tests/train/step/test_several.py -rs
  ;;
step-bench) # at most 4 minutes: step times, MFU and share of the roofline by engine at w4 d1, w8 d1, w64 d3, w128 d3, on an
  # empty cache of the compiler and again on the warm one; then our step on airbench's network beside its own training
  # (first: pip install airbench), as a graph and compiled
  [[ -s ${ISOFLOP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isoflop}/ceilings.json ]] || python3 -m isoflop doctor --measure
  export TORCHINDUCTOR_CACHE_DIR=${TMPDIR:-/tmp}/isoflop-step-bench
  once step/engines.txt python3 benchmarks/bench_step.py --json "$out/step/engines.json"
  once step/engines-warm.txt python3 benchmarks/bench_step.py --engines graph compiled_graph --json "$out/step/engines-warm.json"
  for engine in graph compiled_graph; do
    once "step/airbench-$engine.txt" python3 benchmarks/bench_loop.py --step "$engine" --against airbench --json "$out/step/airbench-$engine.json"
  done
  ;;
loop-agreement) # about 8 minutes: eager, compiled and graph steps in fp32 and bf16, smallest and largest run
  once agreement/gpu.txt python3 benchmarks/agreement.py "$out/agreement/gpu" --seeds 10
  ;;
loop-bench) # at most 10 minutes: our step beside a bare loop, accelerate, Lightning, transformers and airbench,
  # as a graph and op by op; first: pip install -c constraints.txt -e . lightning transformers accelerate airbench
  once loop/bench-gpu-graph.txt python3 benchmarks/bench_loop.py --json "$out/loop/bench-gpu-graph.json"
  once loop/bench-gpu-eager.txt python3 benchmarks/bench_loop.py --step eager --against bare tuned --json "$out/loop/bench-gpu-eager.json"
  ;;
loop-profile) # at most 4 minutes: kernels a step and the device's busy share of the narrowest and widest run of
  # sweep=cifar10, before and after the graph
  for width in 4 128; do
    depth=$((width == 4 ? 1 : 3))
    once "loop/profile-w$width-d$depth.txt" python3 benchmarks/profile_loop.py model=resnet data=cifar10 optim=sgd \
      "model.width=$width" "model.depth=$depth"
  done
  ;;
loop-throughput) # at most 25 minutes: 12 shapes x 3 seeds of CIFAR-10; every record has its MFU and joules
  python3 -m isoflop sweep sweep=cifar10 schedule.epochs=10 "schedule.cooldowns=[]" model.width=4,16,64,128 "sweep.held_out=[]" \
    meter.idle_seconds=5 sweep.name=loop-throughput "out=$out/loop-throughput"
  python3 -m isoflop report "$out/loop-throughput"
  ;;
packing) # about 25 minutes: examples a second of 1 to 16 runs at a time with and without MPS, then 24 runs packed against
  # one after another, then joules for the packed ones
  once packing/rates.txt python3 benchmarks/bench_packing.py
  grid=(sweep=fashion_mnist model.width=4,8 model.depth=1,2 seed=0,1,2,3,4,5 schedule.epochs=2 "schedule.cooldowns=[]" "sweep.held_out=[]")
  once packing/one-by-one.txt bash -c "time python3 -m isoflop sweep ${grid[*]} out='$out/packing/one-by-one' meter=none"
  once packing/packed.txt bash -c "time python3 -m isoflop sweep ${grid[*]} out='$out/packing/packed' launch.per_gpu=auto --metering-pass"
  ;;
resume) # about 3 minutes: a run killed in the middle and resumed
  python3 -m pytest -q tests/gpu/test_resume_gpu.py
  ;;
meter-sensors) # at most 13 minutes: the GPU's update periods, counter against integral over 5, 20 and 60 s, twice
  # the work, ceilings, what metering costs
  uuid=$(python3 -c 'import torch; from isoflop.runner.energy import gpu_uuids; print(gpu_uuids(torch.device("cuda", 0))[0])')
  for part in sensor double idle load; do
    once "meter/$part.csv" python3 scripts/gpu_meter.py "$part"
  done
  once meter/ceilings.txt python3 -m isoflop doctor --measure
  once meter/overhead.txt python3 benchmarks/bench_meter.py --uuid "$uuid" --pairs 100
  ;;
parallel-nccl) # at most 4 minutes: NCCL with one process beside none (same bits), eager and compiled, and where there are
  # two GPUs, one run by both
  once parallel/nccl.txt python3 -m pytest tests/gpu/test_parallel_gpu.py -rs
  ;;
tracker-overhead) # at most 25 minutes: seconds each tracker adds to the smallest run, and ratios on a run of half a minute
  once tracker/overhead.txt python3 benchmarks/bench_tracker.py --seconds 30 --rounds 8
  ;;
forecast-predict) # seconds, after fashion-mnist: what its runs predict of larger ones; commit it before forecast-check
  once forecast-check/prediction.txt python3 -m isoflop fit "$out/fashion-mnist-gpu"
  cp "$out/fashion-mnist-gpu/fit.json" "$out/forecast-check/prediction.json"
  echo "now: git add $out/forecast-check && git commit, then forecast-check"
  ;;
forecast-check) # at most 15 minutes: runs of 4 and 10 times the compute of the largest, judged by the prediction committed before
  if ! git cat-file -e "HEAD:$out/forecast-check/prediction.json" || ! git diff --quiet HEAD -- "$out/forecast-check/prediction.json"; then
    echo "forecast-check: commit $out/forecast-check/prediction.json, as forecast-predict leaves it, first" >&2
    exit 2
  fi
  python3 -m isoflop sweep sweep=fashion_mnist model.width=128,202 model.depth=4 schedule.epochs=10 "schedule.cooldowns=[]" "sweep.held_out=[]" \
    meter.idle_seconds=5 sweep.name=forecast-check "out=$out/forecast-check/large"
  mkdir -p "$out/forecast-check/both/records"
  cp "$out"/fashion-mnist-gpu/records/*.json "$out"/forecast-check/large/records/*.json "$out/forecast-check/both/records"
  once forecast-check/judged.txt python3 -m isoflop fit "$out/forecast-check/both" --hold-out 'width>64'
  ;;
paper-overparameterised) # at most 15 minutes: data and width grow together on Fashion-MNIST, 7 sizes x 3 seeds, the page's section
  python3 -m isoflop sweep sweep=overparameterised data=fashion_mnist data.dimension=null data.teacher_width=null \
    data.teacher_depth=null meter.idle_seconds=5 sweep.name=overparameterised-fashion-mnist "out=$out/overparameterised-fashion-mnist"
  python3 -m isoflop paper overparameterised "$out/overparameterised-fashion-mnist" --out "$out/paper"
  ;;
tracker-power) # at most 5 minutes: the power trace of a real run, as a figure of its page
  python3 -m isoflop run data=fashion_mnist model=resnet model.width=32 model.depth=2 optim=sgd schedule.epochs=5 \
    meter.idle_seconds=10 tracker=csv "out=$out/tracker/power"
  python3 -m isoflop report "$out/tracker/power"
  ;;
*)
  grep -E '^[a-z0-9-]+\)' "$0"
  ;;
esac
