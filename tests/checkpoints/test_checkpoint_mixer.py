"""Mixers in the layout of vit_jax and of timm, and the commands that read them."""

import json
import re

import numpy as np
import pytest
from checkpoint_files import GOLDEN, assert_same_tree, flat, golden_arrays, save_npz, save_safetensors
from PIL import Image

from minivit import checkpoints, params
from minivit.checkpoints import timm_mixer, vit_jax_mixer
from minivit.cli import main
from minivit.config import GOOGLE, TIMM
from minivit.errors import InputError

CASE = "mixer__patch8"
PATH = GOLDEN / CASE / "weights.npz"


def test_the_config_is_read_from_the_shapes():
    checkpoint = checkpoints.read(PATH)
    config = checkpoint.config
    assert (checkpoint.family, checkpoint.layout) == ("mixer", "vit_jax npz")
    sizes = config.patch, config.width, config.blocks, config.tokens, config.classes, config.image
    assert sizes == (8, 48, 2, 36, 7, (48, 48))
    assert (config.gelu, config.eps, config.preprocess) == ("tanh", 1e-6, GOOGLE)
    case = json.loads((GOLDEN / CASE / "case.json").read_text())
    assert config.token_mlp == case["config"]["tokens_mlp_dim"] and config.mlp == case["config"]["channels_mlp_dim"]
    assert checkpoint.parameters == case["param_count"]


def test_every_tensor_is_its_official_one_and_every_official_one_is_there():
    official, wanted = golden_arrays(CASE), checkpoints.read(PATH).wanted
    assert {name for names, _, _ in wanted.values() for name in names} == official.keys()
    for ours, array in flat(PATH).items():
        np.testing.assert_array_equal(array, official[wanted[ours][0][0]])


@pytest.mark.parametrize("prefix", ["params/", "opt/target/"])
def test_it_is_found_below_a_prefix_beside_the_state_of_an_optimizer(prefix, tmp_path):
    arrays = {f"{prefix}{name}": array for name, array in golden_arrays(CASE).items()}
    path = save_npz(tmp_path / "a.npz", {**arrays, "opt/state/step": np.zeros(1, np.float32)})
    assert_same_tree(flat(path), flat(PATH))
    assert "1 arrays beside the model" in checkpoints.read(path).warnings[0]


def test_a_headless_file_has_no_classes(tmp_path):
    arrays = {name: array for name, array in golden_arrays(CASE).items() if not name.startswith("head/")}
    assert checkpoints.read(save_npz(tmp_path / "a.npz", arrays)).config.classes is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem/kernel": None}, "expected a tensor 'stem/kernel', it is missing"),
        ({"stem/bias": None}, r"expected 'stem/bias' of shape \(48,\) for Mixer"),
        ({"MixerBlock_1/token_mixing/Dense_1/kernel": (3, 36)}, r"has shape \(3, 36\), expected \(\d+, 36\)"),
        ({"MixerBlock_0/LayerNorm_2/bias": (48,)}, "'MixerBlock_0/LayerNorm_2/bias' .* is not part of .* did you mean"),
        (
            {"MixerBlock_0/token_mixing/Dense_0/kernel": (35, 20)},
            "for 35 patches, which is not a square grid; give image=",
        ),
        (
            {"MixerBlock_0/token_mixing/Dense_0/kernel": (0, 20)},
            "for 0 patches, which is not a square grid; give image=",
        ),
        ({"stem/kernel": (8, 8, 48)}, "has shape .* expected 4 axes"),
    ],
)
def test_what_does_not_fit_is_named(change, message, tmp_path):
    arrays = golden_arrays(CASE)
    for name, shape in change.items():
        arrays.pop(name, None)
        if shape:
            arrays[name] = np.ones(shape, np.float32)
    with pytest.raises(InputError, match=message):
        checkpoints.read(save_npz(tmp_path / "a.npz", arrays))


def test_a_grid_that_is_not_square_can_be_given(tmp_path):
    arrays = {}
    for name, array in golden_arrays(CASE).items():
        if "token_mixing/Dense_0/kernel" in name:
            array = array[:35]
        if "token_mixing/Dense_1" in name:
            array = array[..., :35]
        arrays[name] = array
    assert checkpoints.read(save_npz(tmp_path / "a.npz", arrays), image=(40, 56)).config.grid == (5, 7)


def test_the_older_names_of_big_vision_are_recognised_but_not_read(tmp_path):
    path = save_npz(
        tmp_path / "a.npz", {"Mixer/encoderblock_0/token_mixing_phase_0/kernel1": np.ones((4, 3), np.float32)}
    )
    with pytest.raises(InputError, match="an MLP-Mixer with big_vision's older names; this version reads"):
        checkpoints.read(path)


# ---- timm -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def timm_file(tmp_path):
    """The golden weights under timm's names, matrices transposed as PyTorch has them."""
    arrays = {}
    for ours, array in flat(PATH).items():
        theirs = timm_mixer.RULES[re.sub(r"\d+", "*", ours, count=1) if ours.startswith("blocks.") else ours][0]
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        arrays[theirs.replace("*", ours.split(".")[1])] = array
    return save_safetensors(tmp_path / "model.safetensors", arrays)


def test_timm_has_the_same_numbers_under_other_names(timm_file):
    checkpoint = checkpoints.read(timm_file)
    assert (checkpoint.layout, checkpoint.family) == ("timm", "mixer")
    assert_same_tree(flat(timm_file), flat(PATH))
    assert (checkpoint.config.gelu, checkpoint.config.image) == ("erf", (48, 48))
    assert checkpoint.config.preprocess.crop_fraction == 0.875 and checkpoint.config.preprocess.resample == "bicubic"
    assert "the way of timm's Mixers assumed" in checkpoint.warnings[0]


