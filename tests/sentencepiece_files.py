"""A SentencePiece .model from a list of [piece, score], written as protocol buffers by hand.

The published LiT demo has its vocabulary as such a list (vocabulary.json); the field numbers are those of
sentencepiece_model.proto.
"""

import struct

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
KINDS = {"<pad>": CONTROL, "</s>": CONTROL, "<s>": CONTROL, "<unk>": UNKNOWN}
BPE = 2


def model_file(pieces, normaliser="nfkc"):
    """The bytes of a byte-pair-encoding model with byte fallback: 0 <pad>, 1 </s>, 2 <unk>, 3 <s>."""
    numbers = {name: i for i, (name, _) in enumerate(pieces)}
    trainer = _whole(3, BPE) + _whole(4, len(pieces)) + _whole(35, int("<0x00>" in numbers))
    for field, name in ((40, "<unk>"), (41, "<s>"), (42, "</s>"), (43, "<pad>")):
        trainer += _whole(field, numbers[name])
    normal = _bytes(1, normaliser.encode()) + _whole(3, 1) + _whole(4, 0) + _whole(5, 1)
    listed = b"".join(_bytes(1, _piece(*piece)) for piece in pieces)
    return listed + _bytes(2, trainer) + _bytes(3, normal)


def _piece(name, score):
    kind = BYTE if name.startswith("<0x") else KINDS.get(name, NORMAL)
    return _bytes(1, name.encode()) + _key(2, 5) + struct.pack("<f", score) + _whole(3, kind)


def _bytes(field, content):
    return _key(field, 2) + _varint(len(content)) + content


def _whole(field, number):
    return _key(field, 0) + _varint(number)


def _key(field, wire_type):
    return _varint(field << 3 | wire_type)


def _varint(number):
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])
