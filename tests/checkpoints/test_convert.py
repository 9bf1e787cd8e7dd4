"""Conversions: the numbers to the bit, the settings as a reader finds them, or a refusal that says why."""

import errno
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from checkpoint_files import GOLDEN, assert_same_tree, flat, golden_arrays, golden_path
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from minivit import checkpoints, config, load, params
from minivit.checkpoints import native, write_timm
from minivit.cli import main
from minivit.convert import PLANS, convert
from minivit.errors import InputError
from minivit.preprocess import preprocess

TINY = config.ViTConfig("tiny", 2, 8, 2, 2, 12, classes=3, image=(4, 4))
PLAIN = [path.parent.name for path in sorted(GOLDEN.glob("vit__*/weights.npz"))]
PICTURE = np.random.default_rng(0).integers(0, 255, (23, 17, 3), np.uint8)


def place(folder, to, name="new"):
    return folder / (f"{name}.npz" if to == "npz" else f"{name}-{to}")


def stored(path):
    """{name: array} of a converted file or folder, as NumPy or safetensors reads it."""
    if path.is_dir():
        return load_file(path / "model.safetensors")
    with np.load(path) as file:
        return dict(file)


def assert_same_bits(found, wanted):
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert (found[name].dtype, found[name].shape) == (wanted[name].dtype, wanted[name].shape), name
        assert found[name].tobytes() == wanted[name].tobytes(), name


def own(folder, found=TINY, labels=None):
    """A file of minivit's own with seeded parameters."""
    path = Path(folder) / "own.safetensors"
    native.write(path, found, params.seeded(found, 3), labels)
    return path


# ---- the same numbers ------------------------------------------------------------------------------------------------

NOT_HELD = {
    ("vit__gap", "hf"): "always has a class token",
    ("vit__unpooled", "hf"): "always has a class token",
    ("vit__token_representation", "hf"): "reads the class token itself",
    ("vit__token_representation", "timm"): "dropped the layer before the head",
}


@pytest.mark.parametrize("through", PLANS)
@pytest.mark.parametrize("case", PLAIN)
def test_an_official_file_comes_back_to_the_bit_or_is_refused(case, through, tmp_path):
    source, between = GOLDEN / case / "weights.npz", place(tmp_path, through)
    if (case, through) in NOT_HELD:
        with pytest.raises(InputError, match=NOT_HELD[case, through]):
            convert(source, between, through)
    else:
        convert(source, between, through)
        convert(between, tmp_path / "back.npz", "npz")
        assert_same_bits(stored(tmp_path / "back.npz"), golden_arrays(case))


@pytest.mark.parametrize("case", ["hybrid__r_1_1", "hybrid__r_stem", "mixer__patch8", "lit__text_transformer"])
def test_other_families_go_through_our_own_files_to_the_bit(case, tmp_path):
    found = checkpoints.read(GOLDEN / case / "weights.npz")
    native.write(tmp_path / "own.safetensors", found.config, found.params())
    convert(tmp_path / "own.safetensors", tmp_path / "back.npz", "npz")
    assert_same_bits(stored(tmp_path / "back.npz"), golden_arrays(case))
    refused = {
        "hybrid": "no hybrid with the stages|take gelu erf",
        "mixer": "the published patches",
        "lit": "lit family",
    }
    for to, why in {"hf": f"{found.config.family} family", "timm": refused[found.config.family]}.items():
        with pytest.raises(InputError, match=why):
            convert(tmp_path / "own.safetensors", place(tmp_path, to), to)


STEM = config.Stem(norm_eps=1e-5, weight_eps=1e-8, weight_eps_on="variance")
RELATIVES = {
    f"hybrid{units}": config.HybridConfig(
        *("hybrid", 1 if units else 8, 48, 1, 4, 101), classes=5, image=(64, 64), gelu="erf",
        position_resize="bicubic_antialias_float32", preprocess=config.TIMM, stem=replace(STEM, units=units),
    )
    for units in write_timm.ARCHITECTURES
}  # fmt: skip
MIXER = config.MixerConfig(
    "mixer", 32, 512, 8, 20, 101, classes=5, image=(64, 64), gelu="erf", preprocess=config.TIMM
)  # fmt: skip
RELATIVES |= {"mixer": MIXER, "oblong mixer": replace(MIXER, image=(64, 96)), "no head": replace(MIXER, classes=None)}


