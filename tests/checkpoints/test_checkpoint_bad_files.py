"""Files that are not what they claim to be: one clear line, no traceback, nothing allocated, nothing run."""

import json
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
from checkpoint_files import (
    TINY_HF_CONFIG,
    golden_path,
    raw_safetensors,
    save_huggingface,
    save_npz,
    save_safetensors,
    tiny_huggingface,
    tiny_jax,
)

from minivit import checkpoints
from minivit.errors import InputError


def refused(path, **overrides):
    """The message with which reading a checkpoint ends."""
    with pytest.raises(InputError) as caught:
        checkpoints.read(path, **overrides).params()
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- what is there at all -------------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    assert refused(tmp_path / "none.npz").startswith(f"{tmp_path}/none.npz: no such file; expected .npz")


def test_a_folder_without_checkpoint_says_what_it_holds(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert "expected model.safetensors; it holds pytorch_model.bin" in refused(tmp_path)


def test_a_path_that_no_file_can_have_is_refused():
    assert re.search("cannot be read|no such file", refused("a\0b.npz"))  # which of them depends on Python


def test_a_device_is_not_read():
    assert "not a regular file" in refused("/dev/zero")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"hello world", "not a format minivit knows"),
        (pickle.dumps([1.0], 4), "a Python pickle, which can run code when loaded"),
        (b"\x93NUMPY\x01\0", "one .npy array"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"GGUF\3\0\0\0", "a GGUF file"),
        (b'{"a": 1}', "a JSON file without a weight_map"),
        (b"{", "not readable as JSON"),
    ],
)
def test_other_content_is_recognised_whatever_the_suffix(content, what, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert what in refused(path)


def test_a_checkpoint_of_another_model_says_what_it_holds(tmp_path):
    path = save_npz(tmp_path / "a.npz", {"conv1/w": np.ones(3, np.float32)})
    assert "expected a ViT of vit_jax, Hugging Face or timm, it holds 'conv1/w' …" in refused(path)


# ---- .npz -----------------------------------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("pickled code was run",))


def test_a_pickled_array_is_refused_and_not_run(tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax() | {"cls": np.array([Bomb()], object)})
    assert "'cls.npy' is pickled data, which can run code when loaded, and is refused" in refused(path)


def test_a_pytorch_zip_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    assert "a PyTorch pickle, which can run code when loaded" in refused(path)


@pytest.mark.parametrize("dtype", ["V4", "U3", "S2", "M8[s]", "c8", [("a", "f4")]])
def test_members_that_are_not_numbers_are_refused(dtype, tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax() | {"cls": np.zeros(2, dtype)})
    assert re.search(r"'cls\.npy' has dtype .*, expected numbers|does not start with a", refused(path))


def test_integer_weights_are_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax() | {"embedding/bias": np.zeros(4, np.int64)})
    assert "'embedding/bias' is stored as int64, expected float16" in refused(path)


def test_a_truncated_zip_is_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax())
    path.write_bytes(path.read_bytes()[:-30])
    assert "not a complete .npz file, the zip directory at its end is missing or damaged" in refused(path)


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
def test_a_flipped_bit_in_the_numbers_is_found(compressed, tmp_path):
    numbers = np.random.default_rng(0).standard_normal(10_000)
    path = save_npz(tmp_path / "a.npz", {"embedding/kernel": numbers}, compressed)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    stored = checkpoints.files.open_source(path).arrays["embedding/kernel"]
    with pytest.raises(InputError, match="'embedding/kernel' cannot be read"):
        stored.read()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("cls.npy", archive.read("cls.npy"))
    assert "'cls' is stored twice, expected every array once" in refused(path)


def test_a_member_that_is_no_array_is_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
    assert "member 'readme.txt' is not a .npy array" in refused(path)


def test_other_compressions_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("cls.npy", b"0" * 1000)
    assert "compressed in a way that NumPy does not write" in refused(path)


