"""Tests run in several processes (pytest -n auto): one BLAS thread each, or they would wait for one another."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    for library in ("OPENBLAS", "MKL", "OMP", "VECLIB"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
