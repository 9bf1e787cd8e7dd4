"""A linear probe: how much a frozen model's features tell about classes that it was never trained on.

    features x (n,D) -> logits x·w + b (n,C); only w and b are learnt

Two ways to learn them, both on standardised features and both with a penalty λ on w that is chosen on a held-out fifth
of the training images.  The test images take no part in that.

Features of the last blocks, side by side:

    cls        the class token, through the final LayerNorm                                        D numbers a block
    mean       the mean of the patches, through the final LayerNorm                                D
    quadrants  the same for each quarter of the picture                                           4·D
    hidden     the mean of the MLP's hidden layer after GELU, over the patches                     M (mostly 4·D)
"""

from dataclasses import dataclass

import numpy as np

from .errors import InputError, nearest
from .evaluate import spread

FEATURES = ("cls", "mean", "quadrants", "hidden")
#: of more features than that, products are summed in float32: a third of the time, and still exact enough for λ ≥ 1e-3
MANY = 8192
ROWS = 4096  # rows at a time
STRENGTHS = (
    1.0,
    0.3,
    0.1,
    0.03,
    0.01,
    3e-3,
    1e-3,
    1e-4,
)  # the λ that are tried, of equally good ones the first is taken


def extract(
    model, split, blocks=1, batch=32, limit=None, size=None, progress=None, which=("cls", "mean"), mirror=False
):
    """The features of a data.Split: {"cls": (n,·), "mean": (n,·), "labels": (n,)}, or others of FEATURES; see `pooled`.

    mirror: the mean of what a picture and its mirror image give.  As a probe is linear, its logits are then the mean of
    both.  Pictures that cannot be read are left out.  limit, size, progress: as in `evaluate`.
    Raises InputError if no picture can be read, and for more blocks than the model has.
    """
    if not 1 <= blocks <= model.config.blocks:
        raise InputError(f"features of {blocks} blocks: {model.config.name} has {model.config.blocks}")
    indices, parts = spread(len(split), limit), []
    for start in range(0, len(indices), batch):
        pictures, labels = split.take(indices[start : start + batch])
        if len(labels):
            found = pooled(model, pictures, blocks, size, which)
            if mirror:
                other = pooled(model, [np.ascontiguousarray(x[:, ::-1]) for x in pictures], blocks, size, which)
                found = {name: (x + other[name]) / 2 for name, x in found.items()}
            parts.append({**found, "labels": labels})
        if progress:
            progress(min(start + batch, len(indices)), len(indices))
    if not parts:
        raise InputError(f"none of {len(indices)} pictures can be read, expected at least one")
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def pooled(model, pictures, blocks=1, size=None, which=("cls", "mean")):
    """Those of FEATURES that are asked for, of the last blocks: (B,blocks·…) each; no "cls" without a class token.

    blocks=1 gives for "cls" and "mean" what `Model.features` does.
    """
    prefix, numbers = model.config.prefix, range(model.config.blocks - blocks, model.config.blocks)
    names = {"resid_post"} | ({"mlp.act"} if "hidden" in which else set())
    trace = model.trace(pictures, [f"block{i}.{name}" for i in numbers for name in names], size)
    found = {name: [] for name in which if name != "cls" or prefix}
    for i in numbers:
        x = model.ops.layernorm(trace[f"block{i}.resid_post"], **model.params["norm"], eps=model.config.eps)
        patches = x[:, prefix:]
        parts = {"cls": x[:, 0], "mean": patches.mean(1)}
        if "quadrants" in which:
            parts["quadrants"] = quadrants(patches, grid_of(model.config, size))
        if "hidden" in which:
            parts["hidden"] = trace[f"block{i}.mlp.act"][:, prefix:].mean(1)
        for name, part in found.items():
            part.append(parts[name])
    return {name: np.concatenate(part, axis=1) for name, part in found.items()}


