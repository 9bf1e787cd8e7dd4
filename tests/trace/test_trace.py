"""Record, replace, compare, save."""

import numpy as np
import pytest

from minivit import params
from minivit.config import ViTConfig
from minivit.errors import InputError
from minivit.model import Model
from minivit.trace import Trace

CONFIG = ViTConfig("small", patch=4, width=8, blocks=2, heads=2, mlp=16, classes=5, image=(8, 8))
model = Model(CONFIG, params.seeded(CONFIG))
image = np.random.default_rng(1).standard_normal((1, 8, 8, 3)).astype(np.float32)


def test_keep_records_only_what_matches():
    assert list(model.trace(image, keep="block*.attn.probs")) == ["block0.attn.probs", "block1.attn.probs"]
    assert list(model.trace(image, keep=["logits", "block1.ln?.out"])) == ["block1.ln1.out", "block1.ln2.out", "logits"]
    assert list(model.trace(image, keep="logits, image")) == ["image", "logits"]


def test_an_unknown_pattern_is_an_error_with_the_nearest_names():
    with pytest.raises(InputError, match=r"block0\.attn\.probs"):
        model.trace(image, keep="block0.attn.prob")
    with pytest.raises(InputError, match="no tensor 'block7"):
        model.trace(image, keep="block7.*")


def test_reading_a_tensor_that_was_not_kept_says_so():
    trace = model.trace(image, keep="logits")
    with pytest.raises(InputError, match="was not recorded"):
        trace["block0.attn.q"]
    with pytest.raises(InputError, match="no tensor 'logit'; did you mean 'logits'"):
        trace["logit"]
    assert trace.get("block0.attn.q") is None and "block0.attn.q" not in trace


def test_recorded_arrays_are_read_only_copies():
    trace = model.trace(image)
    with pytest.raises(ValueError, match="read-only"):
        trace["logits"][:] = 0
    assert not np.shares_memory(trace["image"], image)


def test_patch_replaces_a_tensor_on_the_way():
    zero = model.trace(image, patch={"block1.mlp.out": lambda x: x * 0})
    np.testing.assert_array_equal(zero["block1.resid_post"], zero["block1.resid_mid"])
    np.testing.assert_array_equal(zero["block0.resid_post"], model.trace(image)["block0.resid_post"])


def test_patched_probabilities_reach_the_values():
    uniform = model.trace(image, patch={"block*.attn.probs": lambda a: np.full_like(a, 1 / a.shape[-1])})
    mean = uniform["block0.attn.v"].mean(2, keepdims=True)
    np.testing.assert_allclose(uniform["block0.attn.z"], np.broadcast_to(mean, (1, 2, 5, 4)), rtol=1e-5)


def test_a_patch_of_another_shape_is_an_error():
    with pytest.raises(InputError, match=r"patch of logits returned shape \(1, 4\), expected \(1, 5\)"):
        model.run(image, patch={"logits": lambda x: x[:, :4]})


def test_a_patch_of_an_unknown_name_is_an_error():
    with pytest.raises(InputError, match="logits"):
        model.run(image, patch={"logit": lambda x: x})


def test_table_prints_a_row_per_tensor_and_keeps_the_numbers():
    table = model.trace(image).table("block0.attn.*")
    assert [row["name"] for row in table.rows] == [
        f"block0.attn.{t}" for t in ["q", "k", "v", "scores", "probs", "z", "out"]
    ]
    probs = table.rows[4]
    assert probs["shape"] == [1, 2, 5, 5] and probs["paper"] == "A" and probs["dtype"] == "float32"
    assert probs["mean"] == pytest.approx(0.2)
    assert "block0.attn.probs" in str(table) and "1×2×5×5" in str(table)


def test_diff_finds_the_first_tensor_that_differs():
    other = model.trace(image, patch={"block1.attn.v": lambda v: v * 1.01})
    diff = other.diff(model.trace(image))
    assert not diff.ok and diff.first == "block1.attn.v"
    assert "first tensor that differs: block1.attn.v" in str(diff)
    assert model.trace(image).diff(model.trace(image)).ok


def test_diff_fails_missing_tensors_other_shapes_and_nan():
    trace = model.trace(image, keep=["logits", "image"])
    logits = trace["logits"]
    verdicts = trace.diff({"logits": logits[:, :4], "image": np.full_like(image, np.nan), "block0.ln1.out": logits})
    assert [row["ok"] for row in verdicts.rows] == [False, False, False]
    assert verdicts.rows[2]["note"] == "missing"


def test_saved_traces_load_again(tmp_path):
    trace = model.trace(image)
    trace.save(tmp_path / "t.npz")
    again = Trace.load(tmp_path / "t.npz")
    assert list(again) == list(trace)
    np.testing.assert_array_equal(again["block1.attn.probs"], trace["block1.attn.probs"])


def test_saving_where_nothing_can_be_written_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        model.trace(image).save(tmp_path / "missing" / "t.npz")
    assert not list(tmp_path.iterdir())
