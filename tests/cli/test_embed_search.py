"""`minivit embed` and `minivit search`: images and texts to points, and back to what is near."""

import json
from pathlib import Path

import numpy as np
import pytest
from lit_files import BERT, SMALL, write_lit, write_pictures

import minivit
from minivit import search
from minivit.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    for config in (BERT, SMALL):
        write_lit(folder, config)
    write_pictures(folder / "pictures")
    (folder / "pictures" / "broken.png").write_bytes(b"not a picture")
    (folder / "texts.txt").write_text("a cat\na dog\nred\n", encoding="utf-8")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def run(place, monkeypatch, capsys):
    monkeypatch.chdir(place)

    def run(*arguments):
        code = main(list(map(str, arguments)))
        return code, *capsys.readouterr()

    return run


LIT = ("--weights", "LiT-bert.npz")


@pytest.fixture
def images(run):
    run("embed", "pictures", *LIT, "-o", "images.npz")
    return search.read("images.npz")


@pytest.fixture
def texts(run):
    run("embed", "--texts", "texts.txt", *LIT, "-o", "texts.npz")
    return search.read("texts.npz")


def test_embed_takes_a_folder_and_skips_what_it_cannot_read_with_a_warning(run):
    code, out, err = run("embed", "pictures", *LIT, "-o", "some.npz", "--json")
    told = json.loads(out)
    assert code == 0 and (told["count"], told["skipped"], told["numbers"], told["kind"]) == (6, 1, 32, "image")
    assert "skipped: pictures/broken.png: not an image" in err and err.count("\n") == 1
    found, model = search.read("some.npz"), minivit.load("LiT-bert.npz")
    assert found.names == [f"pictures/{i}.png" for i in range(6)] and found.weights == "LiT-bert.npz"
    np.testing.assert_allclose(found.vectors[4:5], model.embed_images("pictures/4.png"), atol=1e-6)


def test_embed_takes_texts_by_a_lit_model(run):
    code, out, _ = run(
        "embed", "--text", "a cat", "--texts", "texts.txt", "--weights", "LiT-small.npz", "-o", "some.npz"
    )
    found = search.read("some.npz")
    assert code == 0 and "4 texts as 32 numbers" in out and found.kind == "text"
    assert found.names == ["a cat", "a cat", "a dog", "red"]
    np.testing.assert_allclose(found.vectors[2:3], minivit.load("LiT-small.npz").embed_texts("a dog"), atol=1e-6)


def test_embed_takes_images_by_any_model(run):
    code, _, _ = run("embed", "pictures/0.png", "pictures/1.png", "--model", "demo", "-o", "some.npz")
    found = search.read("some.npz")
    assert code == 0 and found.model == "demo" and found.vectors.shape == (2, 64)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-6)
    code, out, _ = run("search", "some.npz", "--image", "pictures/1.png", "--json")
    assert code == 0 and json.loads(out)[0]["found"][0]["name"] == "pictures/1.png"


def test_an_image_finds_itself_first_and_texts_find_the_images_of_the_largest_cosine(run, images):
    code, out, _ = run("search", "images.npz", "--image", "pictures/3.png", "--text", "a cat", "--top", 4, "--json")
    by_image, by_text = json.loads(out)
    assert code == 0 and (by_image["kind"], by_text["kind"]) == ("image", "text")
    assert by_image["found"][0]["name"] == "pictures/3.png"
    assert by_image["found"][0]["cosine"] == pytest.approx(1, abs=1e-5)
    cosines = images.vectors @ minivit.load("LiT-bert.npz").embed_texts("a cat")[0]
    assert [row["place"] for row in by_text["found"]] == np.argsort(-cosines)[:4].tolist()


def test_what_is_like_one_of_the_file_needs_no_model_and_leaves_it_out(run, images):
    Path("LiT-bert.npz").rename("away.npz")
    try:
        code, out, _ = run("search", "images.npz", "--like", "pictures/2.png", "--top", 5, "--json")
    finally:
        Path("away.npz").rename("LiT-bert.npz")
    names = [row["name"] for row in json.loads(out)[0]["found"]]
    assert code == 0 and len(names) == 5 and "pictures/2.png" not in names


