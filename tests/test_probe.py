"""The linear probe: what is learnt is right, nothing leaks from the test pictures, and λ does what it should."""

from dataclasses import replace

import numpy as np
import pytest

from minivit import InputError, Model, config, params, probe
from minivit.data import Split
from minivit.probe import features, fitting

TINY = config.ViTConfig("tiny", patch=8, width=16, blocks=2, heads=2, mlp=32, classes=3, image=(16, 16))
METHODS = sorted(probe.METHODS)


def clouds(n=300, classes=3, width=8, noise=0.5, seed=0):
    """Classes around random centres, far from the origin and of very different scales per column."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((classes, width))
    labels = rng.integers(0, classes, n)
    x = centres[labels] + noise * rng.standard_normal((n, width))
    return 40 + x * np.logspace(-2, 2, width), labels


@pytest.mark.parametrize("method", METHODS)
def test_separate_clouds_of_any_offset_and_scale_are_learnt(method):
    found = probe.fit(*clouds(), 3, method)
    assert found.accuracy(*clouds(seed=1)) > 0.97


@pytest.mark.parametrize("method", METHODS)
def test_a_rare_class_without_features_of_its_own_is_left_to_the_intercept(method):
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((400, 3)), (np.arange(400) % 10 == 0).astype(int)
    found = probe.METHODS[method](x, labels, 2, (1.0,))[0]
    assert found.accuracy(x, labels) == 0.9  # the common class, always: it takes an intercept that λ does not shrink


def test_ridge_is_the_minimum_of_its_loss():
    x, labels = clouds(n=60)
    z, mean, std = fitting.standardise(x)
    found = fitting.ridge(x, labels, 3, (0.3,))[0]
    w, b = found.w * std[:, None], found.b + mean @ found.w  # as a map of z

    def loss(w, b):
        return ((z @ w + b - np.eye(3)[labels]) ** 2).sum() / len(z) + 0.3 * (w**2).sum()

    rng = np.random.default_rng(0)
    for _ in range(20):
        dw, db = 1e-3 * rng.standard_normal(w.shape), 1e-3 * rng.standard_normal(3)
        assert loss(w, b) < min(loss(w + dw, b + db), loss(w - dw, b - db))


def test_the_gradient_of_the_cross_entropy_agrees_with_central_differences():
    rng = np.random.default_rng(0)
    z, labels, w, b = (
        rng.standard_normal((7, 4)),
        rng.integers(0, 3, 7),
        rng.standard_normal((4, 3)),
        rng.standard_normal(3),
    )

    def loss(w, b):
        logits = z @ w + b
        return np.mean(np.log(np.exp(logits).sum(-1)) - logits[np.arange(7), labels])

    dw, db = fitting.cross_entropy_gradient(z, labels, w, b)
    for array, gradient in ((w, dw), (b, db)):
        for place in np.ndindex(array.shape):
            kept, sides = array[place], []
            for step in (1e-5, -1e-5):
                array[place] = kept + step
                sides.append(loss(w, b))
            array[place] = kept
            assert abs((sides[0] - sides[1]) / 2e-5 - gradient[place]) < 1e-9


def test_sgd_comes_to_where_the_gradient_and_the_penalty_cancel():
    x, labels = clouds(n=200, noise=1.5)
    found = fitting.logistic(x, labels, 3, (0.1,), epochs=300, batch=200)[0]
    z, mean, std = fitting.standardise(x)
    w = found.w * std[:, None]
    dw, db = fitting.cross_entropy_gradient(z, labels, w, found.b + mean @ found.w)
    assert abs(dw + 0.1 * w).max() < 2e-4 and abs(db).max() < 2e-4


@pytest.mark.parametrize("method", METHODS)
def test_a_stronger_penalty_gives_smaller_weights(method):
    x, labels = clouds()
    weak, strong = probe.METHODS[method](x, labels, 3, (1e-4, 1.0))
    assert np.linalg.norm(strong.w) < 0.95 * np.linalg.norm(weak.w)


def test_the_strength_is_chosen_on_rows_that_the_trial_has_not_learnt_from(monkeypatch):
    seen, judged = [], []

    class Spy(probe.Probe):
        def accuracy(self, x, labels):
            judged.append({tuple(row) for row in x})
            return super().accuracy(x, labels)

    def learn(x, labels, classes, strengths):
        seen.append({tuple(row) for row in x})
        return [Spy(np.zeros((x.shape[1], classes)), np.zeros(classes), strength) for strength in strengths]

    monkeypatch.setitem(probe.METHODS, "spy", learn)
    x, labels = clouds(n=50)
    probe.fit(x, labels, 3, "spy", strengths=(1, 2))
    assert [len(rows) for rows in seen] == [40, 50] and [len(rows) for rows in judged] == [10, 10]
    assert all(not seen[0] & rows for rows in judged)


def test_noise_asks_for_a_strong_penalty_and_the_chosen_one_is_reported():
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((120, 90)), rng.integers(0, 2, 120)
    x[:, 0] += 2 * labels  # one column that tells, 89 that do not
    assert probe.fit(x, labels, 2, strengths=(1e-6, 1.0)).strength == 1.0


def test_a_constant_column_is_no_problem():
    x, labels = clouds()
    x[:, 3] = 7
    found = probe.fit(x, labels, 3)
    assert np.isfinite(found.w).all() and abs(found.w[3]).max() < 1e-9


def test_unknown_methods_and_too_few_pictures_are_refused():
    x, labels = clouds(n=4)
    with pytest.raises(InputError, match="did you mean 'ridge'"):
        probe.fit(x, labels, 3, "rigde")
    with pytest.raises(InputError, match="at least 5"):
        probe.fit(x, labels, 3)


def pictures(n=11):
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (n, 16, 16, 3), np.uint8), rng.integers(0, 3, n))


def test_features_are_those_of_the_model_in_the_order_of_the_labels():
    model, split = Model(TINY, params.seeded(TINY)), pictures()
    found = probe.extract(model, split, batch=4)
    assert np.allclose(found["cls"], model.features(split.pixels)["cls"], atol=1e-5)
    assert np.allclose(found["mean"], model.features(split.pixels)["mean"], atol=1e-5)
    assert found["labels"].tolist() == split.labels.tolist() and found.keys() == {"cls", "mean", "labels"}
    assert np.array_equal(probe.select(found, "cls+mean"), np.hstack((found["cls"], found["mean"])))


def test_features_of_two_blocks_stand_side_by_side_the_last_one_last():
    model, split = Model(TINY, params.seeded(TINY)), pictures()
    one, two = (probe.extract(model, split, blocks) for blocks in (1, 2))
    assert two["cls"].shape == (11, 32) and np.array_equal(two["mean"][:, 16:], one["mean"])
    first = model.trace(split.pixels, "block0.resid_post")["block0.resid_post"]
    normed = model.ops.layernorm(first, **model.params["norm"], eps=model.config.eps)
    assert np.allclose(two["cls"][:, :16], normed[:, 0], atol=1e-5)


@pytest.mark.parametrize("blocks", [0, 3])
def test_features_of_no_block_or_more_than_there_are_are_refused(blocks):
    with pytest.raises(InputError, match=f"features of {blocks} blocks: tiny has 2"):
        probe.extract(Model(TINY, params.seeded(TINY)), pictures(), blocks)


def test_a_model_without_class_token_gives_only_the_mean():
    settings = replace(TINY, prefix=0, pool="gap")
    found = probe.extract(Model(settings, params.seeded(settings)), pictures())
    with pytest.raises(InputError, match="no feature 'cls', expected mean"):
        probe.select(found, "cls+mean")


def test_pictures_that_cannot_be_read_are_left_out_with_their_labels():
    class Damaged(Split):
        def take(self, indices):
            kept = [i for i in indices if i % 2]
            return self.pixels[kept], self.labels[kept]

    split = pictures()
    found = probe.extract(Model(TINY, params.seeded(TINY)), Damaged(split.pixels, split.labels), batch=4)
    assert found["labels"].tolist() == split.labels[1::2].tolist() and len(found["cls"]) == 5


def test_quadrants_and_hidden_layers_are_the_means_that_they_say():
    model, split = Model(TINY, params.seeded(TINY)), pictures()
    found = probe.extract(model, split, 2, which=("quadrants", "hidden"))
    trace, (rows, columns) = model.trace(split.pixels, ["*"]), TINY.grid
    last = TINY.blocks - 1
    act = trace[f"block{last}.mlp.act"][:, TINY.prefix :].mean(1)
    np.testing.assert_allclose(found["hidden"][:, -act.shape[1] :], act, rtol=1e-6)
    tokens = trace["final.norm"][:, TINY.prefix :].reshape(len(split), rows, columns, -1)
    lower_right = tokens[:, -(rows // 2) :, -(columns // 2) :].mean((1, 2))
    np.testing.assert_allclose(found["quadrants"][:, -TINY.width :], lower_right, rtol=1e-5, atol=1e-6)
    assert found.keys() == {"quadrants", "hidden", "labels"} and found["quadrants"].shape[1] == 2 * 4 * TINY.width


def test_quarters_leave_out_a_middle_row_and_keep_a_single_one():
    x = np.arange(15.0).reshape(1, 15, 1)
    assert features.quadrants(x, (3, 5)).tolist() == [[0.5, 3.5, 10.5, 13.5]]
    assert features.quadrants(x[:, :1], (1, 1)).tolist() == [[0, 0, 0, 0]]


def test_mirrored_features_are_the_mean_of_both():
    model, split = Model(TINY, params.seeded(TINY)), pictures()
    turned = Split(split.pixels[:, :, ::-1], split.labels)
    plain, other = (probe.extract(model, one)["cls"] for one in (split, turned))
    np.testing.assert_allclose(
        probe.extract(model, split, mirror=True)["cls"], (plain + other) / 2, rtol=1e-5, atol=1e-6
    )


def test_many_features_in_float32_give_nearly_the_same_probe(monkeypatch):
    x, labels = clouds()
    exact = fitting.ridge(x.astype(np.float32), labels, 3, (0.1,))[0]
    monkeypatch.setattr(fitting, "MANY", 1)
    monkeypatch.setattr(fitting, "ROWS", 7)
    close = fitting.ridge(x.astype(np.float32), labels, 3, (0.1,))[0]
    np.testing.assert_allclose(close.w, exact.w, rtol=1e-4, atol=1e-5)