def grid_of(config, size=None):
    """Rows and columns of patches of a picture of `size`, (height, width), or of the model's own."""
    if size is None:
        return config.grid
    return tuple(cells * length // own for cells, length, own in zip(config.grid, size, config.image, strict=True))


def quadrants(x, grid):
    # x (B,N,D), the patches row by row -> (B,4·D), the means of the four quarters; without a middle row or column
    rows, columns = grid
    x = x.reshape(len(x), rows, columns, -1)
    top, left = max(1, rows // 2), max(1, columns // 2)
    parts = x[:, :top, :left], x[:, :top, -left:], x[:, -top:, :left], x[:, -top:, -left:]
    return np.concatenate([part.mean((1, 2)) for part in parts], axis=1)


def select(features, which):
    """Features from what `extract` found, "cls+mean" for two side by side: (n,·).  InputError for one not there."""
    missing = [name for name in which.split("+") if name not in features or name == "labels"]
    if missing:
        known = [name for name in FEATURES if name in features]
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
        found = [self.logits(x[start : start + ROWS]).argmax(-1) for start in range(0, len(x), ROWS)]
        return float(np.mean(np.concatenate(found) == labels))


def fit(x, labels, classes, method="ridge", strengths=STRENGTHS, seed=0):
    """A Probe for features x (n,D) and labels (n,).

    Every λ in `strengths` is tried on four fifths of the rows and judged on the fifth (drawn with `seed`); the best one
    learns from all rows.  Raises InputError for an unknown method and for fewer than five rows.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}{nearest(method, METHODS)}")
    if len(x) < 5:
        raise InputError(f"a probe needs at least 5 training images, got {len(x)}")
    learn, x = METHODS[method], np.asarray(x)
    order = np.random.default_rng(seed).permutation(len(x))
    held, rest = order[: len(x) // 5], order[len(x) // 5 :]
    tried = learn(x[rest], labels[rest], classes, strengths)
    best = max(tried, key=lambda probe: probe.accuracy(x[held], labels[held]))
    return learn(x, labels, classes, (best.strength,))[0]


def ridge(x, labels, classes, strengths):
    """Ridge regression on one-hot targets: min ‖z w + b − y‖²/n + λ‖w‖², with z the standardised features."""
    # x (n,D), labels (n,) -> a Probe per strength; the normal equations are (zᵀz/n + λ) w = zᵀy/n
    mean, std = moments(x)
    # the intercept is the best constant answer, because the mean of z is 0; no penalty may shrink it
    prior = np.bincount(labels, minlength=classes) / len(x)
    square, projected = np.zeros((x.shape[1], x.shape[1])), np.zeros((x.shape[1], classes))
    for start in range(0, len(x), ROWS):
        z = ((x[start : start + ROWS] - mean) / std).astype(np.float64 if x.shape[1] <= MANY else np.float32)
        square += z.T @ z
        projected += z.T @ np.eye(classes)[labels[start : start + ROWS]]
    square /= len(x)
    projected /= len(x)
    found, before = [], 0
    for strength in strengths:
        square.flat[:: len(square) + 1] += strength - before
        found.append(_unstandardised(np.linalg.solve(square, projected), prior, mean, std, strength))
        before = strength
    return found


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
    mean, std = moments(x)
    return (x - mean) / std, mean, std


def moments(x):
    """Mean and standard deviation per column, 1 for a column that is constant; some rows at a time, in float64."""
    # x (n,D) -> (D,), (D,)
    parts = [x[start : start + ROWS] for start in range(0, len(x), ROWS)]
    mean = sum(part.sum(0, dtype=np.float64) for part in parts) / len(x)
    std = np.sqrt(sum(np.square(part - mean).sum(0) for part in parts) / len(x))
    return mean, np.where(std > 1e-9 * np.abs(mean) + 1e-30, std, 1)


def _unstandardised(w, b, mean, std, strength):
    # the same map for features as they are: (x − mean)/std · w + b = x · (w/std) + (b − mean · w/std)
    w = w / std[:, None]
    return Probe(w, b - mean @ w, strength)
