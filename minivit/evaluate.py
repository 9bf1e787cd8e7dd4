"""How well a model names pictures: which class it takes for which, accuracy, and the time that a picture takes."""

import time
import warnings
from dataclasses import dataclass

import numpy as np

from .errors import InputError


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` counted.  C are the model's classes; the data may have pictures of only some of them."""

    confusion: np.ndarray  # (C,C) int64: how many pictures of the class of the row got the answer of the column
    in_top5: int  # pictures whose class is among the five largest logits
    skipped: int  # pictures that cannot be read
    seconds: float  # in the model alone: without decoding, resizing and normalising
    labels: tuple  # (C,) what the classes are called

    @property
    def images(self):
        return int(self.confusion.sum())

    @property
    def top1(self):
        return float(self.confusion.trace() / self.images)

    @property
    def top5(self):
        return self.in_top5 / self.images

    @property
    def ms_per_image(self):
        return 1e3 * self.seconds / self.images

    def per_class(self):
        """A dict per class that has pictures, for a Table; "confused_with" is its most common wrong answer."""
        return [self._row(truth) for truth in np.flatnonzero(self.confusion.sum(1))]

    def _row(self, truth):
        answers = self.confusion[truth]
        images, correct = int(answers.sum()), int(answers[truth])
        wrong = answers.copy()
        wrong[truth] = 0
        worst = wrong.argmax()
        return {
            **{"class": self.labels[truth], "images": images, "correct": correct, "accuracy": correct / images},
            **{"confused_with": self.labels[worst] if wrong.any() else None, "times": int(wrong[worst])},
        }


def evaluate(model, split, classes=None, batch=32, limit=None, size=None, progress=None):
    """Let a model name the pictures of a data.Split: an Evaluation.

    classes: for each label of the split the model's class, as `match_classes` finds it (default: the same number).
    limit: take only so many pictures, evenly spread over the split; size: (height, width) in pixels, as in Model.run.
    progress: called with (pictures done, pictures in all) after each batch.
    Raises InputError for a model that cannot classify, if no picture can be read, and for logits that are not finite.
    """
    _check_head(model)
    indices = spread(len(split), limit)
    classes = np.arange(model.config.classes) if classes is None else np.asarray(classes)
    confusion = np.zeros((model.config.classes, model.config.classes), np.int64)
    in_top5 = seconds = 0
    for start in range(0, len(indices), batch):
        pictures, labels = split.take(indices[start : start + batch])
        if len(labels):
            pixels = model.preprocess(pictures, size)
            if not seconds:
                model.run(pixels[:1])  # compiles what needs compiling, outside of the time
            begin = time.perf_counter()
            logits = model.run(pixels)
            seconds += time.perf_counter() - begin
            in_top5 += count(confusion, logits, classes[labels])
        if progress:
            progress(min(start + batch, len(indices)), len(indices))
    if not confusion.any():
        raise InputError(f"none of {len(indices)} pictures can be read, expected at least one")
    labels = tuple(model.label(i) for i in range(model.config.classes))
    return Evaluation(confusion, in_top5, len(split.skipped), seconds, labels)


def count(confusion, logits, truth):
    """Add a batch to the confusion matrix (C,C); returns how many classes are among the five largest logits.

    Of equal logits the first counts as the larger, as in `argmax`.
    """
    # logits (B,C), truth (B,) -> int
    if not np.isfinite(logits).all():
        raise InputError("the model's logits are NaN or infinite: its weights are damaged, or training has diverged")
    order = np.argsort(-logits, axis=-1, kind="stable")[:, :5]
    np.add.at(confusion, (truth, order[:, 0]), 1)
    return int((order == truth[:, None]).any(-1).sum())


def spread(length, limit=None):
    """At most `limit` indices below `length`, evenly spread: data sorted by class gives every class its share."""
    limit = length if limit is None else min(limit, length)
    return np.arange(limit) * length // max(limit, 1)


def match_classes(model, names):
    """For each class of a data set the model's class: indices (len(names),).

    By name, if the model's labels have them all: "tabby", "Tiger_cat" or the whole "tabby, tabby cat".  Otherwise by
    number, if there are equally many, with a warning if the names differ.  Raises InputError if neither is possible.
    """
    _check_head(model)
    known = _synonyms(model.labels or ())
    found = [known.get(_plain(name)) for name in names]
    if None not in found and len(set(found)) == len(found):
        return np.array(found)
    if len(names) != model.config.classes:
        unknown = next((name for name, index in zip(names, found, strict=True) if index is None), names[0])
        raise InputError(
            f"the data has {len(names)} classes and the model {model.config.classes}, and the model has"
            f" no single label {unknown!r}: give it labels that match the data's class names with --labels FILE"
        )
    for mine, theirs in zip(model.labels or (), names, strict=False):
        if _plain(mine) != _plain(theirs):
            warnings.warn(f"classes matched by number: the model's {mine!r} is the data's {theirs!r}", stacklevel=2)
            break
    return np.arange(len(names))


def _synonyms(labels):
    """{plain name: index} of whole labels and of their parts at commas, without the names that several have."""
    wholes, parts = {}, {}
    for index, label in enumerate(labels):
        wholes.setdefault(_plain(label), set()).add(index)
        for part in label.split(","):
            parts.setdefault(_plain(part), set()).add(index)
    return {name: min(indices) for name, indices in {**parts, **wholes}.items() if len(indices) == 1}


def _plain(name):
    return " ".join(name.lower().replace("_", " ").split())


def _check_head(model):
    if not model.config.classes:
        raise InputError(f"{model.config.name} has no classification head, expected one that gives logits")
    if "unpooled" in model.config.pool:
        raise InputError(f"{model.config.name} gives logits for every token; load it with pool='token' to classify")
