"""Google's .npz: published, Linen, big_vision and optimizer spellings all become the same tree."""

import re

import numpy as np
import pytest
from checkpoint_files import assert_same_tree, flat, golden_arrays, golden_path, save_npz, save_safetensors, tiny_jax

from minivit import checkpoints, params
from minivit.config import GOOGLE, variant
from minivit.errors import InputError

#       case: classes, heads, pool, prefix, representation, (patch, width, blocks, mlp), image side, parameters
GOLDEN = {
    "vit__token": (10, 3, "token", 1, None, (16, 96, 3, 192), 64, 301_066),
    "vit__gap": (10, 4, "gap", 0, None, (16, 64, 2, 128), 96, 119_242),
    "vit__headless": (None, 4, "token", 1, None, (16, 64, 2, 128), 48, 116_992),
    "vit__unpooled": (10, 4, "gap", 0, None, (16, 64, 2, 128), 64, 117_962),
    "vit__token_unpooled": (10, 2, "token", 1, None, (16, 64, 2, 128), 64, 118_090),
    "vit__token_representation": (10, 4, "token", 1, 48, (16, 64, 2, 128), 64, 121_050),
    "vit__patch8": (10, 3, "token", 1, None, (8, 72, 2, 144), 64, 104_050),
    "vit__patch32": (10, 3, "token", 1, None, (32, 48, 3, 96), 96, 205_498),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_the_config_is_read_from_the_shapes(case):
    checkpoint = checkpoints.read(golden_path(case))
    config = checkpoint.config
    classes, heads, pool, prefix, representation, sizes, side, parameters = GOLDEN[case]
    assert (config.patch, config.width, config.blocks, config.mlp) == sizes
    assert (config.classes, config.heads, config.pool) == (classes, heads, pool)
    assert (config.prefix, config.representation, config.image) == (prefix, representation, (side, side))
    assert (config.gelu, config.eps, config.position_resize) == ("tanh", 1e-6, "corner_bilinear")
    assert config.preprocess == GOOGLE
    assert (checkpoint.family, checkpoint.layout, checkpoint.labels) == ("vit", "vit_jax npz", None)
    assert (checkpoint.dtypes, checkpoint.parameters, checkpoint.warnings) == (("float32",), parameters, [])


@pytest.mark.parametrize("case", GOLDEN)
def test_every_number_of_the_file_is_in_the_tree_once(case):
    stored, read = golden_arrays(case), flat(golden_path(case))
    assert {name: array.shape for name, array in read.items()} == params.shapes(
        checkpoints.read(golden_path(case)).config
    )
    together = [np.sort(np.concatenate([a.ravel() for a in arrays.values()])) for arrays in (stored, read)]
    np.testing.assert_array_equal(*together)


def test_qkv_columns_are_the_stored_query_key_and_value_kernels():
    stored, read = golden_arrays("vit__token"), flat(golden_path("vit__token"))
    attention = "Transformer/encoderblock_2/MultiHeadDotProductAttention_1"
    for i, part in enumerate(("query", "key", "value")):
        columns = slice(96 * i, 96 * (i + 1))
        kernel, bias = stored[f"{attention}/{part}/kernel"], stored[f"{attention}/{part}/bias"]
        np.testing.assert_array_equal(read["blocks.2.attn.qkv.w"][:, columns], kernel.reshape(96, 96))
        np.testing.assert_array_equal(read["blocks.2.attn.qkv.b"][columns], bias.ravel())


def test_rows_of_the_attention_output_are_the_heads_side_by_side():
    kernel = golden_arrays("vit__token")["Transformer/encoderblock_1/MultiHeadDotProductAttention_1/out/kernel"]
    read = flat(golden_path("vit__token"))["blocks.1.attn.out.w"]
    np.testing.assert_array_equal(read[32:64], kernel[1])  # head 1 of width 32


@pytest.mark.parametrize(
    ("ours", "theirs"),
    {
        "embed.w": "embedding/kernel",
        "embed.prefix": "cls",
        "embed.position": "Transformer/posembed_input/pos_embedding",
        "blocks.0.ln1.scale": "Transformer/encoderblock_0/LayerNorm_0/scale",
        "blocks.0.ln2.bias": "Transformer/encoderblock_0/LayerNorm_2/bias",
        "blocks.2.mlp.fc1.w": "Transformer/encoderblock_2/MlpBlock_3/Dense_0/kernel",
        "blocks.2.mlp.fc2.b": "Transformer/encoderblock_2/MlpBlock_3/Dense_1/bias",
        "norm.scale": "Transformer/encoder_norm/scale",
        "head.w": "head/kernel",
    }.items(),
)
def test_a_parameter_has_the_numbers_stored_under_its_official_name(ours, theirs):
    np.testing.assert_array_equal(flat(golden_path("vit__token"))[ours], golden_arrays("vit__token")[theirs])


def linen(arrays):
    return {re.sub(r"Norm_2", "Norm_1", re.sub(r"(Attention|MlpBlock)_\d", r"\1_0", n)): a for n, a in arrays.items()}


def beside_an_optimizer(arrays):
    state = {"opt/state/step": np.int64(7), "opt/state/param_states/cls/momentum": arrays["cls"]}
    return {f"opt/target/{name}": array for name, array in arrays.items()} | state


def with_old_norms(arrays):
    norm = re.compile(r"(LayerNorm_\d|encoder_norm)/(scale|bias)$")
    return {n: a.reshape(1, 1, 1, -1) if norm.search(n) else a for n, a in arrays.items()}


def scanned(arrays):
    """big_vision: all blocks in one array."""
    blocks = {}
    for name, array in sorted(linen(arrays).items()):
        blocks.setdefault(re.sub(r"encoderblock_\d+", "encoderblock", name), []).append(array)
    return {name: np.stack(a) if "encoderblock/" in name else a[0] for name, a in blocks.items()}


def with_root_positions(arrays):
    moved = "Transformer/posembed_input/pos_embedding"
    return {name.replace(moved, "pos_embedding"): array for name, array in arrays.items()}


SPELLINGS = {
    "Linen names": linen,
    "a params/ prefix": lambda arrays: {f"params/{name}": array for name, array in arrays.items()},
    "optimizer state": beside_an_optimizer,
    "norms of shape (1,1,1,D)": with_old_norms,
    "one array for all blocks": scanned,
    "positions at the root": with_root_positions,
    "big-endian numbers": lambda arrays: {name: array.astype(">f4") for name, array in arrays.items()},
    "Fortran order": lambda arrays: {name: np.asfortranarray(array) for name, array in arrays.items()},
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
def test_every_spelling_gives_the_same_tree(spelling, compressed, tmp_path):
    path = save_npz(tmp_path / "weights.npz", SPELLINGS[spelling](golden_arrays("vit__token")), compressed)
    assert_same_tree(flat(path), flat(golden_path("vit__token")))


def test_the_container_does_not_matter(tmp_path):
    path = save_safetensors(tmp_path / "weights.safetensors", golden_arrays("vit__token"))
    assert_same_tree(flat(path), flat(golden_path("vit__token")))


def test_the_suffix_does_not_matter(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(golden_path("vit__gap").read_bytes())
    assert_same_tree(flat(path), flat(golden_path("vit__gap")))


def test_ten_blocks_are_in_numerical_order(tmp_path):
    arrays = tiny_jax()
    block = {name: array for name, array in arrays.items() if "encoderblock_0" in name}
    for i in range(1, 12):
        arrays |= {n.replace("encoderblock_0", f"encoderblock_{i}"): np.full_like(a, i) for n, a in block.items()}
    read = flat(save_npz(tmp_path / "weights.npz", arrays))
    assert [read[f"blocks.{i}.mlp.fc1.b"][0] for i in range(1, 12)] == list(range(1, 12))


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    arrays = golden_arrays("vit__headless")
    halves = {name: (array.view(np.uint32) >> 16).astype(np.uint16).view("V2") for name, array in arrays.items()}
    shortened = {name: (array.view(np.uint32) & 0xFFFF0000).view(np.float32) for name, array in arrays.items()}
    path = save_npz(tmp_path / "bfloat16.npz", halves)
    assert checkpoints.read(path).dtypes == ("bfloat16",)
    assert_same_tree(flat(path), flat(save_npz(tmp_path / "float32.npz", shortened)))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_float_types_are_kept(dtype, tmp_path):
    path = save_npz(tmp_path / "weights.npz", {name: array.astype(dtype) for name, array in tiny_jax().items()})
    assert {array.dtype for array in flat(path).values()} == {np.dtype(dtype)}
    assert checkpoints.read(path).dtypes == (np.dtype(dtype).name,)


def test_ignored_optimizer_state_is_mentioned(tmp_path):
    path = save_npz(tmp_path / "weights.npz", beside_an_optimizer(tiny_jax()))
    assert checkpoints.read(path).warnings == ["2 arrays beside the model (optimizer state) are ignored"]


def test_a_position_table_without_class_row_gets_a_zero_row(tmp_path):
    arrays = tiny_jax()
    name = "Transformer/posembed_input/pos_embedding"
    table = arrays[name] = arrays[name][:, 1:]
    position = flat(save_npz(tmp_path / "weights.npz", arrays))["embed.position"]
    np.testing.assert_array_equal(position, np.concatenate([np.zeros((1, 1, 4)), table], axis=1))


def test_a_position_table_that_is_not_square_asks_for_the_image_size(tmp_path):
    arrays = tiny_jax()
    arrays["Transformer/posembed_input/pos_embedding"] = np.ones((1, 7, 4), np.float32)
    path = save_npz(tmp_path / "weights.npz", arrays)
    with pytest.raises(InputError, match=r"6 patches, which is not a square grid; give image=…"):
        checkpoints.read(path)
    assert checkpoints.read(path, image=(4, 6)).config.grid == (2, 3)


def test_the_pool_of_unpooled_files_can_be_given():
    assert checkpoints.read(golden_path("vit__unpooled"), pool="unpooled").config.pool == "unpooled"


def test_an_all_zero_head_is_mentioned(tmp_path):
    arrays = tiny_jax()
    arrays["head/kernel"] = np.zeros((4, 2), np.float32)
    assert "all zeros" in checkpoints.read(save_npz(tmp_path / "weights.npz", arrays)).warnings[0]


def with_shapes(config, path):
    """A file that only claims to have the arrays of a config: zeros compress well, and nothing is read."""
    rules = checkpoints.vit_jax.RULES
    wanted = checkpoints.rules.expected(rules, config)
    return save_npz(
        path, {n: np.zeros(s, np.float16) for names, s, _ in wanted.values() for n in names}, compressed=True
    )


@pytest.mark.parametrize("name", ["ViT-Ti/16", "ViT-S/16-gap-norep"])
def test_published_sizes_have_their_published_name(name, tmp_path):
    checkpoint = checkpoints.read(with_shapes(variant(name), tmp_path / "weights.npz"))
    assert checkpoint.config == variant(name)


def test_other_sizes_are_named_by_themselves():
    assert checkpoints.read(golden_path("vit__token")).config.name == "ViT (width 96, 3 blocks, patch 16)"


def test_a_given_name_is_kept():
    assert checkpoints.read(golden_path("vit__token"), name="mine").config.name == "mine"
