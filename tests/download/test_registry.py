"""The table of published checkpoints, and what people write for them."""

import re

import pytest

from minivit import registry
from minivit.config import VARIANTS
from minivit.errors import InputError
from minivit.registry import augreg, table

#: What people write -> what is meant
NAMES = {
    "augreg/Ti_16": "augreg/Ti_16",
    "augreg/Ti_16@224": "augreg/Ti_16@224",
    "Augreg/ti-16": "augreg/Ti_16",
    "augreg/B_16-i21k": "augreg/B_16-i21k",
    "google/vit-base-patch16-224": "google/vit-base-patch16-224",
    "vit-base-patch16-224": "google/vit-base-patch16-224",
    "facebook/deit-tiny-patch16-224": "facebook/deit-tiny-patch16-224",
    "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k": "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_patch16_224.sam_in1k": "timm/vit_base_patch16_224.sam_in1k",
    "imagenet21k/ViT-B_16": "imagenet21k/ViT-B_16",
    "imagenet21k+imagenet2012/ViT-B_16": "imagenet21k+imagenet2012/ViT-B_16",
    "ViT-B_16-224": "imagenet21k+imagenet2012/ViT-B_16-224",
    "sam/ViT-S_16": "sam/ViT-S_16",
    "vit-b16": "augreg/B_16",
    "ViT-B/16": "augreg/B_16",
    "B/16": "augreg/B_16",
    "ViT-B/16@384": "augreg/B_16",
    "vit-b16@224": "augreg/B_16@224",
    "ViT-L/32": "imagenet21k+imagenet2012/ViT-L_32",
    "ViT-H/14": "imagenet21k/ViT-H_14",
    "R50+B/16": "imagenet21k+imagenet2012/R50+ViT-B_16",
    "R26+ViT-S_32": "augreg/R26_S_32",
    "Mixer-B/16": "mixer-imagenet1k/Mixer-B_16",
    "mixer-s8": "mixer-gsam/Mixer-S_8",
    "DeiT-S/16": "facebook/deit-small-patch16-224",
    "DeiT-B/16-distilled@384": "facebook/deit-base-distilled-patch16-384",
    "LiT-B16B": "lit/LiT-B16B",
    "lit-b16b-2": "lit/LiT-B16B_2",
    "gsam/ViT-B_16": "gsam/ViT-B_16",
    "augreg/index": "augreg/index.csv",
    "hf:somebody/any.model": "hf:somebody/any.model",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_resolve_as_people_write_them(name):
    assert registry.find(name).name == NAMES[name]


def test_every_entry_is_found_by_its_name_and_has_its_own_place():
    entries = registry.entries()
    assert [registry.find(entry.name) for entry in entries] == list(entries)
    assert len({entry.path for entry in entries}) == len({entry.name for entry in entries}) == len(entries)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vit-b17", "did you mean 'ViT-B/"),
        ("google/vit-base-patch16-225", "did you mean 'google/vit-base-patch16-224'"),
        ("vit-base", "ambiguous, it may be google/vit-base-patch16-224, "),
        ("vit-base", " more"),
        ("vit-huge", "google/vit-huge-patch14-224-in21k, timm/vit_huge_patch14_224.orig_in21k"),
        ("vit-b16@512", "none for pictures of 512 pixels; there is augreg/B_16 (384), augreg/B_16@224 (224)"),
        ("vit-b16@big", "after @ goes the side of the pictures"),
        ("", "unknown checkpoint"),
        ("hf:nobody", "unknown checkpoint"),
        ("hf:../..", "unknown checkpoint"),
        ("gsam/ViT-B_17", "unknown checkpoint"),
        ("augreg/B_17-i21k-300ep-lr_0.001-aug_none-wd_0.1-do_0.0-sd_0.0", "unknown checkpoint"),
    ],
)
def test_ambiguous_and_unknown_names_get_one_line_with_candidates(name, expected):
    with pytest.raises(InputError, match=re.escape(expected)) as caught:
        registry.find(name)
    assert "\n" not in str(caught.value)


def test_every_row_states_what_it_needs():
    settings = {"url", "repo", "index", "unlisted", "licence", "checkpoints"}
    keys = table.FACTS | {"name", "file", "size", "labels", "vocabulary"}
    for family in table.content()["families"].values():
        assert set(family) <= settings | keys and ("url" in family) != ("repo" in family)
        assert all(set(row) <= keys for row in family["checkpoints"])
    for entry in registry.entries():
        assert entry.variant in VARIANTS or entry.variant.startswith("LiT"), entry
        assert entry.licence and entry.image and (entry.trained or entry.name.startswith("lit/"))


