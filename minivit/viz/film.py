"""Films, written by Pillow as GIF or APNG: one map through the blocks, over a folder of frames, or as a model learned.

Every frame of a film has the same colour scale, which is written on it.  Of many pictures only the maps and the
finished frames are held at once, and a film has at most MOST of them.
"""

import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import replacing
from . import panels
from .explain import MAPS, explain
from .scene import Scene, silent

SIDE = 360  # pixels of the longer side of each picture in a frame
MOST = 300  # frames: Pillow needs them all at once, up to 1 MB each, to write the file
KINDS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG"}
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
NOT_ASKED = ("lens", "random")  # maps that are of every patch, not of one token's view of them
INK, PALE = (34, 34, 34), (187, 187, 187)


def shared_scale(maps):
    """(lowest, highest) of the colours of a film: the 1st and 99th percentile, around 0 if some values are negative.

    Of all values, as a single patch that draws everything would leave the rest dark.
    """
    # maps: arrays (rows,columns)
    values = np.concatenate([values.ravel() for values in maps])
    low, high = np.percentile(values, (1, 99))
    if values.min() < 0:
        high = max(abs(low), abs(high))
        low = -high
    return float(low), float(max(high, low + np.finfo(np.float32).tiny))


def blend(rgb, values, scale):
    """A map (rows,columns) over its picture (h,w,3) of 0 to 1, as `panels.overlay` draws it: uint8 (h,w,3)."""
    from matplotlib import colormaps

    low, high = scale
    place = np.clip((values - low) / (high - low), 0, 1)
    signed = low < 0
    colour = colormaps[panels.SIGNED if signed else panels.QUANTITY](place)[..., :3]
    alpha = 0.1 + 0.85 * (abs(2 * place - 1) if signed else place)[..., None]
    cell = rgb.shape[0] // values.shape[0], rgb.shape[1] // values.shape[1]
    colour, alpha = (x.repeat(cell[0], 0).repeat(cell[1], 1) for x in (colour, alpha))
    grey = rgb.mean(-1, keepdims=True)
    return ((grey * (1 - alpha) + colour * alpha) * 255).round().astype(np.uint8)


def frame(rgb, values, scale, lines, progress):
    """A Pillow image: the picture, the map over it, `lines` of text below, and how far the film is (0 to 1)."""
    from PIL import Image, ImageDraw

    pair = [Image.fromarray(x) for x in ((rgb * 255).round().astype(np.uint8), blend(rgb, values, scale))]
    zoom = SIDE / max(rgb.shape[:2])
    width, height = round(rgb.shape[1] * zoom), round(rgb.shape[0] * zoom)
    page = Image.new("RGB", (2 * width + 24, height + 32 + 18 * len(lines)), "white")
    for i, image in enumerate(pair):
        page.paste(image.resize((width, height), Image.Resampling.NEAREST), (8 + i * (width + 8), 8))
    draw, bottom, right = ImageDraw.Draw(page), height + 14, 2 * width + 16
    draw.rectangle((8, bottom, right, bottom + 3), fill=PALE)
    draw.rectangle((8, bottom, 8 + round(progress * (right - 8)), bottom + 3), fill=INK)
    for i, line in enumerate(lines):
        draw.text((8, bottom + 8 + 18 * i), line, fill=INK, font=_font(13))
    return page


def through_blocks(model, image, name="attention", target=None, size=None, progress=silent):
    """Frames of one map of one picture (a name of explain.MAPS), a frame per block; rollout and relevance: up to it.

    All maps are made before the first frame, as they share a scale; progress: called with (done, blocks) meanwhile.
    """
    scene = Scene.of(model, image, size)
    target = scene.target(target) if MAPS[name][1] else None
    count = model.config.blocks
    maps = []
    for layer in range(count):
        maps.append(explain(model, scene.pixels, (name,), target, layer)[1][name][0])
        progress(layer + 1, count)
    scale = shared_scale(maps)
    for layer, values in enumerate(maps):
        lines = _lines(scene, name, target, scale, f"block {layer} of 0 to {count - 1}")
        yield frame(scene.rgb, values, scale, lines, (layer + 1) / count)


