"""Masked image modelling: what is hidden cannot be seen, what is not can; files; the tensors are in tests/golden."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minivit import checkpoints, load, names, params, tiers
from minivit.checkpoints import native
from minivit.config import MaskedConfig
from minivit.convert import convert
from minivit.errors import InputError
from minivit.model import Model
from minivit.models import masked

GOLDEN = Path(__file__).parents[1] / "golden" / "hf__vit_masked"
TINY = MaskedConfig("tiny", 4, 8, 2, 2, 16, image=(8, 12))
PIXELS = np.random.default_rng(0).standard_normal((2, 8, 12, 3), dtype=np.float32)
HIDDEN = np.array([[True, False, False, True, False, True], [False, False, True, False, True, False]])


@pytest.fixture(scope="module")
def model():
    return Model(TINY, params.seeded(TINY, 1))


def test_a_hidden_patch_cannot_be_seen(model):
    painted = model.run(PIXELS, mask=HIDDEN)
    other = PIXELS.copy()
    other[0, :4, :4], other[1, :4, 8:] = 7, -3  # the first patch of the one, the third of the other
    np.testing.assert_array_equal(model.run(other, mask=HIDDEN), painted)
    assert (model.run(other) != model.run(PIXELS)).any()


def test_a_hidden_patch_is_painted_from_its_place_and_its_neighbours(model):
    painted = model.run(PIXELS, mask=HIDDEN)
    assert painted.shape == PIXELS.shape
    other = PIXELS.copy()
    other[0, :4, 4:8] += 1  # a patch that is shown
    assert (model.run(other, mask=HIDDEN)[0, :4, :4] != painted[0, :4, :4]).any()


def test_nothing_hidden_is_the_same_as_no_mask(model):
    np.testing.assert_array_equal(model.run(PIXELS, mask=np.zeros((2, 6), bool)), model.run(PIXELS))


def test_a_mask_may_have_the_shape_of_the_grid(model):
    np.testing.assert_array_equal(model.run(PIXELS, mask=HIDDEN.reshape(2, 2, 3)), model.run(PIXELS, mask=HIDDEN))


def test_pixels_go_where_torch_puts_them():
    x = np.arange(2 * 6 * 12).reshape(2, 6, 12)
    painted = masked.pixels(x, 2, 3, channels=3)  # patches of 2×2 pixels, and channel · 4 + row · 2 + column in each
    assert painted.shape == (2, 4, 6, 3)
    for row, column, channel in np.ndindex(4, 6, 3):
        token = row // 2 * 3 + column // 2
        assert painted[1, row, column, channel] == x[1, token, channel * 4 + row % 2 * 2 + column % 2]


def test_a_trace_has_exactly_the_tensors_of_the_table(model):
    trace = model.trace(PIXELS, mask=HIDDEN)
    known = names.of(TINY)
    assert list(trace) == list(known)
    assert all(trace[name].shape == names.shape(tensor, TINY, batch=2) for name, tensor in known.items())
    np.testing.assert_array_equal(trace["embed.masked"][0, 3], model.params["embed"]["mask"][0, 0])


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (HIDDEN.astype(int), "int64 of shape"),
        (HIDDEN[:1], r"bool of shape \(1, 6\), expected true or false for 2 × 2×3 patches"),
        (HIDDEN.reshape(2, 3, 2), r"shape \(2, 3, 2\)"),
        ("half", "expected true or false"),
    ],
)
def test_a_bad_mask_is_one_clear_line(model, mask, problem):
    with pytest.raises(InputError, match=problem):
        model.run(PIXELS, mask=mask)


def test_other_models_hide_nothing():
    with pytest.raises(InputError, match="demo hides no patches"):
        load("demo").run(np.zeros((1, 224, 224, 3), np.float32), mask=np.zeros((1, 196), bool))


def test_it_says_that_it_has_no_classes_and_does_not_learn(model):
    with pytest.raises(InputError, match="no classification head"):
        model.classify(PIXELS)
    with pytest.raises(InputError, match="no classes"):
        replace(TINY, classes=5)
    with pytest.raises(InputError):
        model.gradients(PIXELS, [0, 0])


def test_it_is_saved_and_converted_to_the_bit(tmp_path):
    convert(GOLDEN, tmp_path / "hf", "hf")
    old, new = checkpoints.read(GOLDEN), checkpoints.read(tmp_path / "hf")
    assert new.config == replace(old.config, preprocess=new.config.preprocess)
    native.write(tmp_path / "own.safetensors", old.config, old.params())
    again = checkpoints.read(tmp_path / "own.safetensors")
    assert again.config == old.config
    for found in (new, again):
        flat = params.flatten(found.params())
        for name, array in params.flatten(old.params()).items():
            np.testing.assert_array_equal(flat[name], array, err_msg=name)
    for to in ("npz", "timm"):
        with pytest.raises(InputError, match="masked family"):
            convert(GOLDEN, tmp_path / "new.npz" if to == "npz" else tmp_path / "new", to)


def test_a_head_that_paints_other_sizes_is_refused(tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((GOLDEN / name).read_bytes())
    settings = json.loads((GOLDEN / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "encoder_stride": 16}))
    with pytest.raises(InputError, match="encoder_stride is 16, expected 8"):
        checkpoints.read(tmp_path)


def test_deit_paints_as_in_transformers(tmp_path):
    torch = pytest.importorskip("torch", reason="transformers (extra `reference`) runs on torch, not installed here")
    transformers = pytest.importorskip("transformers", reason="transformers (extra `reference`) is not installed here")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    settings = transformers.DeiTConfig(**sizes, image_size=8, patch_size=2, encoder_stride=2)
    theirs = transformers.DeiTForMaskedImageModeling(settings).eval()
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    theirs.save_pretrained(tmp_path)
    pixels, mask = np.random.default_rng(1).standard_normal((2, 8, 8, 3)), np.arange(32).reshape(2, 16) % 3 == 0
    with torch.no_grad():
        expected = theirs.double()(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()), torch.from_numpy(mask))
    painted = load(tmp_path, dtype="float64").run(pixels, mask=mask)
    error = np.abs(painted - expected.reconstruction.numpy().transpose(0, 2, 3, 1)).max()
    assert error < 1e-6 * np.abs(painted).max()  # its softmax stays in float32


def test_tier_cpu_paints_the_same(model):
    fast = Model(TINY, params.seeded(TINY, 1), tiers.load("cpu"))
    slow = model.run(PIXELS, mask=HIDDEN)
    assert np.abs(fast.run(PIXELS, mask=HIDDEN) - slow).max() < 1e-5 * np.abs(slow).max()