@pytest.mark.parametrize("relative", RELATIVES)
def test_timms_hybrids_and_mixers_come_back_to_the_bit(relative, tmp_path):
    """That timm itself builds these and computes the same was tried with timm 1.0.31: within 4e-5 for all of them."""
    source = own(tmp_path, RELATIVES[relative])
    convert(source, tmp_path / "timm", "timm")
    found, wanted = checkpoints.read(tmp_path / "timm"), checkpoints.read(source)
    assert replace(found.config, name="", preprocess=config.TIMM) == replace(wanted.config, name="")
    assert_same_tree(flat(tmp_path / "timm"), flat(source))


def test_the_official_arithmetic_of_hybrids_and_mixers_is_not_timms(tmp_path):
    for name, change in {
        "mixer": {"gelu": "tanh"},
        "hybrid(3, 4, 9)": {"stem": config.Stem((3, 4, 9))},
    }.items():
        source = own(tmp_path, replace(RELATIVES[name], **change))
        with pytest.raises(InputError, match=f"readers of the timm layout would take {next(iter(change))}"):
            convert(source, tmp_path / "timm", "timm")
        assert not (tmp_path / "timm").exists()


@pytest.mark.parametrize(
    ("case", "layout", "through", "given"),
    [
        ("hf__vit_classification", "hf", "hf", {}),
        ("hf__vit_classification", "hf", "npz", {}),
        ("hf__vit_classification", "hf", "timm", {}),
        ("hf__vit_model_pooler", "hf", "hf", {}),
        ("hf__vit_model_pooler", "hf", "npz", {}),
        ("hf__deit_distilled", "hf", "hf", {}),
        ("hf__deit_distilled", "hf", "timm", {}),
        ("timm__vit_token", "timm", "timm", {"heads": 4}),
        ("timm__vit_token", "timm", "npz", {"heads": 4}),
        ("timm__vit_token", "timm", "hf", {"heads": 4}),
        ("timm__vit_avg", "timm", "timm", {"heads": 3}),
    ],
)
def test_a_file_of_torch_comes_back_to_the_bit(case, layout, through, given, tmp_path):
    source = golden_path(case) if layout == "hf" else GOLDEN / case / "model.safetensors"
    convert(source, place(tmp_path, through), through, as_is=True, **given)
    convert(place(tmp_path, through), place(tmp_path, layout, "back"), layout, as_is=True)
    assert_same_bits(stored(place(tmp_path, layout, "back")), golden_arrays(case))


def test_a_file_of_half_precision_keeps_it(tmp_path):
    native.write(tmp_path / "half.safetensors", TINY, params.seeded(TINY), dtype="float16")
    for to in PLANS:
        convert(tmp_path / "half.safetensors", place(tmp_path, to), to)
        assert {array.dtype.name for array in stored(place(tmp_path, to)).values()} == {"float16"}
        assert_same_tree(flat(place(tmp_path, to)), flat(tmp_path / "half.safetensors"))


POLICIES = [*config.POLICIES.values(), config.Preprocess("crop", "bicubic", "stretch", (9, 9))]


@st.composite
def configs(draw):
    """Every kind of ViT that a config can state, small."""
    prefix = draw(st.sampled_from([0, 1, 2]))
    classes = draw(st.sampled_from([None, 3]))
    distilled = draw(st.booleans()) and prefix == 2 and classes is not None
    return replace(
        TINY,
        **{"prefix": prefix, "classes": classes, "distilled_head": distilled},
        pool=draw(st.sampled_from(["token", "gap"] if prefix else ["gap"])),
        representation=draw(st.sampled_from([None, None, 5])),
        norm_after_pool=draw(st.sampled_from([False, False, True])),
        gelu=draw(st.sampled_from(config.vit.GELUS)),
        eps=draw(st.sampled_from([1e-6, 1e-6, 1e-12])),
        qkv_bias=draw(st.booleans()),
        image=draw(st.sampled_from([(4, 4), (4, 6)])),
        mlp=draw(st.sampled_from([12, 11])),
        preprocess=draw(st.sampled_from(POLICIES)),
    )


@settings(max_examples=60, deadline=None)
@given(configs(), st.sampled_from(sorted(PLANS)))
def test_a_written_model_computes_the_same_or_nothing_is_written(found, to):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, written = own(folder, found), place(folder, to)
        try:
            report = convert(source, written, to)
        except InputError as error:
            assert str(error).count("\n") == 0 and "tiny" in str(error)
            assert list(folder.iterdir()) == [source]
            return
        assert_same_tree(flat(written), flat(source))
        old, new = load(source), load(written)
        pixels = np.random.default_rng(1).standard_normal((2, *found.image, 3), dtype=np.float32)
        np.testing.assert_array_equal(new.run(pixels), old.run(pixels))
        if not any("antialiasing" in note for note in report["notes"]):
            policies = (old.config.preprocess, new.config.preprocess)
            np.testing.assert_array_equal(*(preprocess(PICTURE, policy, found.image) for policy in policies))


