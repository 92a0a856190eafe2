#!/usr/bin/env bash
# Measurements of a GPU that scripts/campaign.py does not make, one resumable step each. Run a step by name; with
# no name, list them. The curve itself, its recipe, held-out points and joules: scripts/campaign.py.
#
#   scripts/gpu_pending.sh gpu-tests [OUT]
#
# Each step does only what has no result yet, so a step that was cut off goes on where it was.
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
gpu-tests) # at most 10 minutes: tests/gpu, a file at a time: no step waits for the device; engines agree; a killed run is
  # resumed; NCCL with one process and, where there are two GPUs, with both.
  # Tracebacks are printed as tests fail, so a run that is cut off has said what it knows
  for file in tests/gpu/test_*.py tests/train/step/test_several.py; do
    once "gpu-tests/$(basename "$file" .py).txt" python3 -m pytest "$file" -rs
  done
  ;;
step-bench) # at most 4 minutes: step times, MFU and share of the roofline by engine at w4 d1, w8 d1, w64 d3, w128 d3, on an
  # empty cache of the compiler and again on the warm one; then our step on airbench's network beside its own training
  # (first: pip install airbench), as a graph and compiled
  [[ -s ${ISOFLOP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isoflop}/ceilings.json ]] || python3 -m isoflop doctor --measure || echo 'no ceilings: shares of the roofline stay unknown'
  export TORCHINDUCTOR_CACHE_DIR=${TMPDIR:-/tmp}/isoflop-step-bench
  once step/engines.txt python3 benchmarks/bench_step.py --json "$out/step/engines.json"
  once step/engines-warm.txt python3 benchmarks/bench_step.py --engines graph compiled_graph --json "$out/step/engines-warm.json"
  for engine in graph compiled_graph; do
    once "step/airbench-$engine.txt" python3 benchmarks/bench_loop.py --step "$engine" --against airbench --json "$out/step/airbench-$engine.json"
  done
  ;;
loop-bench) # at most 10 minutes: our step beside a bare loop, accelerate, Lightning, transformers and airbench,
  # as a graph and op by op; first: pip install -c constraints.txt -e '.[train]' lightning transformers accelerate airbench
  once loop/bench-gpu-graph.txt python3 benchmarks/bench_loop.py --json "$out/loop/bench-gpu-graph.json"
  once loop/bench-gpu-eager.txt python3 benchmarks/bench_loop.py --step eager --against bare tuned --json "$out/loop/bench-gpu-eager.json"
  # language models; NANOGPT is a checkout of nanoGPT, which is left out without it
  once loop/language-gpu.txt python3 benchmarks/bench_language.py ${NANOGPT:+--nanogpt "$NANOGPT"} --json "$out/loop/language-gpu.json"
  ;;
loop-agreement) # about 8 minutes: eager, compiled and graph steps in fp32 and bf16, smallest and largest run
  once agreement/gpu.txt python3 benchmarks/agreement.py "$out/agreement/gpu" --seeds 10
  ;;
packing) # about 25 minutes: examples a second of 1 to 16 runs at a time with and without MPS, then 24 runs packed against
  # one after another, then joules for the packed ones
  once packing/rates.txt python3 benchmarks/bench_packing.py
  grid=(recipe=scaling data=fashion_mnist model.width=4,8 model.depth=1,2 seed=0,1,2,3,4,5 schedule.epochs=2)
  once packing/one-by-one.txt bash -c "time python3 -m isoflop sweep ${grid[*]} out='$out/packing/one-by-one' meter=none"
  once packing/packed.txt bash -c "time python3 -m isoflop sweep ${grid[*]} out='$out/packing/packed' launch.per_gpu=auto --metering-pass"
  ;;
meter-sensors) # at most 13 minutes: the GPU's update periods, counter against integral over 5, 20 and 60 s, twice
  # the work, what metering costs
  uuid=$(python3 -c 'import torch; from isoflop.runner.energy import gpu_uuids; print(gpu_uuids(torch.device("cuda", 0))[0])')
  for part in sensor double idle load; do
    once "meter/$part.csv" python3 scripts/gpu_meter.py "$part"
  done
  once meter/overhead.txt python3 benchmarks/bench_meter.py --uuid "$uuid" --pairs 100
  ;;
tracker-overhead) # at most 25 minutes: seconds each tracker adds to the smallest run, and ratios on a run of half a minute
  once tracker/overhead.txt python3 benchmarks/bench_tracker.py --seconds 30 --rounds 8
  ;;
language) # at most 10 minutes: sweep=isoflop_lm on TEXT, a folder with train.txt.xz, train.offsets.csv, val.txt.xz and
  # val.offsets.csv (64 MB or more to train), with joules and its held-out budgets; then the page of what there is
  text=${TEXT:?the folder with train.txt.xz, train.offsets.csv, val.txt.xz and val.offsets.csv}
  timeout 570 python3 -m isoflop sweep sweep=isoflop_lm data.path="$text/train.txt.xz" data.offsets="$text/train.offsets.csv" \
    data.eval_path="$text/val.txt.xz" data.eval_offsets="$text/val.offsets.csv" meter.idle_seconds=5 "out=$out/isoflop-lm" || true
  python3 -m isoflop report "$out/isoflop-lm"
  ;;
