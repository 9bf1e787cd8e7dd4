"""A batch depends on (seed, step) alone, so a resumed run sees what an uninterrupted one would have seen."""

import threading

import numpy as np
import pytest
from data_files import pictures, save_folders

from minivit import data
from minivit.config import DEIT, GOOGLE, Preprocess
from minivit.errors import InputError
from minivit.preprocess import batch, normalise

POLICY = Preprocess("test", "bilinear")
EVERYTHING = data.Augment(
    area=(0.3, 1), crop=2, flip=True, auto=True, brightness=0.3, contrast=0.3, saturation=0.3, erase=0.5
)


def split(count=20):
    return data.Split(pictures(count), np.arange(count))


def stream(count=20, size=(32, 32), policy=POLICY, **options):
    return data.Stream(split(count), 6, size, policy, **options)


def test_a_batch_is_normalised_pictures_and_their_labels():
    images, labels = stream().batch(1)
    assert images.dtype == np.float32 and labels.dtype == np.int64
    assert (images == normalise(split().pixels[labels], POLICY)).all()


def test_an_epoch_shows_no_picture_twice():
    seen = np.concatenate([stream().batch(step)[1] for step in range(stream().steps)])
    assert len(seen) == 18 == len(set(seen))  # of 20; the last two would not fill a batch


def test_every_epoch_has_its_own_order():
    epochs = [np.concatenate([stream().batch(3 * e + step)[1] for step in range(3)]).tolist() for e in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_seeds_differ():
    assert (stream(seed=1).batch(0)[1] != stream(seed=2).batch(0)[1]).any()


def test_without_shuffling_every_picture_comes_in_order():
    plain = stream(shuffle=False)
    assert np.concatenate([labels for _, labels in plain.prefetch(0, plain.steps)]).tolist() == list(range(20))


@pytest.mark.parametrize("augment", [None, EVERYTHING], ids=["plain", "augmented"])
def test_a_step_is_the_same_asked_alone_in_another_order_or_ahead(augment):
    alone = {step: stream(augment=augment).batch(step) for step in (7, 2, 5, 3, 6, 4)}
    for start in (2, 4):  # from the beginning, and resumed
        for step, (images, labels) in enumerate(stream(augment=augment).prefetch(start, 8), start):
            assert (images == alone[step][0]).all() and (labels == alone[step][1]).all()


def test_prefetch_gives_as_many_batches_as_asked_for():
    assert [len(list(stream().prefetch(5, stop))) for stop in (5, 6, 7, 12)] == [0, 1, 2, 7]


def test_prefetch_leaves_no_thread_behind_when_it_is_stopped():
    before = threading.active_count()
    ahead = stream().prefetch(0, 1000)
    next(ahead)
    ahead.close()
    assert threading.active_count() == before


def test_what_goes_wrong_in_the_background_is_raised():
    broken = data.Stream(data.Split(pictures(20, side=16), np.arange(20)), 6, (32, 32), Preprocess("bad", "cubic"))
    with pytest.raises(InputError, match="cubic"):
        next(broken.prefetch(0, 3))


@pytest.mark.parametrize("policy", [GOOGLE, DEIT, POLICY], ids=lambda policy: policy.name)
def test_pictures_are_resized_and_cropped_as_for_inference(policy):
    plain = stream(size=(48, 40), policy=policy, shuffle=False)
    assert (plain.batch(0)[0] == batch(split().pixels[:6], policy, (48, 40))).all()


def test_pictures_of_the_right_size_are_cropped_too_if_the_policy_says_so():
    plain = stream(policy=DEIT, shuffle=False)  # 36, of which 32 are left
    assert (plain.batch(0)[0] == batch(split().pixels[:6], DEIT, (32, 32))).all()


def test_random_boxes_of_pictures_of_any_size_fill_the_batch(tmp_path):
    train = data.load(save_folders(tmp_path)).train
    images, labels = data.Stream(train, 6, (16, 20), POLICY, EVERYTHING).batch(0)
    assert images.shape == (6, 16, 20, 3) and sorted(labels) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("batch_size", [0, 21])
def test_a_batch_that_the_split_cannot_fill_is_refused(batch_size):
    with pytest.raises(InputError, match="expected 1 to 20"):
        data.Stream(split(), batch_size, (32, 32), POLICY)