def npy(shape, data=b"", descr="<f4"):
    """A .npy file whose header claims a shape."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "shape", [(1 << 40,), (1 << 20, 1 << 20, 1 << 20, 1 << 20), (-1, -4), (10**300,), (3,)], ids=repr
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_a_header_that_claims_other_bytes_than_there_are_is_refused(shape, compression, tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("cls.npy", npy(shape, bytes(16)))
    assert "'cls.npy' claims shape" in refused(path)


@pytest.mark.parametrize("header", ["()", "[[]]", "{[]: 1}", "(" * 500, "b''.x", "{'descr': ()}", "{'descr': 'O'"])
def test_a_header_that_is_no_header_is_refused(header, tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cls.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode())
    assert "'cls.npy' does not start with a .npy header or has a wrong checksum" in refused(path)


def in_directory(path, offset, value):
    """Overwrite four bytes of the first entry of the zip directory."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.start_dir + offset
    data[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(data)


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
def test_a_zip_directory_that_claims_gigabytes_is_refused(compressed, tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax(), compressed)
    in_directory(path, 24, 3 << 30)  # uncompressed size
    assert "member 'cls.npy' claims 3221225472 bytes" in refused(path)


def test_a_zip_directory_that_claims_more_than_the_file_is_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax())
    in_directory(path, 20, 3 << 30)  # compressed size
    assert "the zip directory claims more than the" in refused(path)


def test_a_deflated_member_that_is_longer_than_it_claims_is_refused(tmp_path):
    path = save_npz(tmp_path / "a.npz", {"embedding/kernel": np.zeros(10_000, np.float32)}, compressed=True)
    in_directory(path, 24, 20_000)  # uncompressed size
    assert "'embedding/kernel.npy' claims shape (10000,) of float32, but 19872 bytes follow" in refused(path)


def test_too_many_members_are_refused_before_they_are_opened(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(10_001):
            archive.writestr(f"{i}.npy", b"")
    assert "10001 arrays, expected a checkpoint with at most 10000" in refused(path)


# ---- safetensors ----------------------------------------------------------------------------------------------------

A = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (raw_safetensors({}, length=1 << 60), "its header claims 1152921504606846976 bytes"),
        (raw_safetensors({}, length=200_000_000), "its header claims 200000000 bytes"),
        (raw_safetensors({"a": A}, bytes(4))[:40], "32 follow"),
        (raw_safetensors({"a": A}, bytes(3)), "not a complete safetensors file"),
        (raw_safetensors({"a": A}, bytes(5)), "not a complete safetensors file"),
        (raw_safetensors({"a": A, "b": A}, bytes(4)), "not a complete safetensors file"),
        (raw_safetensors({"a": A, "b": {**A, "data_offsets": [8, 12]}}, bytes(12)), "not a complete safetensors file"),
        (raw_safetensors({"a": {**A, "data_offsets": [0, 1 << 60]}}, bytes(4)), "not a complete safetensors file"),
        (raw_safetensors({"a": {**A, "shape": [1 << 60]}}, bytes(4)), "not a complete safetensors file"),
        (raw_safetensors({"a": {**A, "shape": [1 << 40] * 3}}, bytes(4)), "not a complete safetensors file"),
        (raw_safetensors({"a": {**A, "shape": [-1]}}, bytes(4)), "not a complete safetensors file"),
        (raw_safetensors({"a": {**A, "dtype": "F31"}}, bytes(4)), "not a complete safetensors file"),
        (raw_safetensors({"a": {**A, "dtype": "F8_E5M2", "shape": [4]}}, bytes(4)), "'a' is stored as F8_E5M2"),
        (raw_safetensors({"a": [1]}, bytes(4)), "not a complete safetensors file"),
        (raw_safetensors(b'{"a":' * 100_000), "the safetensors header is not JSON"),
        (raw_safetensors(b'{"a": "\xff"}'), "the safetensors header is not JSON"),
        (raw_safetensors(b'{"a": ' + json.dumps(A).encode() + b', "a": ' + json.dumps(A).encode() + b"}", bytes(4)),
         "the safetensors header names 'a' twice"),
    ],
)  # fmt: skip
def test_a_false_safetensors_header_is_refused(content, message, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert message in refused(path)


def test_integer_tensors_are_refused_as_weights(tmp_path):
    arrays = tiny_huggingface() | {"classifier.bias": np.zeros(2, np.int64)}
    folder = save_huggingface(tmp_path / "vit", arrays, TINY_HF_CONFIG)
    assert "'classifier.bias' is stored as int64, expected float16" in refused(folder)


def test_bfloat16_is_widened_to_float32(tmp_path):
    header = {"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw_safetensors(header, struct.pack("<HH", 0x3F80, 0xC040)))
    stored = checkpoints.files.open_source(path).arrays["a"]
    assert (stored.dtype, stored.read().dtype, stored.read().tolist()) == ("bfloat16", np.float32, [1, -3])


def test_numbers_that_are_not_aligned_are_copied(tmp_path):
    header = {
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [1, 5]},
    }
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw_safetensors(json.dumps(header).ljust(160).encode(), b"\1" + struct.pack("<f", 1.5)))
    numbers = checkpoints.files.open_source(path).arrays["b"].read()
    assert numbers.flags.aligned
    assert numbers.tolist() == [1.5]


