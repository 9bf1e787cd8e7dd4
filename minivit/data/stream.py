"""Batches for training: a pure function of (seed, step), made ahead in a background thread."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..errors import InputError
from ..preprocess import centre_crop, normalise, resize, resized_shape
from .augment import random_box

ORDER, AUGMENT = 0, 1  # two independent random streams per seed


class Stream:
    """The pictures of a split as normalised batches; what a batch holds depends on (seed, step) and nothing else.

    split: a data.Split; batch: pictures per batch; size: (height, width) in pixels that the model wants;
    preprocess: a config.Preprocess; augment: a data.Augment or None.
    shuffle: every epoch has its own order and whole batches only; otherwise the split's order, to its last picture.
    """

    def __init__(self, split, batch, size, preprocess, augment=None, seed=0, shuffle=True):
        if batch < 1 or (shuffle and batch > len(split)):
            raise InputError(f"a batch of {batch} pictures, expected 1 to {len(split)}, as many as the split has")
        self.split, self.size, self.preprocess = split, tuple(size), preprocess
        self.augment, self.seed, self.shuffle = augment, seed, shuffle
        self._batch, self._epoch = batch, (None, None)

    @property
    def steps(self):
        """Batches per epoch."""
        return len(self.split) // self._batch if self.shuffle else -(-len(self.split) // self._batch)

    def batch(self, step):
        """(images float32 (B,h,w,3), labels int64 (B,)) of a step, counted from 0 through all epochs.

        B is smaller than usual by the pictures that cannot be read; if none can, InputError (or, in order, B is 0).
        """
        pictures, labels = self.split.take(self.indices(step))
        if self.shuffle and not len(labels):
            raise InputError(f"step {step}: none of its {self._batch} pictures can be read; remove the damaged files")
        if self.augment is None:
            pixels = self._sized(pictures)
        else:
            rng = np.random.default_rng((self.seed, AUGMENT, step))
            pixels = self.augment(self._boxes(pictures, rng) if self.augment.area else self._sized(pictures), rng)
        return normalise(pixels, self.preprocess), labels

    def indices(self, step):
        """Which pictures of the split a step shows (B,)."""
        epoch, position = divmod(step, self.steps)
        return self._order(epoch)[position * self._batch : (position + 1) * self._batch]

    def prefetch(self, start, stop, ahead=2):
        """`batch(start)`, …, `batch(stop - 1)`, made ahead in a background thread."""
        with ThreadPoolExecutor(1) as pool:
            waiting = deque(pool.submit(self.batch, step) for step in range(start, min(start + ahead, stop)))
            for step in range(start + ahead, stop + ahead):
                ready = waiting.popleft().result()
                if step < stop:
                    waiting.append(pool.submit(self.batch, step))
                yield ready

    def _order(self, epoch):
        if not self.shuffle:
            return np.arange(len(self.split))
        known, order = self._epoch
        if known != epoch:
            order = np.random.default_rng((self.seed, ORDER, epoch)).permutation(len(self.split))
            self._epoch = epoch, order
        return order

    def _boxes(self, pictures, rng):
        # b pictures (·,·,3) -> (b,h,w,3): a random part of each
        boxes = (random_box(picture, self.augment.area, rng) for picture in pictures)
        return self._stack(resize(box, self.size, self.preprocess.resample) for box in boxes)

    def _sized(self, pictures):
        # b pictures (·,·,3) -> (b,h,w,3), resized and cropped as the model's policy does, unless that changes nothing
        if isinstance(pictures, np.ndarray) and pictures.shape[1:3] == self.size == self._before_crop(self.size):
            return pictures
        return self._stack(self._fitted(picture) for picture in pictures)

    def _fitted(self, picture):
        return centre_crop(resize(picture, self._before_crop(picture.shape[:2]), self.preprocess.resample), self.size)

    def _before_crop(self, shape):
        return resized_shape(shape, self.preprocess, self.size)

    def _stack(self, pictures):
        pictures = list(pictures)
        return np.stack(pictures) if pictures else np.empty((0, *self.size, 3), np.uint8)