# ---- what a layout cannot say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "to", "problem"),
    [
        ({"gelu": "erf"}, "npz", "take gelu tanh, not erf"),
        ({"eps": 1e-12}, "npz", "take eps 1e-06, not 1e-12"),
        ({"eps": 1e-12}, "timm", "take eps 1e-06, not 1e-12"),
        ({"preprocess": config.TIMM}, "npz", "take resample tf_bilinear, not bicubic; resize of 997×499 pixels"),
        ({"qkv_bias": False}, "npz", "always have a bias"),
        ({"pool": "token_unpooled"}, "npz", "take pool token, not token_unpooled"),
        ({"pool": "gap"}, "hf", "take pool token, not gap"),
        ({"norm_after_pool": True}, "hf", "take norm_after_pool False, not True"),
        ({"image": (4, 6)}, "npz", "its grid of 2×3 patches is not square"),
        ({"prefix": 2}, "npz", "no distillation token"),
        ({"distilled_head": True}, "npz", "no distillation token"),
        ({"distilled_head": True}, "hf", "reads a distillation token"),
        ({"distilled_head": True}, "timm", "with a head of its own"),
        ({"prefix": 2}, "timm", "with a head of its own"),
        ({"prefix": 0, "pool": "gap"}, "hf", "always has a class token"),
        ({"representation": 5}, "hf", "reads the class token itself"),
        ({"representation": 5}, "timm", "dropped the layer before the head"),
    ],
)
def test_what_a_layout_cannot_say_is_refused(change, to, problem, tmp_path):
    source = own(tmp_path, replace(TINY, **change))
    with pytest.raises(InputError) as error:
        convert(source, place(tmp_path, to), to)
    assert problem in str(error.value)
    assert list(tmp_path.iterdir()) == [source]


def test_as_is_writes_the_arrays_and_notes_what_changes(tmp_path):
    source = own(tmp_path, replace(TINY, gelu="erf", eps=1e-12))
    report = convert(source, tmp_path / "new.npz", "npz", as_is=True)
    assert {"readers will take gelu tanh, not erf", "readers will take eps 1e-06, not 1e-12"} <= {*report["notes"]}
    assert_same_tree(flat(tmp_path / "new.npz"), flat(source))


def test_an_mlp_that_timm_would_round_down_keeps_its_width(tmp_path):
    width = next(w for w in range(3, 200) if any(int(w * (m / w)) != m for m in range(1, 4 * w)))
    mlp = next(m for m in range(1, 4 * width) if int(width * (m / width)) != m)
    source = own(tmp_path, replace(TINY, width=width, heads=1, mlp=mlp))
    convert(source, tmp_path / "new", "timm")
    arguments = json.loads((tmp_path / "new" / "config.json").read_text())["model_args"]
    assert int(width * arguments["mlp_ratio"]) == mlp


# ---- what stands beside the weights ----------------------------------------------------------------------------------

LABELS = ("tench", "goldfish", "“shark”")


@pytest.mark.parametrize("to", ["hf", "timm"])
def test_labels_and_settings_are_written(to, tmp_path):
    convert(own(tmp_path, replace(TINY, preprocess=config.DEIT), LABELS), place(tmp_path, to), to)
    found = checkpoints.read(place(tmp_path, to))
    assert (found.labels, found.layout, found.warnings) == (LABELS, {"hf": "huggingface"}.get(to, to), [])


def test_labels_of_an_official_file_stand_beside_it(tmp_path):
    report = convert(own(tmp_path, labels=LABELS), tmp_path / "new.npz", "npz")
    assert list(report["files"]) == [str(tmp_path / "new.labels.json"), str(tmp_path / "new.npz")]
    assert load(tmp_path / "new.npz", labels=tmp_path / "new.labels.json").labels == LABELS


