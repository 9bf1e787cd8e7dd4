"""Two ways to learn a linear map from features to classes: ridge regression, and logistic regression by descent.

Both work on standardised features, and both with a penalty λ on w that is chosen on a held-out fifth of the training
images.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError, nearest

#: of more features than that, products are summed in float32: a third of the time, and still exact enough for λ ≥ 1e-3
MANY = 8192
ROWS = 4096  # rows at a time
#: the λ that are tried; of equally good ones the first is taken
STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4)


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