SIZED = [
    (family, row) for family, t in table.content()["families"].items() for row in t["checkpoints"] if "size" in row
]


@pytest.mark.parametrize(("family", "row"), SIZED, ids=[f"{family}/{row['name']}" for family, row in SIZED])
def test_published_sizes_are_those_of_the_parameters(family, row):
    """Four bytes each, to half a unit of the last digit and 0.3 %: so variant, resolution and classes are right."""
    entry = table.entry_of(family, row)
    digits = row["size"].split()[0].partition(".")[2]
    half = 0.5 * 10 ** -len(digits) * table.UNITS[row["size"].split()[1]]
    width = entry.config.width
    parameters = registry.Entry("", entry.variant, entry.image, entry.classes).bytes
    if family == "imagenet21k":  # pre_logits
        parameters += 4 * width * (width + 1)
    if entry.name == "sam/ViT-S_16":  # with both moments of its optimizer
        parameters *= 3
    assert entry.file.bytes == pytest.approx(parameters, abs=half + 0.003 * parameters)


def test_the_recommended_checkpoints_are_those_of_the_official_readme():
    accuracies = {"L_16": 85.588, "B_16": 85.486, "S_16": 83.728, "R50_L_32": 85.992, "R26_S_32": 83.846}
    accuracies |= {"Ti_16": 78.220, "B_32": 83.586, "S_32": 79.584, "R_Ti_16": 75.402, "B_8": 85.578}
    for model, top1 in accuracies.items():
        entry = registry.find(f"augreg/{model}")
        assert (entry.top1, entry.accuracy, entry.classes) == (top1, top1, 1000)
        assert entry.image == (224 if model == "B_8" else 384) and entry.labels.lines == 1000
        assert registry.find(f"augreg/{model}-i21k").file.path in entry.file.path.replace("--", ".npz--")


def test_full_names_of_augreg_need_no_row():
    stem = "R26_S_32-i21k-300ep-lr_0.001-aug_medium2-wd_0.03-do_0.1-sd_0.1--oxford_iiit_pet-steps_0k-lr_0.003-res_384"
    for name in (stem, f"augreg/{stem}", f"augreg/{stem}.npz"):
        entry = registry.find(name)
        assert entry.file.url == f"https://storage.googleapis.com/vit_models/augreg/{stem}.npz"
        assert (entry.variant, entry.image, entry.classes) == ("R26+ViT-S/32", 384, 37)


def test_matching_lists_all_that_a_part_of_a_name_may_mean():
    assert len(registry.matching(None)) == len(registry.entries())
    assert {entry.image for entry in registry.matching("b16@224")} == {224}
    assert all("deit" in entry.name for entry in registry.matching("deit"))
    with pytest.raises(InputError, match="did you mean"):
        registry.matching("deit-base-patch17-224")


ROWS = [
    dict(zip(("name", "ds", "final_val", "filename", "adapt_ds", "adapt_final_val"), row.split(), strict=True))
    for row in (
        "B/16 i21k 0.5 x cifar100 0.9",
        "B/16 i21k 0.6 y cifar100 0.7",
        "B/16 i21k 0.6 y cifar100 0.8",
        "B/16 i1k 0.8 z kitti -",
        "S/16 i21k 0.9 w kitti 0.99",
    )
]


def test_recommended_is_what_was_best_before_fine_tuning_on_imagenet21k():
    assert augreg.recommended(ROWS, "B/16") == "y"
    assert augreg.best([row for row in ROWS if row["filename"] == "y"])["adapt_final_val"] == "0.8"


def test_where_keeps_rows_and_compares_numbers_as_numbers():
    assert len(augreg.where(ROWS, {"name": "B/16", "final_val": "0.60"})) == 2
    with pytest.raises(InputError, match="no column 'adapt_dss'; did you mean 'adapt_ds'"):
        augreg.where(ROWS, {"adapt_dss": "kitti"})
    with pytest.raises(InputError, match="no row has adapt_ds=cifar10; there is cifar100, kitti"):
        augreg.where(ROWS, {"adapt_ds": "cifar10"})
