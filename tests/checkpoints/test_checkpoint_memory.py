"""Reading a checkpoint takes hardly more memory than its parameters."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import save_huggingface, save_npz, save_safetensors

from minivit.checkpoints import huggingface, rules, timm, vit_jax
from minivit.config import variant

# the peak of a fresh process; ru_maxrss will not do, because it starts with the peak of the process that started it
CHILD = """
import sys
from pathlib import Path
import safetensors
from minivit import checkpoints

def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

before = peak()
checkpoint = checkpoints.read(sys.argv[1])
tree = checkpoint.params()
print((peak() - before) / (4 * checkpoint.parameters))
"""
CONFIG = variant("ViT-S/16")  # 88 MB


def arrays(table):
    """Random numbers under the names and in the shapes of a layout; random, so that they hardly compress."""
    rng = np.random.default_rng(0)
    wanted = rules.expected(table, CONFIG).values()
    return {name: rng.standard_normal(shape, np.float32) for names, shape, _ in wanted for name in names}


@pytest.fixture(scope="module")
def files():
    with tempfile.TemporaryDirectory() as folder:  # removed at once: pytest would keep 350 MB of three runs
        yield save_all(Path(folder))


def save_all(folder):
    config = {
        **{"model_type": "vit", "hidden_size": CONFIG.width, "num_hidden_layers": CONFIG.blocks, "num_labels": 1000},
        **{"num_attention_heads": CONFIG.heads, "intermediate_size": CONFIG.mlp},
    }
    jax = arrays(vit_jax.RULES)
    return {
        "npz": save_npz(folder / "stored.npz", jax),
        "npz deflated": save_npz(folder / "deflated.npz", jax, compressed=True),
        "huggingface": save_huggingface(folder / "hf", arrays(huggingface.RULES), config),
        "timm": save_safetensors(folder / "timm.safetensors", arrays(timm.RULES)),
    }


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("layout", ["npz", "npz deflated", "huggingface", "timm"])
def test_reading_takes_at_most_1_3_times_the_parameters(layout, files):
    run = subprocess.run([sys.executable, "-c", CHILD, files[layout]], capture_output=True, text=True, check=True)
    assert 0.9 < json.loads(run.stdout) < 1.3  # less than 0.9 would mean that not everything was read
