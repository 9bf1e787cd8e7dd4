"""`minivit film`: through the blocks, over a folder, along a training run."""

import json

import numpy as np
import pytest
from PIL import Image, ImageSequence

from minivit import InputError
from minivit.cli import main
from minivit.viz import film
from minivit.viz.picture import draw

TOKEN = ["--weights", "tests/golden/vit__token/weights.npz"]  # 3 blocks, images of 64×64


def paint(path, colour, size=(64, 48)):
    Image.new("RGB", size, colour).save(path)
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "balloon.png"
    Image.fromarray(draw(64)).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "frames"
    found.mkdir()
    for number, colour in ((10, "teal"), (9, "orange"), (1, "purple")):
        paint(found / f"frame{number}.png", colour)
    (found / "notes.txt").write_text("no picture")
    return found


def run(capsys, *arguments):
    """The JSON of a film, which is written."""
    assert main(["film", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def frames(path):
    with Image.open(path) as image:
        return [np.array(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_a_film_of_an_image_has_a_frame_per_block(suffix, capsys, picture, tmp_path):
    place = tmp_path / f"film{suffix}"
    answer = run(capsys, picture, *TOKEN, "--map", "rollout", "-o", place)
    assert answer["frames"] == 3 and answer["fps"] == 2 and answer["output"] == str(place)
    found = frames(place)
    assert len(found) == 3 and len({frame.shape for frame in found}) == 1
    left = found[0].shape[1] // 2
    assert abs(found[0] - found[2])[:360, left + 10 :].max() > 20  # the maps of two blocks differ
    assert abs(found[0] - found[2])[8:368, 8 : left - 10].mean() < 8  # the picture beside them stays
    with Image.open(place) as image:
        assert image.info["loop"] == 0 and image.info["duration"] == 500


@pytest.mark.parametrize("suffix", [".gif", ".apng"])
def test_a_film_of_a_folder_has_its_pictures_in_the_order_of_their_numbers(suffix, capsys, folder, tmp_path):
    place = tmp_path / f"x{suffix}"
    answer = run(capsys, folder, *TOKEN, "--layer", 1, "--fps", 4, "-o", place)
    assert answer["frames"] == 3 and answer["fps"] == 4
    middle = [frame[180, 180].tolist() for frame in frames(place)]
    expected = ([128, 0, 128], [255, 165, 0], [0, 128, 128])  # purple, orange, teal: 1, 9, 10
    assert all(np.abs(np.subtract(a, b)).max() < 40 for a, b in zip(middle, expected, strict=True))


def test_a_film_of_a_training_run_shows_its_attention_pictures(capsys, tmp_path):
    drawn = tmp_path / "run" / "attention"
    drawn.mkdir(parents=True)
    for step, colour in ((20, "white"), (100, "black"), (3, "red")):
        paint(drawn / f"step_{step}.png", colour, (200, 100))
    answer = run(capsys, tmp_path / "run", "-o", tmp_path / "x.gif")  # no weights are needed
    assert answer["frames"] == 3
    assert [frame[50, 100].tolist() for frame in frames(tmp_path / "x.gif")] == [[255, 0, 0], [255] * 3, [0] * 3]


def test_all_frames_share_one_scale():
    low, high = film.shared_scale([np.linspace(0, 1, 101).reshape(1, -1), np.linspace(1, 2, 101).reshape(1, -1)])
    assert low == pytest.approx(0.02, abs=0.01) and high == pytest.approx(1.98, abs=0.01)
    low, high = film.shared_scale([np.array([[-1.0, 3.0]])])
    assert low == -high < 0  # signed numbers: 0 in the middle


def test_the_most_is_the_brightest_and_the_least_is_the_picture():
    rgb = np.full((4, 4, 3), 0.5)
    blended = film.blend(rgb, np.array([[0.0, 1.0]]), (0, 1)).astype(int)
    assert blended[0, 3].tolist() == pytest.approx([245, 223, 41], abs=15)  # the bright end of viridis
    assert abs(blended[0, 0] - 127).max() < 20


def test_people_get_one_line(capsys, picture, tmp_path):
    assert main(["film", str(picture), *TOKEN, "-o", str(tmp_path / "x.gif")]) == 0
    assert "3 frames, 2 per second" in capsys.readouterr().out


def test_a_film_is_never_half_written(picture, tmp_path):
    def broken():
        yield Image.new("RGB", (8, 8))
        raise InputError("the second picture is damaged")

    with pytest.raises(InputError, match="damaged"):
        film.write(tmp_path / "x.gif", broken(), 2, 5)
    assert not (tmp_path / "x.gif").exists()


WRONG = {
    "film is a .gif or an animated .png": ["{picture}", "-o", "x.mp4"],
    "there is no film of 'rolout'; did you mean 'rollout'": ["{picture}", "--map", "rolout"],
    "class 10 is out of range, expected 0 to 9": ["{picture}", "--map", "relevance", "--class", "10"],
    "--map attention takes no --class": ["{picture}", "--class", "3"],
    "--layer is for a folder of images": ["{picture}", "--layer", "1"],
    "layer 7 is out of range, expected 0 to 2": ["{folder}", "--layer", "7"],
    "expected more than 0 and at most 50 frames per second": ["{picture}", "--fps", "0"],
    "no such file": ["none.jpg"],
    "no pictures in it": ["{empty}"],
    "there is no folder missing": ["{picture}", "-o", "missing/x.gif"],
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_gets_one_line(message, capsys, picture, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    places = {"picture": picture, "folder": folder, "empty": tmp_path / "empty"}
    arguments = [argument.format(**places) for argument in WRONG[message]]
    assert main(["film", "-o", str(tmp_path / "film.gif"), *TOKEN, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1, err
    assert not (tmp_path / "film.gif").exists()


def test_a_training_run_takes_no_options_of_maps(capsys, tmp_path):
    (tmp_path / "run" / "attention").mkdir(parents=True)
    assert main(["film", str(tmp_path / "run"), "--layer", "1", "-o", str(tmp_path / "x.gif")]) == 2
    assert "its pictures are drawn, and take no --layer" in capsys.readouterr().err
    assert main(["film", str(tmp_path / "run"), "-o", str(tmp_path / "x.gif")]) == 2
    assert "no attention/step_*.png" in capsys.readouterr().err


def test_a_training_run_before_its_first_test_is_told_apart_from_a_folder_of_images(capsys, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    assert main(["film", str(tmp_path), "-o", str(tmp_path / "x.gif")]) == 2
    assert "draws the first at its first test" in capsys.readouterr().err


def test_too_many_frames_are_refused_before_the_first_is_made(tmp_path):
    with pytest.raises(InputError, match=r"1000 frames are too many for a film, expected at most 300; take one in 4"):
        film.write(tmp_path / "x.gif", iter(()), 1000, 8)
