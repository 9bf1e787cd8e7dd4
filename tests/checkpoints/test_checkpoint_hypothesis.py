"""Whatever the bytes of a file are, reading it succeeds or is refused with an InputError, says hypothesis."""

import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minivit import checkpoints
from minivit.errors import InputError
from minivit.image import read_pixels

relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
numbers = st.one_of(st.integers(-3, 40), st.integers(0, 2**70), st.floats(allow_nan=True), st.text(max_size=3))
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "F64", "I64", "F8_E4M3", "X", ""]),
        "shape": st.lists(numbers, max_size=4),
        "data_offsets": st.lists(numbers, min_size=0, max_size=3),
    }
)
names = st.one_of(st.text(max_size=5), st.sampled_from(["blocks.0.norm1.weight", "cls_token", "vit.layernorm.weight"]))
magics = st.sampled_from(
    [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"{", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"]
)


def survives(read, path):
    try:
        return read(path)
    except InputError as error:
        assert "\n" not in str(error)


@relaxed
@given(magics, st.binary(max_size=200))
@pytest.mark.parametrize("read", [checkpoints.describe, checkpoints.read, read_pixels])
def test_any_bytes_are_read_or_refused(read, tmp_path, magic, rest):
    (tmp_path / "file").write_bytes(magic + rest)
    survives(read, tmp_path / "file")


@relaxed
@given(st.dictionaries(names, entries, max_size=4), st.binary(max_size=64))
def test_any_safetensors_header_is_read_or_refused(tmp_path, header, data):
    text = json.dumps(header).encode()
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(text)) + text + data)
    survives(checkpoints.describe, tmp_path / "file")


@relaxed
@given(st.recursive(numbers | st.none() | st.booleans(), lambda x: st.dictionaries(names, x, max_size=3), max_leaves=6))
def test_any_config_json_is_read_or_refused(tmp_path, content):
    from safetensors.numpy import save_file

    (tmp_path / "config.json").write_text(json.dumps(content))
    if not (tmp_path / "model.safetensors").exists():
        import numpy as np

        save_file({"embeddings.cls_token": np.ones((1, 1, 4), np.float32)}, tmp_path / "model.safetensors")
    survives(checkpoints.describe, tmp_path)
