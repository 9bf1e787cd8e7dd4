"""Downloads that cannot go well: one clear line, and nothing half-written that could be taken for the file."""

import base64
import hashlib
import re
from types import SimpleNamespace

import pytest
from download_files import files_of, refused, tiny16
from download_server import Served

from minivit import download, registry
from minivit.config import VARIANTS
from minivit.download import contents
from minivit.errors import InputError

PAGE = b"\n<!DOCTYPE html><html><title>Log in to Hotel Wi-Fi</title></html>"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_final_answers_are_told_at_once(token, server, home, status):
    token.status = status
    line, expected = refused(), {401: "who you are", 403: "refuses", 404: "no such file", 410: "Gone"}
    assert expected[status] in line and f"({status})" in line and f"{server.address}/tiny/token.npz" in line
    assert len(server.requests) == 1 and files_of(home) == set()


def test_a_server_that_stays_broken_is_given_up(token, server, home):
    token.status = 500
    assert "Internal Server Error (500), 4 times" in refused()
    assert len(server.requests) == 4 and files_of(home) == set()


def test_no_network_says_which_host(token, home, monkeypatch):
    monkeypatch.setenv("MINIVIT_MIRROR", "http://127.0.0.1:9")
    line = refused()
    assert "127.0.0.1 cannot be reached" in line and "look whether the network works" in line


def test_a_proxy_that_does_not_answer_is_no_traceback(token, home, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert "cannot be reached" in refused()


@pytest.mark.parametrize("mirror", ["ftp://127.0.0.1", "mirror.org/models", "file:///etc"])
def test_a_mirror_must_be_an_address_of_the_web(token, home, monkeypatch, mirror):
    monkeypatch.setenv("MINIVIT_MIRROR", mirror)
    assert "MINIVIT_MIRROR is" in refused()


def test_a_mirror_with_a_senseless_port_is_refused(token, home, monkeypatch):
    monkeypatch.setenv("MINIVIT_MIRROR", "http://127.0.0.1:http")
    assert "not an address of the web" in refused()


def test_a_log_in_page_is_not_a_file(token, server, home):
    token.data, token.headers = PAGE, {"Content-Type": "text/html"}
    line = refused()
    assert "a web page came instead of the file" in line and "in a browser" in line
    assert files_of(home) == set() and len(server.requests) == 1


def test_a_log_in_page_does_not_spoil_what_has_come(token, home, weights):
    token.steps = [{"cut": 5000}, {"ranges": False, "data": PAGE}]
    assert "a web page came" in refused()
    assert (home / "tiny" / "token.npz.part").read_bytes() == weights[:5000]
    assert download.fetch("tiny/token").read_bytes() == weights


def test_a_redirect_to_a_log_in_page_names_its_host(token, server, home):
    server.files["/portal"] = Served(PAGE)
    token.status, token.headers = 302, {"Location": f"http://localhost:{server.server_port}/portal"}
    assert "http://localhost in a browser" in refused()


def test_endless_redirects_end(token, server, home):
    token.status, token.headers = 302, {"Location": f"{server.address}/tiny/token.npz"}
    assert "(302)" in refused()


def test_a_wrong_hash_is_refused_and_the_file_removed(token, home, weights):
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    token.headers = {"x-goog-hash": f"md5={other}"}
    line = refused()
    assert "wrong md5" in line and "download it again" in line
    assert files_of(home) == set()


def test_a_wrong_crc32c_is_refused(token, home):
    token.headers = {"x-goog-hash": f"crc32c={base64.b64encode(bytes(4)).decode()}"}
    assert "wrong crc32c" in refused()


def test_one_wrong_bit_is_found_without_any_hash_of_the_server(token, home, weights):
    damaged = bytearray(weights)
    damaged[len(weights) // 2] ^= 1
    token.data = bytes(damaged)
    assert "damaged at" in refused()
    assert files_of(home) == set()


def test_a_server_that_announces_too_much_is_found_out(token, server, home, weights):
    token.announce, token.ranges = len(weights) + 1000, False
    assert f"cut after {len(weights):,} of {len(weights) + 1000:,} bytes" in refused()
    token.ranges = True
    token.steps = []
    line = refused()
    assert "the server announced" in line and f"but has {len(weights):,}" in line


def test_a_server_that_announces_too_little_gives_a_file_that_cannot_be_opened(token, home, weights):
    token.announce = len(weights) - 1000
    assert "not a complete .npz file" in refused()
    assert files_of(home) == set()


def test_a_size_far_from_the_published_one_is_refused_before_it_is_fetched(small, server, home, weights):
    server.files["/tiny/sized.npz"] = Served(weights)
    line = refused("tiny/sized")
    assert f"announces {len(weights):,} bytes, the published file has about 1,048,576" in line
    assert files_of(home) == set()


def test_a_file_of_nothing_is_refused(token, home):
    token.data = b""
    assert "the file is empty" in refused()


def test_another_model_than_the_name_says_is_refused(small, server, home, weights):
    server.files["/tiny/Ti.npz"] = Served(weights)
    line = refused("tiny/Ti")
    assert "not tiny/Ti, it is ViT (width 32" in line and "patch is 8, expected 16" in line
    assert files_of(home) == set()


def test_another_model_with_the_right_hash_is_kept_apart(small, server, home, weights):
    md5 = base64.b64encode(hashlib.md5(weights).digest()).decode()
    server.files["/tiny/Ti.npz"] = Served(weights, headers={"x-goog-hash": f"md5={md5}"})
    line = refused("tiny/Ti")
    assert "its md5 is the server's" in line and "Ti.npz.refused" in line
    assert files_of(home) == {"tiny/Ti.npz.refused"}


def test_the_tensors_of_a_published_variant_are_accepted(small, server, home, tmp_path):
    server.files["/tiny/Ti.npz"] = Served(tiny16(tmp_path / "Ti.npz"))
    assert download.fetch("tiny/Ti").is_file()


def test_another_number_of_classes_is_refused(small, server, home, weights):
    server.files["/tiny/seven.npz"] = Served(weights)
    assert "classes is 10, expected 7" in refused("tiny/seven")


def test_labels_of_the_wrong_length_are_refused(small, server, home, weights):
    server.files["/tiny/named.npz"] = Served(weights)
    server.files["/labels/five.txt"] = Served(b"cat\ndog\n")
    assert "2 labels, but the model has 10 classes" in refused("tiny/named")
    assert files_of(home) == set()


def test_every_entry_is_told_apart_from_every_other_variant(monkeypatch, tmp_path):
    def check(entry, config):
        monkeypatch.setattr(contents.checkpoints, "read", lambda path: SimpleNamespace(config=config))
        contents.check_model(entry, tmp_path)

    twins = [{f"ViT-{size}/16", f"DeiT-{size}/16"} for size in ("Ti", "S", "B")]  # the same tensors of the same shapes
    for entry in registry.entries():
        check(entry, entry.config)
    for entry in {entry.variant: entry for entry in registry.entries()}.values():
        for other in VARIANTS.values():
            if other.name != entry.variant and {other.name, entry.variant} not in twins:
                with pytest.raises(InputError, match=f"not {re.escape(entry.name)}, it is"):
                    check(entry, other)