def test_images_find_texts(run, texts):
    code, out, _ = run("search", "texts.npz", "--image", "pictures/0.png", "--json")
    assert code == 0 and {row["name"] for row in json.loads(out)[0]["found"]} == {"a cat", "a dog", "red"}


def test_for_people_it_prints_a_table_and_draws_a_contact_sheet(run, images):
    code, out, _ = run("search", "images.npz", "--text", "a dog", "--image", "pictures/0.png", "--top", 3)
    assert code == 0 and "cosine" in out and "6 images by LiT" in out and "ms per query" in out
    assert Path("images-search.png").read_bytes().startswith(b"\x89PNG")


def test_with_json_a_sheet_is_drawn_only_if_asked(run, images, tmp_path):
    Path("images-search.png").unlink(missing_ok=True)
    run("search", "images.npz", "--text", "a dog", "--json")
    assert not Path("images-search.png").exists()
    run("search", "images.npz", "--text", "a dog", "--json", "-o", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").exists()


def test_another_file_of_weights_is_warned_of(run, images):
    Path("copy.npz").write_bytes(Path("LiT-bert.npz").read_bytes())
    Path("copy.txt").write_bytes(Path("LiT-bert.txt").read_bytes())
    code, _, err = run("search", "images.npz", "--text", "a dog", "--weights", "copy.npz", "--json")
    assert code == 0 and "was made with LiT-bert.npz, the query is with copy.npz" in err


def test_a_query_of_another_width_is_refused(run, tmp_path):
    rows = np.eye(3, dtype=np.float32)
    search.Embeddings(rows, ["a", "b", "c"], "image", minivit.load("LiT-bert.npz").config.name, "LiT-bert.npz").write(
        "w.npz"
    )
    code, _, err = run("search", "w.npz", "--text", "cat", "--json")
    assert code == 2 and "its images are 3 numbers, the query has 32" in err


def test_a_file_of_one_has_no_neighbours(run):
    run("embed", "pictures/0.png", *LIT, "-o", "one.npz")
    code, out, _ = run("search", "one.npz", "--like", "pictures/0.png", "--json", "-o", "one.png")
    assert code == 0 and json.loads(out)[0]["found"] == []


CASES = {
    "neither images nor texts": (["embed", *LIT], "expected either IMAGEs or texts"),
    "both": (["embed", "pictures", "--text", "a", *LIT], "expected either IMAGEs or texts"),
    "texts without a text tower": (["embed", "--text", "a", "--model", "demo"], "reads no texts"),
    "a folder without pictures": (["embed", "empty", *LIT], "no pictures in this folder"),
    "only a broken picture": (["embed", "pictures/broken.png", *LIT], "not an image"),
    "nowhere to write": (["embed", "pictures", *LIT, "-o", "no/where.npz"], "no folder no"),
    "no texts in the file": (["embed", "--texts", "none.txt", *LIT], "none.txt: cannot be read"),
    "nothing to search for": (["search", "images.npz"], "give --image, --text or --like"),
    "not a file of embeddings": (["search", "LiT-bert.npz", "--like", "x"], "not a file of embeddings"),
    "features instead of embeddings": (["search", "features.npz", "--like", "x"], "expected embeddings, as `minivit"),
    "no such name": (["search", "images.npz", "--like", "pictures/9.png"], "did you mean 'pictures/"),
    "another model": (["search", "images.npz", "--image", "pictures/0.png", "--model", "demo"], "was made with LiT"),
    "an empty text": (["search", "images.npz", "--text", " "], "is empty"),
    "no neighbours": (["search", "images.npz", "--text", "a", "--top", "0"], "expected a positive number"),
    "not a picture": (["search", "images.npz", "--text", "a", "-o", "x.jpg"], "ends in .png"),
    "too many queries for a sheet": (
        ["search", "images.npz", "--text", *["a"] * 41],
        "do not fit on one contact sheet",
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:skipped")
def test_bad_input_is_one_line(run, images, case):
    np.savez("features.npz", images=["pictures/0.png"], cls=np.zeros((1, 3), np.float32))
    arguments, problem = CASES[case]
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and problem in err, err