language-rates) # at most 5 minutes: five rates at the smallest shape of sweep=isoflop_lm on the lowest budget, at the largest on a
  # high one, and at a middle one on both
  text=${TEXT:?as for language}
  timeout 270 python3 -m isoflop sweep sweep=rates_lm data=text data.path="$text/train.txt.xz" data.offsets="$text/train.offsets.csv" \
    data.eval_path="$text/val.txt.xz" data.eval_offsets="$text/val.offsets.csv" model.context=256 model.head_width=8 meter=none \
    'sweep.points=[{model: {width: 8, depth: 1}, schedule: {train_gflops: 1000}, optim: {batch_size: 2048}}, {model: {width: 64, depth: 2}, schedule: {train_gflops: 1000}, optim: {batch_size: 2048}}, {model: {width: 64, depth: 2}, schedule: {train_gflops: 30000}, optim: {batch_size: 8192}}, {model: {width: 256, depth: 4}, schedule: {train_gflops: 30000}, optim: {batch_size: 8192}}]' \
    "out=$out/language-rates" || true
  python3 -m isoflop check "$out/language-rates"
  ;;
paper-overparameterised) # at most 15 minutes: data and width grow together on Fashion-MNIST, 7 sizes x 3 seeds, the page's section
  python3 -m isoflop sweep sweep=overparameterised data=fashion_mnist data.dimension=null data.teacher_width=null \
    data.teacher_depth=null meter.idle_seconds=5 sweep.name=overparameterised-fashion-mnist "out=$out/overparameterised-fashion-mnist"
  python3 -m isoflop paper overparameterised "$out/overparameterised-fashion-mnist" --out "$out/paper"
  ;;
parallel) # at most 2 minutes: matrix product and conjugate gradient on the one GPU, share of its peak each, with joules;
  # NCCL with one process measures no communication. Records in parallel/parallel, which a second call measures no more
  python3 -m isoflop parallel --one-worker --payload matmul,cg launch.device=cuda "out=$out/parallel"
  once parallel/one-gpu.txt python3 -m isoflop parallel "$out/parallel"
  ;;
critical-batch) # at most 3 minutes: critical batch size of a perceptron on Fashion-MNIST, 48 runs; with TEXT, the folder of
  # `language`, at most 6 minutes more for that of a language model. A sweep that was cut off is read as far as it is, and goes on
  # the next time. Where the table marks rates as lowest or highest tried, the grid of conf/sweep must be moved
  critical_batch() { # NAME SECONDS OVERRIDES...
    local folder=$out/$1 seconds=$2
    shift 2
    [[ -s $folder/batch.json ]] && return
    local ended=0
    timeout "$seconds" python3 -m isoflop sweep "$@" "out=$folder" || ended=$?
    python3 -m isoflop batch "$folder" --figure "$folder/batch.svg" || true
    [[ $ended != 0 ]] || python3 -m isoflop batch "$folder" --json "$folder/batch.json"
  }
  critical_batch batch-fashion-mnist 180 sweep=batch_fashion_mnist
  [[ -z ${TEXT:-} ]] || critical_batch batch-books 360 sweep=batch_lm data=text data.path="$TEXT/train.txt.xz" \
    data.offsets="$TEXT/train.offsets.csv" data.eval_path="$TEXT/val.txt.xz" data.eval_offsets="$TEXT/val.offsets.csv"
  ;;
levers) # at most 6 minutes: precision, distillation and pruning against the baseline in fp32, four sizes of CIFAR-10, 2 seeds, with
  # joules and timed forward passes. One rate for all: that of recipe=scaling, which mup carries over sizes
  timeout 330 python3 -m isoflop sweep recipe=scaling data=cifar10 precision=fp32 model.width=8,16,32,64 model.depth=1 seed=0,1 \
    schedule.epochs=4 meter.idle_seconds=5 meter.inference_seconds=1 'sweep.points=[{lever: none}, {lever: tf32}, {lever: bf16}, {lever: distillation, lever.teacher_width: 64, lever.teacher_depth: 1, lever.teacher_lr: 0.1}, {lever: pruning}]' \
    "out=$out/levers/cifar10-gpu" || true
  once levers/cifar10-gpu.txt python3 -m isoflop levers "$out/levers/cifar10-gpu" --json "$out/levers/cifar10-gpu.json" \
    --plot "$out/levers/cifar10-gpu.svg"
  ;;
plan-check) # at most 10 minutes: a first curve of 2 minutes on CIFAR-10, the plan for 5 more GPU-minutes that shrinks the interval
  # of its exponent, and the interval before and after: results/plan-check has the records and both plans
  dir=$out/plan-check
  small=(sweep=ladder data=cifar10 'model.width=4,8,16,32' 'model.depth=1,2' seed=0,1 'sweep.held_out=[]' meter.idle_seconds=0)
  timeout 200 python3 -m isoflop sweep "${small[@]}" "out=$dir"
  once plan-check/before.txt python3 -m isoflop plan "$dir" --budget 5gpumin --out "$dir/plan"
  for file in "$dir"/plan/sweep/*.yaml; do
    timeout 400 python3 -m isoflop sweep --config-dir "$dir/plan" "sweep=$(basename "$file" .yaml)" "out=$dir" meter.idle_seconds=0 || true
  done
  once plan-check/after.txt python3 -m isoflop plan "$dir" --budget 5gpumin --out "$dir/next"
  grep -h '^now\|^planned' "$dir/before.txt" "$dir/after.txt"
  ;;
*)
  grep -E '^[a-z0-9-]+\)' "$0"
  ;;
esac
