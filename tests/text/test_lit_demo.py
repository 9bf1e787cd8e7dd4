"""The published LiT demo: 55 photographs and 267 texts, embedded by the official models."""

import json
from pathlib import Path

import numpy as np
import pytest

from minivit import search, tiers
from minivit.models import lit

DEMO = Path(__file__).parents[1] / "golden" / "lit_demo"
TEXTS = (DEMO / "ztxts.txt").read_text(encoding="utf-8").split("\n")
MATCHES = json.loads((DEMO / "matches.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def embeddings():
    stored = np.load(DEMO / "embeddings.npz")
    return {name: stored[name].astype(np.float32) for name in stored.files}


@pytest.mark.parametrize(("model", "right"), [("tiny", 45), ("small", 47)])
def test_the_best_of_all_texts_is_one_of_the_images_own_as_often_as_published(embeddings, model, right):
    images, known = (
        MATCHES[model]["per_image"],
        MATCHES[model]["images_whose_best_of_267_texts_is_one_of_their_own_prompts"],
    )
    places, cosines = search.nearest(embeddings["images"], embeddings[f"texts_{model}"], 1)
    best = [TEXTS[i] for i in places[:, 0]]
    assert best == [image["best_of_all"] for image in images]
    np.testing.assert_allclose(cosines[:, 0], [image["best_similarity"] for image in images], atol=2e-5)  # float16
    assert sum(text in image["own_prompts"] for text, image in zip(best, images, strict=True)) == right
    assert known == f"{right}/55"


def test_the_probabilities_of_an_images_own_prompts_are_the_published_ones(embeddings):
    ops, temperature = tiers.load(), MATCHES["tiny"]["temperature"]
    tree = {"similarity": {"t": np.log(np.array([temperature], np.float32))}}
    for image, vector in zip(MATCHES["tiny"]["per_image"], embeddings["images"], strict=True):
        own = embeddings["texts_tiny"][[TEXTS.index(prompt) for prompt in image["own_prompts"]]]
        probabilities = ops.softmax(lit.similarity(tree, vector[None], own, ops))[0]
        np.testing.assert_allclose(probabilities, image["own_probs"], atol=6e-5)  # four decimals are published