def test_labels_can_be_given(tmp_path):
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    convert(own(tmp_path), tmp_path / "new", "hf", labels=tmp_path / "labels.txt")
    assert checkpoints.read(tmp_path / "new").labels == ("a", "b", "c")
    with pytest.raises(InputError, match="2 labels, but the model has 3 classes"):
        (tmp_path / "labels.txt").write_text("a\nb\n")
        convert(own(tmp_path), tmp_path / "other", "hf", labels=tmp_path / "labels.txt")


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", PLANS)
def test_what_is_there_is_replaced_only_by_force(to, tmp_path):
    source, target = own(tmp_path), place(tmp_path, to)
    convert(source, target, to)
    before = stored(target)
    other = replace(TINY, width=4)
    native.write(tmp_path / "other.safetensors", other, params.seeded(other))
    with pytest.raises(InputError, match="exists already; --force replaces it"):
        convert(tmp_path / "other.safetensors", target, to)
    assert_same_bits(stored(target), before)
    convert(tmp_path / "other.safetensors", target, to, force=True)
    assert checkpoints.read(target).config.width == 4
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    source = own(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds 'thesis.txt', which is no part of a checkpoint"):
        convert(source, tmp_path / "mine", "hf", force=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("name", "to", "problem"),
    [
        ("new.safetensors", "npz", "ends in .npz"),
        ("new.npz", "hf", "is a folder"),
        ("nowhere/new", "timm", "No such file or directory"),
        ("new", "onnx", "unknown layout 'onnx'"),
    ],
)
def test_a_bad_destination_is_one_line(name, to, problem, tmp_path):
    with pytest.raises(InputError, match=problem):
        convert(own(tmp_path), tmp_path / name, to)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("to", PLANS)
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_what_was_there(to, there, tmp_path, monkeypatch):
    source, target = own(tmp_path), place(tmp_path, to)
    if there:
        convert(source, target, to)
    before = sorted(tmp_path.rglob("*"))

    def full(*args, **more):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("safetensors.numpy.save_file" if to != "npz" else "numpy.savez", full)
    with pytest.raises(InputError, match="No space left on device"):
        convert(source, target, to, force=True)
    assert sorted(tmp_path.rglob("*")) == before


def doubled(arrays):
    """The same but for the last one."""
    last = list(arrays)[-1]
    return {**arrays, last: arrays[last] * 2}


@pytest.mark.parametrize("to", PLANS)
def test_an_array_that_the_disk_changed_is_noticed(to, tmp_path, monkeypatch):
    source = own(tmp_path)
    savez, save_file = np.savez, safetensors.numpy.save_file
    monkeypatch.setattr("numpy.savez", lambda file, **arrays: savez(file, **doubled(arrays)))
    monkeypatch.setattr(
        "safetensors.numpy.save_file", lambda arrays, *more, **kw: save_file(doubled(arrays), *more, **kw)
    )
    with pytest.raises(InputError, match="is not on the disk as it was written"):
        convert(source, place(tmp_path, to), to)
    assert list(tmp_path.iterdir()) == [source]


def test_the_command_reports_in_words_and_in_json(tmp_path, capsys):
    source = str(GOLDEN / "vit__token" / "weights.npz")
    assert main(["convert", source, str(tmp_path / "hf"), "--to", "hf"]) == 0
    out = capsys.readouterr().out
    assert "56 arrays" in out and "model.safetensors" in out and "note: " in out
    assert main(["convert", source, str(tmp_path / "timm"), "--to", "timm", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["arrays"], report["from"], report["to"]) == (44, "vit_jax npz", "timm")
    assert main(["convert", source, str(tmp_path / "hf"), "--to", "hf"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_takes_what_the_file_does_not_say(tmp_path, capsys):
    source = str(GOLDEN / "timm__vit_token" / "model.safetensors")
    given = ("--heads", "4", "--preprocess", "timm", "--json")
    assert main(["convert", source, str(tmp_path / "new"), "--to", "timm", *given]) == 0
    assert not any("assumed" in note for note in json.loads(capsys.readouterr().out)["notes"])
    found = checkpoints.read(tmp_path / "new").config
    assert (found.heads, found.preprocess) == (4, config.TIMM)


# ---- the other program -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "ViTForImageClassification"),
        ({"gelu": "erf", "eps": 1e-12, "qkv_bias": False, "image": (4, 6)}, "ViTForImageClassification"),
        ({"classes": None, "representation": 5}, "ViTModel"),
        ({"prefix": 2}, "DeiTForImageClassification"),
        ({"prefix": 2, "distilled_head": True}, "DeiTForImageClassificationWithTeacher"),
    ],
)
def test_transformers_computes_the_same(change, kind, tmp_path):
    torch = pytest.importorskip("torch", reason="transformers (extra `reference`) runs on torch, not installed here")
    transformers = pytest.importorskip("transformers", reason="transformers (extra `reference`) is not installed here")
    source = own(tmp_path, replace(TINY, **change))
    convert(source, tmp_path / "new", "hf")
    model, loading = getattr(transformers, kind).from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not any(loading.values())
    mine = load(source, dtype="float64")
    pixels = np.random.default_rng(1).standard_normal((2, *mine.config.image, 3))
    with torch.no_grad():
        theirs = model.double()(pixel_values=torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    found = theirs.pooler_output if kind == "ViTModel" else theirs.logits
    expected = mine.run(pixels)
    assert np.abs(found.numpy() - expected).max() < 1e-6 * np.abs(expected).max()  # its softmax stays in float32