def over_pictures(model, paths, name="attention", target=None, layer=None, size=None, progress=silent):
    """Frames of one map over many pictures of any size.  Each is read twice: for the common scale, and to be drawn.

    progress: called with (done, pictures) as they are read for the first time.
    """

    maps, targets = [], []
    for path in paths:
        scene = Scene.of(model, path, size)
        targets.append(scene.target(target) if MAPS[name][1] else None)
        maps.append(explain(model, scene.pixels, (name,), targets[-1], scene.layer(layer))[1][name][0])
        progress(len(maps), len(paths))
    scale = shared_scale(maps)
    for done, (path, values, chosen) in enumerate(zip(paths, maps, targets, strict=True), 1):
        scene = Scene.of(model, path, size)
        where = f"block {scene.layer(layer)}, {panels.short(Path(path).name, 30)}, {done} of {len(paths)}"
        yield frame(scene.rgb, values, scale, _lines(scene, name, chosen, scale, where), done / len(paths))


def _lines(scene, name, target, scale, where):
    what = f"{scene.name}: {name}" + ("" if name in NOT_ASKED else f" from {scene.describe()}")
    said = f" for {scene.label(target)}" if target is not None else ""
    return [what + said, where, f"colours of all frames: {scale[0]:.2g} … {scale[1]:.2g} (1st to 99th percentile)"]


def images(folder):
    """The pictures of a folder, in the order of the numbers in their names.  Raises InputError if there are none."""
    found = [path for path in Path(folder).iterdir() if path.suffix.lower() in PICTURES]
    if not found:
        raise InputError(f"{folder}: no pictures in it, expected {', '.join(PICTURES)}, or a run of `minivit train`")
    return sorted(found, key=_natural)


def training_pictures(folder):
    """The attention pictures of a training run, in the order of their steps.  Raises InputError if there are none."""
    found = list((Path(folder) / "attention").glob("step_*.png"))
    if not found:
        raise InputError(
            f"{folder}: no attention/step_*.png; a run of `minivit train` draws the first at its first test"
        )
    return sorted(found, key=_natural)


def _natural(path):
    # "frame10.png" comes after "frame9.png"
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)]


def pages(paths, widest=960):
    """Pictures as frames of one size, that of the last one; each is shrunk to fit and put on white."""
    from PIL import Image

    from ..image import read_pixels

    size = _fitting(read_pixels(paths[-1]).shape, widest)
    for path in paths:
        image = Image.fromarray(read_pixels(path))
        image.thumbnail(size, Image.Resampling.LANCZOS)
        page = Image.new("RGB", size, "white")
        page.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
        yield page


def kind_of(path):
    """ "GIF" or "PNG", by the name of a file.  Raises InputError for another."""
    kind = KINDS.get(Path(path).suffix.lower())
    if kind is None:
        raise InputError(f"cannot write {path}: a film is a .gif or an animated .png")
    return kind


def write(path, frames, count, fps, progress=silent):
    """Write `count` frames (any iterable of Pillow images of one size) as a GIF or APNG that repeats.

    progress: called with (done, count).  Raises InputError for a name that is neither, or too many frames.
    """
    kind = kind_of(path)
    if not 0 < fps <= 50:
        raise InputError(f"--fps {fps:g}: expected more than 0 and at most 50 frames per second")
    if count > MOST:
        raise InputError(
            f"{count} frames are too many for a film, expected at most {MOST}; take one in {-(-count // MOST)}"
        )
    made = []
    for image in frames:
        made.append(_few_colours(image) if kind == "GIF" else image)  # an APNG has one palette, so it gets none
        progress(len(made), count)
    options = {"save_all": True, "append_images": made[1:], "duration": round(1000 / fps), "loop": 0}
    with replacing(path) as temporary:
        made[0].save(temporary, kind, **options)


def _few_colours(image):
    from PIL import Image

    return image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _fitting(shape, widest):
    scale = min(1, widest / max(shape[:2]))
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def _font(size):
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
