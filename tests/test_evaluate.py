"""Counting right and wrong answers, and which class of the model a class of the data is."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from minivit import InputError, Model, config, params
from minivit.data import Split
from minivit.evaluate import Evaluation, count, evaluate, match_classes, spread

TINY = config.ViTConfig("tiny", patch=8, width=16, blocks=2, heads=2, mlp=32, classes=7, image=(32, 32))


def tiny(labels=None, **changes):
    settings = replace(TINY, **changes)
    tree = params.seeded(settings)
    if settings.classes:
        kernel = np.random.default_rng(1).standard_normal(tree["head"]["w"].shape)
        tree["head"]["w"] = kernel.astype(np.float32)
    return Model(settings, tree, labels=labels)


def pictures(n=20, classes=7):
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (n, 32, 32, 3), np.uint8), rng.integers(0, classes, n))


def counted(confusion, **more):
    labels = tuple(f"class {i}" for i in range(len(confusion)))
    return Evaluation(np.array(confusion), **{"in_top5": 0, "skipped": 0, "seconds": 1.0, "labels": labels, **more})


def test_rows_of_the_confusion_matrix_are_the_truth_and_columns_the_answers():
    confusion = np.zeros((3, 3), int)
    count(confusion, np.array([[0.0, 9, 1], [0, 9, 1], [8, 0, 0]]), np.array([0, 1, 0]))
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(("truth", "inside"), [(4, 1), (5, 0)])
def test_the_fifth_largest_logit_counts_for_top5_and_the_sixth_does_not(truth, inside):
    assert count(np.zeros((7, 7), int), np.arange(7.0, 0, -1)[None], np.array([truth])) == inside


def test_of_equal_logits_the_first_is_the_answer():
    confusion = np.zeros((6, 6), int)
    assert count(confusion, np.zeros((1, 6)), np.array([5])) == 0 and confusion[5, 0] == 1


def test_logits_that_are_not_finite_are_never_counted_as_right():
    with pytest.raises(InputError, match="NaN or infinite"):
        count(np.zeros((2, 2), int), np.array([[np.nan, 0]]), np.array([1]))


def test_accuracy_is_the_share_of_the_diagonal_and_time_is_per_picture():
    result = counted([[3, 1], [2, 4]], in_top5=9, seconds=0.5)
    assert (result.images, result.top1, result.top5, result.ms_per_image) == (10, 0.7, 0.9, 50)


def test_the_per_class_table_counts_pictures_and_names_the_most_common_confusion():
    first, second = counted([[3, 1, 0], [0, 0, 0], [0, 0, 5]]).per_class()
    assert first == {
        **{"class": "class 0", "images": 4, "correct": 3, "accuracy": 0.75},
        **{"confused_with": "class 1", "times": 1},
    }
    assert second["class"] == "class 2" and second["confused_with"] is None and second["times"] == 0


def test_evaluate_agrees_with_the_logits_of_all_pictures_at_once():
    model, split = tiny(), pictures()
    order = (-model.run(split.pixels)).argsort(-1)
    result = evaluate(model, split, batch=6)
    assert result.images == 20 and result.skipped == 0 and result.seconds > 0
    assert result.top1 == np.mean(order[:, 0] == split.labels)
    assert result.top5 == np.mean((order[:, :5] == split.labels[:, None]).any(1))
    assert 0 < result.top5 < 1


def test_evaluate_maps_the_labels_of_the_data_to_the_classes_of_the_model():
    model, split = tiny(), pictures(classes=2)
    result = evaluate(model, split, classes=[5, 3])
    rows = result.confusion.sum(1)
    assert rows[5] == np.sum(split.labels == 0) and rows[3] == np.sum(split.labels == 1) and rows.sum() == 20


def test_evaluate_tells_how_far_it_is():
    told = []
    evaluate(tiny(), pictures(), batch=8, progress=lambda done, total: told.append((done, total)))
    assert told == [(8, 20), (16, 20), (20, 20)]


def test_unreadable_pictures_are_skipped_and_counted():
    class Damaged(Split):
        def take(self, indices):
            kept = [i for i in indices if i % 2]
            self.skipped.update({i: "damaged" for i in indices if i % 2 == 0})
            return self.pixels[kept], self.labels[kept]

    split = pictures()
    result = evaluate(tiny(), Damaged(split.pixels, split.labels), batch=5)
    assert (result.images, result.skipped) == (10, 10)


def test_no_readable_picture_is_an_error():
    class Gone(Split):
        def take(self, indices):
            return self.pixels[:0], self.labels[:0]

    with pytest.raises(InputError, match="none of 20 pictures"):
        evaluate(tiny(), Gone(pictures().pixels, pictures().labels))


@pytest.mark.parametrize(
    ("changes", "expected"), [({"classes": None}, "no classification head"), ({"pool": "unpooled"}, "token")]
)
def test_a_model_that_cannot_classify_is_refused(changes, expected):
    with pytest.raises(InputError, match=expected):
        evaluate(tiny(**changes), pictures())


def test_a_limit_spreads_over_classes_that_stand_one_after_the_other():
    assert spread(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert spread(4, 9).tolist() == [0, 1, 2, 3]


def test_preprocessing_small_pictures_is_no_bottleneck():
    import time

    model, split = tiny(), pictures(500)
    start = time.perf_counter()
    model.preprocess(split.pixels)
    assert (time.perf_counter() - start) / 500 < 2e-3  # measured: 0.05 ms; ten times and more for a busy machine


LABELS = ("tench, Tinca tinca", "crane", "tabby, tabby cat", "crane", "tiger cat", "drake, duck", "hen, duck")


def test_names_decide_even_if_there_are_equally_many_classes_in_another_order():
    names = ("b", "A", "c", "d", "e", "f", "g")
    assert match_classes(tiny(labels=tuple("abcdefg")), names).tolist() == [1, 0, 2, 3, 4, 5, 6]


def test_a_class_is_found_by_one_of_its_synonyms():
    assert match_classes(tiny(labels=LABELS), ("Tabby_cat", "tinca tinca", "drake, duck")).tolist() == [2, 0, 5]


@pytest.mark.parametrize("name", ["crane", "duck", "unknown"])
def test_a_name_that_two_labels_share_or_none_has_is_refused(name):
    with pytest.raises(InputError, match=f"no single label '{name}'.*--labels"):
        match_classes(tiny(labels=LABELS), ("tabby", name))


def test_other_names_in_equal_number_match_by_number_with_a_warning():
    with pytest.warns(UserWarning, match="by number: the model's 'a' is the data's 'x'"):
        assert match_classes(tiny(labels=tuple("abcdefg")), tuple("xbcdefg")).tolist() == list(range(7))


def test_a_model_without_labels_matches_by_number_silently():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert match_classes(tiny(), tuple("abcdefg")).tolist() == list(range(7))


def test_another_number_of_classes_without_labels_is_refused():
    with pytest.raises(InputError, match="3 classes and the model 7"):
        match_classes(tiny(), ("a", "b", "c"))