# ---- shards ---------------------------------------------------------------------------------------------------------


def indexed(folder, weight_map):
    save_huggingface(folder, tiny_huggingface(), TINY_HF_CONFIG, "shard.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("shard", ["../x.safetensors", "/etc/passwd", "a/b", "..", "", "a\\b", "C:x", "a\0"])
def test_a_shard_outside_the_folder_is_refused(shard, tmp_path):
    assert "lies outside the folder, expected a plain file name" in refused(indexed(tmp_path / "f", {"a": shard}))


def test_a_missing_shard_is_named(tmp_path):
    assert "shard 'other.safetensors' is missing" in refused(indexed(tmp_path / "f", {"a": "other.safetensors"}))


def test_a_tensor_that_its_shard_lacks_is_named(tmp_path):
    weight_map = dict.fromkeys([*tiny_huggingface(), "more"], "shard.safetensors")
    assert "'more' is not in 'shard.safetensors'" in refused(indexed(tmp_path / "f", weight_map))


def test_a_tensor_that_the_index_does_not_list_is_named(tmp_path):
    weight_map = dict.fromkeys(list(tiny_huggingface())[1:], "shard.safetensors")
    assert "the index does not place it there" in refused(indexed(tmp_path / "f", weight_map))


@pytest.mark.parametrize("weight_map", [None, [], {"a": 1}, {"a": None}])
def test_a_weight_map_that_is_none_is_refused(weight_map, tmp_path):
    assert "a JSON file without a weight_map" in refused(indexed(tmp_path / "f", weight_map))


# ---- tensors that do not fit ----------------------------------------------------------------------------------------


def without(arrays, *names):
    return {name: array for name, array in arrays.items() if name not in names}


def test_a_missing_tensor_is_named_with_its_shape(tmp_path):
    path = save_npz(tmp_path / "a.npz", without(tiny_jax(), "Transformer/encoder_norm/bias"))
    message = refused(path)
    assert "expected 'Transformer/encoder_norm/bias' of shape (4,) for ViT (width 4, 1 blocks, patch 2)" in message
    assert f"`minivit inspect {path}` shows what it holds" in message


def test_a_misspelt_tensor_is_named_with_the_nearest_one(tmp_path):
    arrays = tiny_jax()
    arrays["Transformer/encoder_nrom/bias"] = arrays.pop("Transformer/encoder_norm/bias")
    message = refused(save_npz(tmp_path / "a.npz", arrays))
    assert "it is missing; did you mean 'Transformer/encoder_nrom/bias'?" in message


def test_a_superfluous_tensor_is_named_with_the_nearest_one(tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax() | {"head/biases": np.ones(2, np.float32)})
    assert "'head/biases' of shape (2,) is not part of ViT (width 4" in refused(path)
    assert "did you mean 'head/bias'?" in refused(path)


def test_a_misshapen_tensor_is_named_with_both_shapes(tmp_path):
    name = "Transformer/encoderblock_0/MlpBlock_3/Dense_1/kernel"
    path = save_npz(tmp_path / "a.npz", tiny_jax() | {name: np.ones((4, 3), np.float32)})
    assert f"'{name}' has shape (4, 3), expected (4, 4)" in refused(path)


@pytest.mark.parametrize("name", ["embedding/kernel", "head/kernel", "Transformer/posembed_input/pos_embedding"])
def test_a_tensor_that_tells_sizes_must_have_the_right_axes(name, tmp_path):
    path = save_npz(tmp_path / "a.npz", tiny_jax() | {name: np.ones(4, np.float32)})
    assert re.search(f"'{name}' has shape .4,., expected . axes", refused(path))


def test_a_missing_block_is_not_overlooked(tmp_path):
    arrays = {name.replace("encoderblock_0", "encoderblock_1"): array for name, array in tiny_jax().items()}
    assert "expected a tensor 'Transformer/encoderblock_0/" in refused(save_npz(tmp_path / "a.npz", arrays))


def test_blocks_in_one_array_and_singly_are_refused(tmp_path):
    arrays = tiny_jax() | {"Transformer/encoderblock/LayerNorm_0/bias": np.ones((1, 4), np.float32)}
    assert "are both there, expected one of them" in refused(save_npz(tmp_path / "a.npz", arrays))


def test_an_absurd_number_of_stacked_blocks_is_refused(tmp_path):
    arrays = tiny_jax() | {"Transformer/encoderblock/LayerNorm_0/bias": np.ones((100_000, 4), np.float32)}
    assert "expected 1 to 1000 blocks as first axis" in refused(save_npz(tmp_path / "a.npz", arrays))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named_and_counted(value, tmp_path):
    arrays = tiny_jax()
    arrays["head/kernel"][1:3] = value
    path = save_npz(tmp_path / "a.npz", arrays)
    assert refused(path) == f"{path}: head.w: 4 of 8 weights are NaN or infinite, expected finite numbers"


# ---- overrides ------------------------------------------------------------------------------------------------------


def test_an_unknown_field_is_named_with_the_nearest_one():
    assert "no field 'head'; did you mean 'heads'" in refused(golden_path("vit__token"), head=3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"heads": 5}, "width 96 is not a multiple of 5 heads"),
        ({"heads": 4}, "has shape (96, 3, 32), expected (96, 4, 24)"),
        ({"heads": "3"}, "a value of the wrong kind"),
        ({"image": 64}, "a value of the wrong kind"),
        ({"image": (64,)}, "a value of the wrong kind"),
        ({"pool": "tokens"}, "unknown pool 'tokens'; did you mean 'token'"),
        ({"blocks": 10**9}, "expected 1000000000 blocks, but there are only 56 tensors"),
        ({"width": 10**9, "heads": 1}, "expected (16, 16, 3, 1000000000)"),
        ({"classes": None}, "'head/bias' of shape (10,) is not part of"),
    ],
)
def test_a_field_that_does_not_fit_the_file_is_named(overrides, message):
    assert message in refused(golden_path("vit__token"), **overrides)


def test_arrays_in_memory_are_checked_like_a_file():
    with pytest.raises(InputError, match="mine: expected 'head/bias'"):
        checkpoints.from_arrays(without(tiny_jax(), "head/bias"), "mine")


def test_arrays_in_memory_read_no_config_json(tmp_path, monkeypatch):
    save_huggingface(tmp_path, tiny_huggingface(), TINY_HF_CONFIG)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"needs its config\.json"):
        checkpoints.from_arrays(tiny_huggingface(), "mine")


def test_a_safetensors_file_of_unknown_names_is_refused(tmp_path):
    path = save_safetensors(tmp_path / "a.safetensors", {"w": np.ones(2, np.float32)})
    assert "it holds 'w' …" in refused(path)
