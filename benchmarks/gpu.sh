#!/usr/bin/env bash
# Everything about tier "gpu" that needs a GPU:  bash benchmarks/gpu.sh [results.json [part …]]
#
# Prints versions, then does the parts, by default all of them, within ten minutes; a part that fails or takes too long
# is named at the end, and the next one is done all the same:
#   checks     every rung and whole models against float64, by a process per CPU: results_checks.txt    at most 170 s
#   models     whole models beside PyTorch                                                            at most 130 s
#   ladders    every rung beside PyTorch's kernel                                                     at most 110 s
#   compiled   the models by torch.compile                                                            at most 110 s
#   sanitizer  small checks under compute-sanitizer, where it is installed: results_sanitizer.txt     at most  70 s
# Figures go into the JSON one by one.  What is there is not measured again, so a second call goes on where the first one
# was cut off.  At the end of each call: the roofline and the table of README.md.
# Needs Python ($PYTHON, or python3) with NumPy, Numba, numba-cuda and PyTorch; downloads nothing.
set -uo pipefail
cd "$(dirname "$0")/.."
results="${1:-benchmarks/results/h200.json}"
parts="${*:2}"
python="${PYTHON:-python3}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS=0 PYTHONUNBUFFERED=1
unset NUMBA_ENABLE_CUDASIM
mkdir -p "$(dirname "$results")"
workers=$(($(nproc) < 8 ? $(nproc) : 8))  # most of the time of a check is that of a compiler, on one CPU
failed=""

checks() {
  local log="${results%.json}_checks.txt" status=0
  seq 0 $((workers - 1)) | xargs -P "$workers" -I{} timeout --kill-after=5 170 \
    "$python" tests/gpu/gpu_checks.py --share "{}/$workers" >"$log" 2>&1 || status=1
  grep -E "NOT OK|Error|not checked" "$log"
  echo "$(grep -cE "^ +OK " "$log") checks OK, $(grep -c "NOT OK" "$log") not; all of them: $log"
  return $status
}

measure() {  # seconds, part of gpu.py
  timeout --kill-after=5 "$1" "$python" benchmarks/gpu.py -o "$results" "$2"
}

sanitizer() {
  local log="${results%.json}_sanitizer.txt" status=0
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not installed: not run"; return 0; }
  printf "%s\n" memcheck racecheck synccheck | xargs -P 3 -I{} timeout --kill-after=5 70 \
    compute-sanitizer --tool {} --error-exitcode 1 "$python" tests/gpu/gpu_checks.py --small >"$log" 2>&1 || status=1
  grep -E "ERROR SUMMARY|NOT OK" "$log"
  return $status
}

echo "== versions"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv || true
"$python" benchmarks/gpu.py --versions || exit 1

for part in ${parts:-checks models ladders compiled sanitizer}; do
  echo "== $part ($SECONDS s)"
  case "$part" in
    checks | sanitizer) "$part" ;;
    models) measure 130 models ;;
    ladders | compiled) measure 110 "$part" ;;
    *) echo "there is no part $part; see the first lines of $0"; false ;;
  esac || failed="$failed $part"
done

echo "== report ($SECONDS s)"
if [ -s "$results" ]; then "$python" benchmarks/gpu_report.py "$results"; fi
if [ -n "$failed" ]; then echo "failed, or cut off:$failed"; exit 1; fi
