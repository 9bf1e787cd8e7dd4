"""A loaded LiT model: pictures and texts as points on one sphere, and what their cosines say.

model = minivit.load("LiT-B16B.npz")                            # its vocabulary, LiT-B16B.txt, lies beside it
model.zeroshot("cat.jpg", ["a cat", "a dog"])                   # the labels as Predictions, most probable first
model.embed_images("cat.jpg") @ model.embed_texts("a cat").T    # a cosine
"""

import itertools
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from . import names, text, tiers
from .errors import InputError
from .model import Model, ranked
from .models import lit
from .params import flatten
from .trace import NO_TAP, Trace, make_tap

#: The sentences of vit_jax's lit.ipynb: every label is put into each, and the embeddings of its sentences are averaged
PROMPTS = (
    *("itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}.", "a {} in a video game."),
    *("art of the {}.", "a photo of the small {}.", "{}"),
)
#: kind of text tower -> what its vocabulary is called, beside the checkpoint
VOCABULARIES = {"bert": ".txt", "transformer": ".model"}
TEXTS = 32  # that go through the text tower at a time


class LitModel:
    """What `minivit.load` returns for a LiT checkpoint.

    `images` below is what a plain model takes (see model.Model), `texts` is a text or a list of texts.  `tower` is the
    image tower as a plain model, for all that looks into one.
    """

    def __init__(self, config, params, ops=None, vocabulary=None, source=""):
        # params: the canonical tree, or pairs (flat name, array); vocabulary: the path of its file
        self.config, self.vocabulary, self.source = config, vocabulary, source
        self.ops = ops or tiers.load()
        self.params = {}
        pairs = flatten(params).items() if isinstance(params, dict) else params
        for part, own in itertools.groupby(pairs, key=lambda pair: pair[0].partition(".")[0]):
            own = ((name.partition(".")[2], array) for name, array in own)
            self.params[part] = self._tower(own).params if part == "img" else self.ops.prepare(own)

    def _tower(self, params):
        config = replace(self.config.img, name=f"{self.config.name}, image tower")
        self.tower = Model(config, params, self.ops, source=self.source)
        return self.tower

    def __repr__(self):
        return f"<{self.config.name} from {self.source or 'arrays'}, tier {self.ops.tier} in {self.ops.dtype}>"

    @cached_property
    def tokenizer(self):
        """What turns texts into numbers.  Raises InputError if there is no vocabulary, or another model's."""
        kind = self.config.txt.kind
        path = Path(self.vocabulary or Path(self.source).with_suffix(VOCABULARIES[kind]))
        if not path.is_file():
            what = {"bert": "word pieces, one per line", "transformer": "a .model of SentencePiece"}[kind]
            where = "put it there, or give its path as vocabulary (--vocabulary)"
            raise InputError(
                f"{path}: no such file; {self.config.name} reads texts with its vocabulary, {what}: {where}"
            )
        return text.read(path, self.config.txt)

    def embed_images(self, images, size=None, tap=NO_TAP):
        """Points (B,E) of length one.  Raises InputError for what is not an image."""
        return lit.embed_images(self.params, self.tower.preprocess(images, size), self.config, self.ops, tap)

    def embed_texts(self, texts, tap=NO_TAP, progress=None):
        """Points (T,E) of length one; `progress` is called with (texts done, texts in all).

        Warns of texts that are cut.  Raises InputError for a text without words, and if there is no vocabulary.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        tokens, found = text.rows(self.tokenizer, texts, self.config.length), []
        step = len(tokens) if tap.active else TEXTS
        for start in range(0, len(tokens), step):
            found.append(lit.embed_texts(self.params, tokens[start : start + step], self.config, self.ops, tap))
            if progress:
                progress(min(start + step, len(tokens)), len(tokens))
        if not found:
            raise InputError("expected at least one text, got none")
        return np.concatenate(found)

    def run(self, images, size=None, patch=None, tap=None, texts=None):
        """How well each text fits each image (B,T), as logits; without texts the points of the images (B,E).

        size and patch: as in Model.run.
        """
        tap = tap or make_tap(self.config, patch=patch)
        points = self.embed_images(images, size, tap)
        if texts is None:
            return points
        return lit.similarity(self.params, points, self.embed_texts(texts, tap), self.ops, tap)

    __call__ = run

    def trace(self, images, keep="*", size=None, patch=None, texts=None):
        """Run and record: a Trace of the tensors whose names match `keep`; those of texts only if there are any."""
        tap = make_tap(self.config, keep, patch)
        self.run(images, size, tap=tap, texts=texts)
        return Trace(tap.store, self.config)

    def zeroshot(self, images, labels, prompts=("{}",), top=None, size=None, progress=None):
        """Which label fits: a list of Predictions, most probable first, or one such list per image for several.

        prompts: sentences with {} for the label, such as PROMPTS.  The embeddings of a label's sentences are averaged,
        and not made as long as one again, as in vit_jax's lit.ipynb.
        """
        return self.compare(images, self.embed_labels(labels, prompts, progress), labels, top, size)

    def compare(self, images, classes, labels, top=None, size=None):
        """The same for labels that are points already: classes (C,E), as `embed_labels` gives them."""
        logits = lit.similarity(self.params, self.embed_images(images, size), classes, self.ops)
        found = [ranked(row, labels.__getitem__, top) for row in logits]
        return found if isinstance(images, (list, tuple)) else found[0]

    def embed_labels(self, labels, prompts=("{}",), progress=None):
        """(C,E): the mean embedding of each label's sentences.  Raises InputError for a prompt without {}."""
        for prompt in prompts:
            if "{}" not in prompt:
                raise InputError(f"the prompt {prompt!r} has no {{}}, expected one where the label goes")
        sentences = [prompt.replace("{}", label) for label in labels for prompt in prompts]
        points = self.embed_texts(sentences, progress=progress)
        return points.reshape(len(labels), len(prompts), -1).mean(1)

    def names(self):
        """The names of every tensor of a forward pass, in order; see minivit/names for what they mean."""
        return list(names.of(self.config))
