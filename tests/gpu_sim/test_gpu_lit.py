"""LiT in tier "gpu": both towers against the official code, traced and fused."""

from pathlib import Path

import numpy as np
import pytest
from simulated import TOLERANCE, error

from minivit import check, checkpoints, tiers
from minivit.files import read_arrays
from minivit.lit import LitModel
from minivit.models import lit

GOLDEN = Path(__file__).parent.parent / "golden"
BERT, TRANSFORMER = "lit__bert_two_heads", "lit__text_transformer"


@pytest.mark.parametrize(
    ("case", "dtype"), [(BERT, "float32"), (BERT, "float16"), (BERT, "bfloat16"), (TRANSFORMER, "float32")]
)
def test_every_tensor_of_both_towers_agrees_with_the_official_code(case, dtype):
    verdicts = check.run(GOLDEN / case, "gpu", dtype)
    assert len(verdicts) > 80 and all(verdict.ok for verdict in verdicts), verdicts


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_texts_and_images_become_numpy_arrays_that_agree_with_ref(dtype):
    # as LitModel calls it: nobody looks inside, so blocks are fused
    inputs, found = read_arrays(GOLDEN / TRANSFORMER / "inputs.npz"), {}
    for tier, kind in (("ref", "float64"), ("gpu", dtype)):
        checkpoint = checkpoints.read(GOLDEN / TRANSFORMER / "weights.npz")
        model = LitModel(checkpoint.config, checkpoint.stream(), tiers.load(tier, kind))
        texts = lit.embed_texts(model.params, inputs["tokens"][:2], model.config, model.ops)
        images = model.embed_images(inputs["images"][:1].astype(np.float32))
        similarity = lit.similarity(model.params, images, texts, model.ops)
        assert type(texts) is type(images) is type(similarity) is np.ndarray
        # cosines of points nearly at right angles are small: they are judged by the largest that a cosine can be
        found[tier] = texts, images, similarity / np.exp(np.asarray(model.params["similarity"]["t"]))
    (*mine, cosines), (*truth, exact) = found["gpu"], found["ref"]
    assert all(error(points, expected) < TOLERANCE[dtype] for points, expected in zip(mine, truth, strict=True))
    assert np.abs(cosines - exact).max() < TOLERANCE[dtype]
