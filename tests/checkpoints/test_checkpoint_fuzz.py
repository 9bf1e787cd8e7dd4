"""Thirteen thousand damaged files: each is read or refused with an InputError, and nothing else ever happens."""

import json
import random
import zipfile

import numpy as np
import pytest
from checkpoint_files import (
    TINY_HF_CONFIG,
    raw_safetensors,
    save_huggingface,
    save_npz,
    tiny_huggingface,
    tiny_jax,
)
from mutations import mutations

from minivit import checkpoints
from minivit.checkpoints import rules, timm
from minivit.config import ViTConfig
from minivit.errors import InputError


def read_or_refuse(path, damaged_files, target=None):
    """(how many were read, how many were refused) of files written one after the other to ``target``."""
    read = refused = 0
    for damaged in damaged_files:
        (target or path).write_bytes(damaged)
        try:
            checkpoints.read(path).params()
            read += 1
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
    return read, refused


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
def test_damaged_npz_files_are_read_or_refused(compressed, tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax(), compressed)
    read, refused = read_or_refuse(path, mutations(path.read_bytes(), 3000, seed=1))
    assert read > 0 and refused > 2000


def test_damaged_safetensors_files_are_read_or_refused(tmp_path):
    folder = save_huggingface(tmp_path / "vit", tiny_huggingface(), TINY_HF_CONFIG)
    target = folder / "model.safetensors"
    read, refused = read_or_refuse(folder, mutations(target.read_bytes(), 3000, seed=2), target)
    assert read > 0 and refused > 2000


def test_damaged_config_files_are_read_or_refused(tmp_path):
    folder = save_huggingface(tmp_path / "vit", tiny_huggingface(), TINY_HF_CONFIG)
    target = folder / "config.json"
    read, refused = read_or_refuse(folder, mutations(target.read_bytes(), 1000, seed=3), target)
    assert read > 0 and refused > 500


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # a damaged .npy header is still a Python literal
def test_damaged_npy_headers_in_a_sound_zip_are_read_or_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def archives():
        for damaged in mutations(members["embedding/kernel.npy"], 1000, seed=4):
            with zipfile.ZipFile(tmp_path / "sound.npz", "w") as archive:
                for name, data in {**members, "embedding/kernel.npy": damaged}.items():
                    archive.writestr(name, data)
            yield (tmp_path / "sound.npz").read_bytes()

    read, refused = read_or_refuse(path, archives())
    assert read > 0 and refused > 500


ODD_VALUES = (
    *(None, True, -1, 0, 1, 2, 3, 7, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "4", "gelu", "../..", "\ud800", [], [2], [2, 2], [[2]], {}, {"height": 2, "width": 2}, {"0": "a"}),
)


def odd_json(value, count, seed):
    """Copies of a JSON object in which some values, wherever they stand, are odd ones."""
    rng = random.Random(seed)

    def odd(value, chance):
        if rng.random() < chance:
            return rng.choice(ODD_VALUES)
        if isinstance(value, dict):
            return {name: odd(v, chance) for name, v in value.items()}
        return [odd(v, chance) for v in value] if isinstance(value, list) else value

    for _ in range(count):
        changed = odd(value, rng.choice((0.02, 0.1, 0.4)))
        yield changed if isinstance(changed, dict) else value


PREPROCESSOR = {
    **{"do_resize": True, "size": {"height": 4, "width": 4}, "resample": 2, "do_center_crop": True, "crop_size": 4},
    **{"do_rescale": True, "rescale_factor": 1 / 255, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
}
TIMM = {
    **{"architecture": "vit", "global_pool": "token", "label_names": ["a", "b"], "model_args": {"num_heads": 2}},
    "pretrained_cfg": {
        **{"input_size": [3, 4, 4], "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center"},
        **{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    },
}


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_odd_values_in_hugging_face_json_are_read_or_refused(name, tmp_path):
    folder = save_huggingface(tmp_path / "vit", tiny_huggingface(), TINY_HF_CONFIG)
    settings = {"config.json": TINY_HF_CONFIG, "preprocessor_config.json": PREPROCESSOR}[name]
    files = (json.dumps(odd).encode() for odd in odd_json(settings, 800, seed=5))
    read, refused = read_or_refuse(folder, files, folder / name)
    assert read > 0 and refused > 100


def test_odd_values_in_timm_json_are_read_or_refused(tmp_path):
    folder = save_huggingface(tmp_path / "vit", tiny_timm(), TIMM)
    files = (json.dumps(odd).encode() for odd in odd_json(TIMM, 800, seed=6))
    read, refused = read_or_refuse(folder, files, folder / "config.json")
    assert read > 0 and refused > 100


def tiny_timm():
    """The arrays of a tiny timm model: the names of RULES, which the golden files attest."""
    config = ViTConfig("tiny", patch=2, width=4, blocks=1, heads=2, mlp=4, classes=2, image=(4, 4))
    wanted = rules.expected(timm.RULES, config).values()
    return {name: np.ones(shape, np.float32) for names, shape, _ in wanted for name in names}


def test_odd_safetensors_headers_are_read_or_refused(tmp_path):
    folder = save_huggingface(tmp_path / "vit", tiny_huggingface(), TINY_HF_CONFIG)
    target = folder / "model.safetensors"
    whole = target.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    files = (raw_safetensors(odd, whole[end:]) for odd in odd_json(json.loads(whole[8:end]), 800, seed=7))
    _, refused = read_or_refuse(folder, files, target)
    assert refused > 500
