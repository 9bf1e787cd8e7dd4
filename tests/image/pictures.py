"""Small pictures for the tests: one valid file per format, and PNG files that Pillow itself would not write."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

GOLDEN = Path(__file__).parents[1] / "golden"

_ROWS, _COLUMNS = np.indices((24, 20))
PIXELS = np.stack([9 * _ROWS, 200 - 7 * _COLUMNS, 5 * (_ROWS + _COLUMNS)], axis=-1).astype(np.uint8)  # no symmetry


def encode(picture, form, **options):
    """The bytes of a file of that format."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def exif(orientation):
    """An EXIF block that holds this orientation."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def png(width, height, bits, colour, rows):
    """A PNG file from raw rows (each with its filter byte); with few rows, a file whose header promises more."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def npy(array):
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def samples():
    """{file name: bytes}, one small valid file for every format and for the usual variants of it."""
    rgb = Image.fromarray(PIXELS)
    palette = rgb.quantize(16)
    return {
        "baseline.jpg": encode(rgb, "JPEG", exif=exif(6)),
        "progressive.jpg": encode(rgb, "JPEG", progressive=True),
        "rgb.png": encode(rgb, "PNG", exif=exif(3)),
        "palette.png": encode(palette, "PNG", transparency=b"\x00\x80\xff"),
        "animation.gif": encode(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
        "rgb.bmp": encode(rgb, "BMP"),
        "plain.tif": encode(rgb, "TIFF"),
        "lzw.tif": encode(rgb, "TIFF", compression="tiff_lzw"),
        "lossy.webp": encode(rgb, "WEBP", exif=exif(8)),
        "lossless.webp": encode(rgb, "WEBP", lossless=True),
        "rgb.ppm": encode(rgb, "PPM"),
        "pixels.npy": npy(PIXELS),
    }
