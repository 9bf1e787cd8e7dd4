#!/usr/bin/env bash
# Everything about tier "gpu" that needs a GPU, in one go:  bash benchmarks/gpu.sh [results.json]
#
# Prints versions, checks every rung and whole models against float64 (with compute-sanitizer too, where it is
# installed), then measures the ladders and the models beside PyTorch, and writes the JSON, the roofline and the table
# of README.md.  Needs Python with NumPy, numba-cuda and PyTorch; downloads nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
results="${1:-benchmarks/results/h200.json}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS=0
unset NUMBA_ENABLE_CUDASIM

echo "== versions"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv || true
python benchmarks/gpu.py --versions

echo "== against float64"
python tests/gpu/gpu_checks.py

echo "== compute-sanitizer"
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck synccheck; do
    compute-sanitizer --tool "$tool" --error-exitcode 1 python tests/gpu/gpu_checks.py --small | tail -3
  done
else
  echo "compute-sanitizer is not installed: not run"
fi

echo "== benchmarks"
mkdir -p "$(dirname "$results")"
python benchmarks/gpu.py -o "$results"
python benchmarks/gpu_report.py "$results"
