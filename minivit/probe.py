"""A linear probe: how much a frozen model's features tell about classes that it was never trained on.

    features x (n,D) -> logits x·w + b (n,C); only w and b are learnt

Two ways to learn them, both on standardised features and both with a penalty λ on w that is chosen on a held-out fifth
of the training images.  The test images take no part in that.
"""

from dataclasses import dataclass

import numpy as np

from .errors import InputError, nearest
from .evaluate import spread

FEATURES = ("cls", "mean", "cls+mean")
STRENGTHS = (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5)  # the λ that are tried, of equally good ones the first is taken


def extract(model, split, blocks=1, batch=32, limit=None, size=None, progress=None):
    """The features of a data.Split: {"cls": (n,·), "mean": (n,·), "labels": (n,)}; see `pooled`.

    Pictures that cannot be read are left out.  limit, size, progress: as in `evaluate`.
    Raises InputError if no picture can be read, and for more blocks than the model has.
    """
    if not 1 <= blocks <= model.config.blocks:
        raise InputError(f"features of {blocks} blocks: {model.config.name} has {model.config.blocks}")
    indices, parts = spread(len(split), limit), []
    for start in range(0, len(indices), batch):
        pictures, labels = split.take(indices[start : start + batch])
        if len(labels):
            parts.append({**pooled(model, pictures, blocks, size), "labels": labels})
        if progress:
            progress(min(start + batch, len(indices)), len(indices))
    if not parts:
        raise InputError(f"none of {len(indices)} pictures can be read, expected at least one")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def pooled(model, pictures, blocks=1, size=None):
    """The class token ("cls", if there is one) and the mean of the patches ("mean") of the last blocks: (B,blocks·D).

    Each block's tokens go through the final LayerNorm; blocks=1 gives what `Model.features` does.
    """
    names = [f"block{i}.resid_post" for i in range(model.config.blocks - blocks, model.config.blocks)]
    trace, prefix = model.trace(pictures, names, size), model.config.prefix
    tokens = [model.ops.layernorm(trace[name], **model.params["norm"], eps=model.config.eps) for name in names]
    mean = np.concatenate([x[:, prefix:].mean(1) for x in tokens], axis=1)
    return {**({"cls": np.concatenate([x[:, 0] for x in tokens], axis=1)} if prefix else {}), "mean": mean}


def select(features, which):
    """One of FEATURES from what `extract` found: (n,·).  Raises InputError if the model has none such."""
    missing = [name for name in which.split("+") if name not in features or name == "labels"]
    if missing:
        known = [name for name in ("cls", "mean") if name in features]
        raise InputError(f"the model gives no feature {missing[0]!r}, expected {' or '.join(known)}")
    return np.concatenate([features[name] for name in which.split("+")], axis=1)


@dataclass(frozen=True)
class Probe:
    """A linear map that takes features as the model gives them: w (D,C), b (C,), float64."""

    w: np.ndarray
    b: np.ndarray
    strength: float  # λ

    def logits(self, x):
        # x (n,D) -> (n,C)
        return x @ self.w + self.b

    def accuracy(self, x, labels):
        """The share of the rows of x (n,D) whose largest logit is that of their label."""
        return float(np.mean(self.logits(x).argmax(-1) == labels))


def fit(x, labels, classes, method="ridge", strengths=STRENGTHS, seed=0):
    """A Probe for features x (n,D) and labels (n,).

    Every λ in `strengths` is tried on four fifths of the rows and judged on the fifth (drawn with `seed`); the best one
    learns from all rows.  Raises InputError for an unknown method and for fewer than five rows.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}{nearest(method, METHODS)}")
    if len(x) < 5:
        raise InputError(f"a probe needs at least 5 training images, got {len(x)}")
    learn, x = METHODS[method], np.asarray(x, np.float64)
    order = np.random.default_rng(seed).permutation(len(x))
    held, rest = order[: len(x) // 5], order[len(x) // 5 :]
    tried = learn(x[rest], labels[rest], classes, strengths)
    best = max(tried, key=lambda probe: probe.accuracy(x[held], labels[held]))
    return learn(x, labels, classes, (best.strength,))[0]


def ridge(x, labels, classes, strengths):
    """Ridge regression on one-hot targets: min ‖z w + b − y‖²/n + λ‖w‖², with z the standardised features.

    One eigendecomposition of zᵀz serves every λ.
    """
    # x (n,D), labels (n,) -> a Probe per strength; the normal equations are (zᵀz/n + λ) w = zᵀy/n
    z, mean, std = standardise(x)
    y = np.eye(classes)[labels]
    prior = y.mean(0)  # the intercept, which no penalty may shrink: the best constant answer, as the mean of z is 0
    values, vectors = np.linalg.eigh(z.T @ z / len(z))
    projected = vectors.T @ (z.T @ y / len(z))
    solved = [vectors @ (projected / (values[:, None] + strength)) for strength in strengths]
    return [_unstandardised(w, prior, mean, std, s) for w, s in zip(solved, strengths, strict=True)]


def logistic(x, labels, classes, strengths, **settings):
    """Multinomial logistic regression, min cross-entropy + λ/2·‖w‖², by stochastic gradient descent (`descend`)."""
    # x (n,D), labels (n,) -> a Probe per strength
    z, mean, std = standardise(x)
    return [_unstandardised(*descend(z, labels, classes, s, **settings), mean, std, s) for s in strengths]


def descend(z, labels, classes, strength, epochs=20, batch=100, rate=0.1, momentum=0.9, seed=0):
    """SGD with momentum and a learning rate that falls as a cosine to 0: w (D,C), b (C,)."""
    # z (n,D) standardised, labels (n,)
    rng, step, steps = np.random.default_rng(seed), 0, epochs * -(-len(z) // batch)
    w, b = np.zeros((z.shape[1], classes)), np.zeros(classes)
    speed_w, speed_b = np.zeros_like(w), np.zeros_like(b)
    for _ in range(epochs):
        order = rng.permutation(len(z))
        for start in range(0, len(z), batch):
            rows = order[start : start + batch]
            dw, db = cross_entropy_gradient(z[rows], labels[rows], w, b)
            now = rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            speed_w = momentum * speed_w + dw + strength * w
            speed_b = momentum * speed_b + db
            w -= now * speed_w
            b -= now * speed_b
            step += 1
    return w, b


METHODS = {"ridge": ridge, "sgd": logistic}


def cross_entropy_gradient(z, labels, w, b):
    """The gradient of mean −log softmax(z w + b)[label]: (dw, db).  It is linear in probability − target."""
    # z (n,D), labels (n,), w (D,C), b (C,) -> (D,C), (C,)
    logits = z @ w + b
    error = np.exp(logits - logits.max(-1, keepdims=True))
    error /= error.sum(-1, keepdims=True)
    error[np.arange(len(z)), labels] -= 1
    error /= len(z)
    return z.T @ error, error.sum(0)


def standardise(x):
    """(x − mean) / std per column, and mean and std (D,); a column that is constant stays 0."""
    # x (n,D) -> (n,D), (D,), (D,)
    mean, std = x.mean(0), x.std(0)
    std = np.where(std > 1e-9 * np.abs(mean) + 1e-30, std, 1)
    return (x - mean) / std, mean, std


def _unstandardised(w, b, mean, std, strength):
    # the same map for features as they are: (x − mean)/std · w + b = x · (w/std) + (b − mean · w/std)
    w = w / std[:, None]
    return Probe(w, b - mean @ w, strength)
