"""LiT files: both numberings of modules, prefixes, what they do not tell, and damage."""

from dataclasses import replace

import numpy as np
import pytest
from lit_files import BERT, SMALL, arrays_of

from minivit import checkpoints, params
from minivit.config import LIT, TIMM, VARIANTS
from minivit.errors import InputError

CONFIGS = {"bert": BERT, "small": SMALL}


def saved(path, arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_parameter_comes_back(kind, tmp_path):
    checkpoint = checkpoints.read(saved(tmp_path / "a.npz", arrays_of(CONFIGS[kind])))
    assert (checkpoint.family, checkpoint.layout) == ("lit", "vit_jax npz")
    expected, found = (params.flatten(tree) for tree in (params.seeded(CONFIGS[kind]), checkpoint.params()))
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    config = CONFIGS[kind]
    assert checkpoint.config.txt == config.txt and checkpoint.config.preprocess == LIT
    assert replace(checkpoint.config.img, name="img", preprocess=config.img.preprocess) == config.img


def published(name):
    """The numbering of published ViT files: of all modules of a block together."""
    for linen, old in (("LayerNorm_1", "LayerNorm_2"), ("Attention_0", "Attention_1"), ("MlpBlock_0", "MlpBlock_3")):
        name = name.replace(f"{linen}/", f"{old}/") if "encoderblock_" in name else name
    return name


@pytest.mark.parametrize("prefix", ["", "params/", "opt/target/"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_the_older_numbering_and_prefixes_are_the_same_model(kind, prefix, tmp_path):
    arrays = arrays_of(CONFIGS[kind])
    one = checkpoints.read(saved(tmp_path / "a.npz", arrays)).params()
    old = {prefix + published(name): array for name, array in arrays.items()}
    assert set(old) != set(arrays)
    other = checkpoints.read(saved(tmp_path / "b.npz", old)).params()
    one, other = params.flatten(one), params.flatten(other)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_the_published_sizes_have_the_published_name():
    config = VARIANTS["LiT-L16Ti"]
    zeros = {name: np.broadcast_to(np.float32(0), shape) for name, shape in params.shapes(config).items()}
    arrays = checkpoints.rules.theirs(checkpoints.vit_jax_lit.RULES["transformer"], config, zeros)
    assert checkpoints.from_arrays(arrays, "LiT-L16Ti.npz").config == config


def test_a_berts_heads_must_be_given_where_its_width_is_not_a_published_one(tmp_path):
    config = replace(BERT, txt=replace(BERT.txt, width=24, heads=4))
    path = saved(tmp_path / "a.npz", arrays_of(config))
    with pytest.raises(InputError, match="text tower of width 24 may have any number of heads; give heads="):
        checkpoints.read(path)
    assert checkpoints.read(path, heads=4).config.txt == config.txt
    with pytest.raises(InputError, match="7 heads divide"):
        checkpoints.read(path, heads=7)
    with pytest.raises(InputError, match="heads has a value of the wrong kind"):
        checkpoints.read(path, heads="four")


def test_another_preprocessing_goes_to_the_image_tower(tmp_path):
    path = saved(tmp_path / "a.npz", arrays_of(SMALL))
    assert checkpoints.read(path, preprocess=TIMM).config.preprocess == TIMM


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"txt/head/kernel": None}, "expected a tensor 'txt/head/kernel', it is missing"),
        ({"txt/pos_embedding": None}, "expected a tensor 'txt/pos_embedding', it is missing"),
        ({"txt/head/kernel": np.ones((24, 16), np.float32)}, "images become 32 numbers and texts 16"),
        ({"t": None}, r"expected 't' of shape \(1,\) for LiT"),
        ({"t": np.ones(2, np.float32)}, r"'t' has shape \(2,\), expected \(1,\)"),
        ({"img/embedding/kernel": None}, "expected a Vision Transformer under 'img/'"),
        ({"img/cls": np.ones((1, 1, 31), np.float32)}, r"'img/cls' has shape \(1, 1, 31\), expected \(1, 1, 32\)"),
        ({"txt/Embed_1/embedding": np.ones((3, 3), np.float32)}, "'txt/Embed_1/embedding' .* is not part of LiT"),
        (
            {"txt/Encoder_0/encoderblock_0/LayerNorm_0/bias": np.ones(3, np.float32)},
            r"'txt/Encoder_0/encoderblock_0/LayerNorm_0/bias' has shape \(3,\), expected \(24,\)",
        ),
        ({"img/Transformer/posembed_input/pos_embedding": np.ones((1, 8, 32), np.float32)}, "not a square grid"),
    ],
)
def test_what_does_not_fit_is_named(change, problem, tmp_path):
    arrays = {**arrays_of(SMALL), **change}
    path = saved(tmp_path / "a.npz", {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=problem):
        checkpoints.read(path)


def test_a_tower_alone_is_refused(tmp_path):
    for tower in ("img/", "txt/"):
        arrays = {name: array for name, array in arrays_of(SMALL).items() if name.startswith(tower)}
        with pytest.raises(InputError, match=r"a\.npz: expected a"):
            checkpoints.read(saved(tmp_path / "a.npz", arrays))


def test_inspect_says_what_it_is(tmp_path):
    report = checkpoints.describe(saved(tmp_path / "a.npz", arrays_of(SMALL)))
    assert (report["family"], report["what"]) == ("lit", "a LiT model (image and text tower)")
    assert report["problem"] is None and report["parameters"] == params.count(SMALL)
    assert report["name"] == "LiT (image width 32, transformer of width 24)"
