"""Time minivit beside other engines on this machine: same weights, same threads, each engine alone in its process.

    python benchmarks/compare.py --models Ti/16 B/16 --batches 1 8 --threads 2 --engines minivit-ref-fp32 torch-fp32

Rounds are interleaved, so that a slow minute of the machine hits every engine; an engine that is not its turn is
stopped (SIGSTOP), so that no spinning thread pool disturbs the others.  Outputs are compared before anything is timed.
Times are milliseconds per image; only their ratios mean something, and only within one run.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import engines
import numpy as np
import report_files
import seeded_weights

from minivit.tables import Table

COLUMNS = ("engine", "model", "batch", "median_ms", "best_ms", "peak_rss_mb", "max_abs_diff", "ratio")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Worker:
    """An engine in its own process, which answers one JSON line per JSON line."""

    def __init__(self, engine, folder, threads, script=__file__):
        environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, script, "--worker", engine, str(folder), str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def ask(self, **question):
        self.process.send_signal(signal.SIGCONT)
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"engine process {self.process.args[3]} ended with code {self.process.wait()}")
        self.pause()
        return json.loads(answer)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def close(self):
        self.process.kill()
        self.process.wait()


def worker(engine, folder, answer):
    """The loop of an engine process: a question -> answer(engine, **question), each a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    engine.load(folder)
    for line in sys.stdin:
        question = json.loads(line)
        found = {} if question.get("ready") else answer(engine, **question)
        print(json.dumps(found), file=answers, flush=True)


def timed(engine, batch, repeat):
    """Seconds per run, peak memory, and the logits."""
    images = engine.prepare(np.random.default_rng(batch).standard_normal((batch, 224, 224, 3), dtype=np.float32))
    logits, seconds = engine.run(images), []
    for _ in range(repeat):
        start = time.perf_counter()
        logits = engine.run(images)
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "logits": np.asarray(logits).tolist(), "peak_rss_mb": peak_rss_mb()}


def peak_rss_mb():
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, ru_maxrss would start from the peak of the parent process
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(model, folder, args):
    """The rows of one model: every engine, every batch size."""
    rows = []
    for batch in args.batches:  # fresh processes, so that peak memory belongs to this batch size
        with contextlib.ExitStack() as stack:
            workers = {}
            for name in args.engines:
                workers[name] = Worker(name, folder, args.threads)
                stack.callback(workers[name].close)
                workers[name].ask(ready=True)
            first = {name: w.ask(batch=batch, repeat=0) for name, w in workers.items()}
            times = {name: [] for name in workers}
            for _ in range(args.rounds):
                for name, w in workers.items():
                    times[name] += w.ask(batch=batch, repeat=args.repeat)["seconds"]
            peaks = {name: w.ask(batch=batch, repeat=0)["peak_rss_mb"] for name, w in workers.items()}
        truth = np.array(first[args.engines[0]]["logits"])
        for name, seconds in times.items():
            difference = np.abs(np.array(first[name]["logits"]) - truth).max()
            per_image = [1e3 * s / batch for s in seconds]
            rows.append({
                "engine": name, "model": model, "batch": batch, "median_ms": statistics.median(per_image),
                "best_ms": min(per_image), "peak_rss_mb": peaks[name], "max_abs_diff": float(difference),
            })  # fmt: skip
        for row in rows[-len(workers) :]:
            row["ratio"] = row["median_ms"] / rows[-len(workers)]["median_ms"]
    return rows


def machine(threads):
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        facts = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((fact.split(":")[1].strip() for fact in facts if fact.startswith("model name")), cpu)
    installed = {d.metadata["Name"].lower() for d in metadata.distributions()}
    versions = {name: metadata.version(name) for name in report_files.PACKAGES if name in installed}
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, "python": platform.python_version(), **versions}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["Ti/16", "S/16", "B/16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--engines", nargs="+", choices=engines.NAMES, default=["minivit-ref-fp32", "torch-fp32"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10, help="times each engine has its turn (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="runs per turn (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="save machine and rows")
    parser.add_argument("--plot", metavar="FILE", help="save a bar chart as PNG")
    parser.add_argument("--readme", metavar="FILE", help="write the table between the marks of a Markdown file")
    args = parser.parse_args()
    report = {"machine": machine(args.threads), "rows": []}
    print(json.dumps(report["machine"]), file=sys.stderr)
    if any(name.startswith("minivit-cpu") for name in args.engines):
        # compiling takes memory: not in a process whose memory is measured
        subprocess.run([sys.executable, "-m", "minivit", "warmup"], check=True, stdout=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        for model in args.models:
            path = Path(folder) / model.replace("/", "")
            seeded_weights.hugging_face_folder(model, path)
            if any(name.startswith(("onnx", "openvino")) for name in args.engines):
                export = f"import seeded_weights as s; s.export_onnx({str(path)!r})"
                export += f"; s.quantise_onnx({str(path)!r})" if "onnxruntime-int8" in args.engines else ""
                subprocess.run([sys.executable, "-c", export], cwd=Path(__file__).parent, check=True, stdout=sys.stderr)
            rows = measure(model, path, args)
            report["rows"] += rows
            print(Table(COLUMNS, rows), flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")
    if args.plot:
        report_files.draw(report, args.plot)
    if args.readme:
        report_files.into_readme(report, args.readme)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(engines.make(sys.argv[2], int(sys.argv[4])), sys.argv[3], timed)
    else:
        main()