def test_timms_config_beside_it_tells_gelu_preprocessing_and_labels(timm_file):
    settings = {
        "model_args": {"act_layer": "gelu_tanh"},
        "pretrained_cfg": {"interpolation": "bilinear", "crop_pct": 0.9, "mean": [0, 0, 0], "std": [1, 1, 1]},
        "label_names": list("abcdefg"),
    }
    (timm_file.parent / "config.json").write_text(json.dumps(settings))
    checkpoint = checkpoints.read(timm_file.parent)
    assert checkpoint.config.gelu == "tanh" and checkpoint.labels == tuple("abcdefg") and not checkpoint.warnings
    policy = checkpoint.config.preprocess
    assert (policy.resample, policy.crop_fraction, policy.std) == ("bilinear", 0.9, (1, 1, 1))


def test_the_tables_have_a_rule_for_every_parameter_and_no_other():
    needed = {re.sub(r"^blocks\.\d+", "blocks.*", name) for name in params.shapes(checkpoints.read(PATH).config)}
    assert vit_jax_mixer.RULES.keys() == timm_mixer.RULES.keys() == needed
    assert timm_mixer.USUAL.mean == TIMM.mean == (0.5, 0.5, 0.5)


# ---- commands -------------------------------------------------------------------------------------------------------


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    return str(path)


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of a command."""
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def test_demo_classify_features_trace_and_inspect_work(capsys, picture, tmp_path):
    weights = ["--weights", PATH]
    code, out, _ = run(capsys, "demo", picture, *weights, "-o", tmp_path / "demo.png")
    assert code == 0 and "an MLP across tokens" in out and "block0.token_mlp.act" in out and "heads" not in out
    assert (tmp_path / "demo.png").stat().st_size > 1000
    code, out, _ = run(capsys, "classify", picture, *weights, "--json")
    assert code == 0 and len(json.loads(out)[0]["top"]) == 5
    code, out, _ = run(capsys, "features", picture, *weights, "-o", tmp_path / "f.npz", "--json")
    assert code == 0 and np.load(tmp_path / "f.npz")["mean"].shape == (1, 48)
    code, out, _ = run(capsys, "trace", *weights, "--keep", "block1.token_mlp.*")
    assert code == 0 and "MixerBlock_{i}/token_mixing/Dense_0" in out
    code, out, _ = run(capsys, "inspect", PATH)
    assert code == 0 and "an MLP-Mixer" in out and "token_mlp" in out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["look"], "has no attention and no positions"),
        (["look", "--map", "lens"], "has no attention and no positions"),
        (["compare-maps"], "has no attention and no positions"),
        (["explore"], "has no attention and no positions"),
        (["film"], "has no attention and no positions"),
        (["classify", "--size", "64"], "reads 48×48 pixels, got 64×64: a Mixer cannot change resolution"),
        (["trace", "--size", "40x48"], "reads 48×48 pixels, got 40×48: a Mixer cannot change resolution"),
    ],
)
def test_what_a_mixer_cannot_do_is_one_clear_line_and_leaves_nothing_behind(
    command, message, capsys, picture, tmp_path
):
    name, *options = command
    output = {"explore": ["-o", tmp_path / "x.html"], "classify": [], "trace": []}.get(name, ["-o", tmp_path / "x.png"])
    code, out, err = run(capsys, name, picture, "--weights", PATH, *options, *output)
    assert code == 2 and not out and message in err and err.count("\n") == 1
    assert list(tmp_path.glob("x.*")) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven classes, a picture of each to train and to test."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for part in ("train", "test"):
        for name in "abcdefg":
            (root / part / name).mkdir(parents=True)
            Image.fromarray(rng.integers(0, 255, (20, 24, 3), np.uint8)).save(root / part / name / "0.png")
    return root


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["finetune", PATH, "--size", "64"], "a Mixer cannot change resolution"),
        (["eval", "--weights", PATH, "--size", "64"], "a Mixer cannot change resolution"),
        (["train", "--model", "Mixer-S/16", "--heads", "2"], "--heads: Mixer-S/16 has none"),
        (
            ["train", "--model", "Mixer-S/16", "--initial", "mimetic", "--batch", "4", "--warmup", "0"],
            "use initial vit_jax",
        ),
    ],
)
def test_learning_and_testing_refuse_what_a_mixer_is_not(arguments, message, capsys, folder, tmp_path):
    output = [] if arguments[0] == "eval" else ["--output", tmp_path / "run"]
    code, _, err = run(capsys, *arguments, "--data", folder, *output, "--tier", "ref")
    assert code == 2 and message in err and err.count("minivit: ") == 1
    assert not (tmp_path / "run").exists()


def test_a_mixer_is_trained_tested_and_tuned_by_the_commands(capsys, folder, tmp_path):
    sizes = ["--size", 16, "--patch", 8, "--width", 16, "--blocks", 1, "--mlp", 16]
    recipe = ["--data", folder, "--tier", "ref", "--steps", 2, "--batch", 4, "--parts", 1, "--warmup", 0, "--output"]
    code, _, err = run(
        capsys, "train", "--model", "Mixer-S/16", *sizes, *recipe, tmp_path / "run", "--initial", "vit_jax"
    )
    assert code == 0, err
    last = tmp_path / "run" / "last.safetensors"
    assert checkpoints.read(last).config.name == "Mixer-16/8"
    assert run(capsys, "eval", "--weights", last, "--data", folder)[0] == 0
    code, _, err = run(capsys, "finetune", last, *recipe, tmp_path / "tuned")
    assert code == 0, err
