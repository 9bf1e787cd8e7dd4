"""Downloads that go well, sooner or later: progress, resuming, retries, redirects, hashes, what is remembered."""

import base64
import hashlib
import json
import threading

import pytest
from download_files import files_of
from download_server import Served

from minivit import checkpoints, download
from minivit.download import hashes, record
from minivit.errors import InputError


def google(data):
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    return {"x-goog-hash": f"crc32c={base64.b64encode(bytes.fromhex(crc32c(data))).decode()},md5={md5}"}


def crc32c(data):
    one = hashes.Crc32c()
    one.update(data)
    return one.hexdigest()


def ranges(server):
    return [wanted for _, wanted in server.requests]


def test_a_file_comes_whole_is_recorded_and_can_be_read(token, home, weights, told):
    path = download.fetch("tiny/token", told)
    assert path == home / "tiny" / "token.npz" and path.read_bytes() == weights
    assert files_of(home) == {"tiny/token.npz", "tiny/token.npz.origin.json"}
    assert told.done[-1] == (len(weights), len(weights)) and told.notes == []
    known = record.read(path)
    assert known.sha256 == hashlib.sha256(weights).hexdigest() and known.bytes == len(weights)
    assert checkpoints.read(path).config.classes


def test_a_file_that_is_there_is_not_fetched_again(token, server):
    assert download.fetch("tiny/token") == download.fetch("tiny/token")
    assert len(server.requests) == 1


def test_progress_is_reported_while_a_slow_server_serves(token, told, weights):
    token.pause = 0.001
    download.fetch("tiny/token", told)
    done = [bytes_ for bytes_, _ in told.done]
    assert len(done) > 5 and done == sorted(done)


def test_a_cut_connection_is_continued_where_it_broke(token, server, home, weights, told):
    token.steps = [{"cut": 5000}, {"cut": 12000}]
    assert download.fetch("tiny/token", told).read_bytes() == weights
    assert ranges(server) == [None, "bytes=5000-", "bytes=12000-"]
    assert len(told.notes) == 2 and "cut after 5,000 of" in told.notes[0]


def test_an_earlier_attempt_is_continued(token, server, home, weights):
    token.steps = [{"cut": 5000}] + [{"status": 503}] * 4
    with pytest.raises(InputError, match="MB are kept, the same command goes on"):
        download.fetch("tiny/token")
    assert files_of(home) == {"tiny/token.npz.part", "tiny/token.npz.part.json"}
    server.requests.clear()
    assert download.fetch("tiny/token").read_bytes() == weights
    assert ranges(server) == ["bytes=5000-"]


def test_ctrl_c_leaves_a_part_that_is_continued(token, server, home, weights):
    class Impatient(download.Report):
        def progress(self, done, total):
            if done >= 4000:
                raise KeyboardInterrupt

    token.pause = 0.001
    with pytest.raises(KeyboardInterrupt):
        download.fetch("tiny/token", Impatient())
    kept = (home / "tiny" / "token.npz.part").read_bytes()
    assert len(kept) >= 4000 and weights.startswith(kept)
    assert files_of(home) == {"tiny/token.npz.part", "tiny/token.npz.part.json"}
    assert download.fetch("tiny/token").read_bytes() == weights
    assert ranges(server)[-1] == f"bytes={len(kept)}-"


def test_a_server_without_ranges_serves_all_again(token, weights, server):
    token.ranges, token.steps = False, [{"cut": 5000}]
    assert download.fetch("tiny/token").read_bytes() == weights
    assert ranges(server) == [None, "bytes=5000-"]


def test_without_a_version_nothing_is_continued(token, weights, server):
    token.etag, token.steps = None, [{"cut": 5000}]
    assert download.fetch("tiny/token").read_bytes() == weights
    assert ranges(server) == [None, None]


def test_the_date_of_the_last_change_identifies_a_version_too(token, weights, server):
    token.etag, token.modified, token.steps = 'W/"weak"', 1.7e9, [{"cut": 5000}]
    assert download.fetch("tiny/token").read_bytes() == weights
    assert ranges(server) == [None, "bytes=5000-"]


@pytest.mark.parametrize("heeds", [True, False], ids=["If-Range heeded", "If-Range ignored"])
def test_a_file_that_changes_between_two_attempts_is_not_glued_together(token, weights, heeds):
    other = bytes(reversed(weights))
    token.steps = [{"data": other, "etag": '"zero"', "cut": 5000}]
    token.heed_if_range = heeds
    assert download.fetch("tiny/token").read_bytes() == weights


def test_a_file_that_shrinks_between_two_attempts_is_fetched_anew(token, weights):
    token.steps = [{"data": weights * 3, "cut": len(weights) * 2}]
    token.heed_if_range = False
    assert download.fetch("tiny/token").read_bytes() == weights


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_errors_are_tried_again(token, weights, status, told):
    token.steps = [{"status": status}] * 3
    assert download.fetch("tiny/token", told).read_bytes() == weights
    assert len(told.notes) == 3 and f"({status})" in told.notes[0]


def test_redirects_are_followed_and_the_hash_on_the_way_is_compared(token, server, weights):
    server.files["/elsewhere"] = Served(weights)
    sha256 = hashlib.sha256(weights).hexdigest()
    token.status, token.data = 302, b""
    token.headers = {"Location": f"{server.address}/elsewhere", "x-linked-etag": f'"{sha256}"'}
    assert record.read(download.fetch("tiny/token")).checked == "the server's sha256"
    token.headers["x-linked-etag"] = f'"{"0" * 64}"'
    (download.place("tiny/token.npz")).unlink()
    with pytest.raises(InputError, match="wrong sha256"):
        download.fetch("tiny/token")


def test_a_proxy_is_asked_when_the_environment_names_one(token, server, home, weights, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", server.address)  # a proxy is asked for whole addresses
    monkeypatch.setenv("MINIVIT_MIRROR", "http://models.invalid")
    server.files["http://models.invalid/tiny/token.npz"] = Served(weights)
    assert download.fetch("tiny/token").read_bytes() == weights


def test_the_hashes_of_google_are_compared(token, weights):
    token.headers = google(weights)
    assert record.read(download.fetch("tiny/token")).checked == "the server's md5"


def test_a_file_uploaded_in_parts_has_only_a_crc32c(token, weights):
    token.headers = {"x-goog-hash": google(weights)["x-goog-hash"].split(",")[0]}
    assert record.read(download.fetch("tiny/token")).checked == "the server's crc32c"


def test_crc32c_of_the_standard_vectors():
    assert crc32c(b"123456789") == "e3069283" and crc32c(bytes(32)) == "8a9136aa"  # RFC 3720, B.4


def test_a_finished_part_is_not_fetched_again(token, server, home, weights):
    token.headers, token.steps = google(weights), [{"cut": 5000}] + [{"status": 500}] * 4
    with pytest.raises(InputError):
        download.fetch("tiny/token")
    (home / "tiny" / "token.npz.part").write_bytes(weights)  # as if it had been stopped right before the renaming
    server.requests.clear()
    assert record.read(download.fetch("tiny/token")).checked == "the server's md5"
    assert server.requests == []


def test_two_downloads_at_once_fetch_a_file_once(token, server, weights, told):
    token.pause = 0.002
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(download.fetch("tiny/token", told))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3 and paths[0].read_bytes() == weights
    assert len(server.requests) == 1 and any("waiting" in note for note in told.notes)
    assert files_of(paths[0].parent) == {"token.npz", "token.npz.origin.json"}


def test_labels_come_along_and_are_used(small, server, home, weights):
    from minivit import load

    names = [f"thing {i}" for i in range(10)]
    server.files["/tiny/named.npz"] = Served(weights)
    server.files["/labels/five.txt"] = Served("\n".join(names).encode())
    path = download.fetch("tiny/named")
    assert (home / "labels" / "five.txt").read_text().splitlines() == names
    assert record.read(path).labels == "labels/five.txt"
    assert load("tiny/named").labels == load(path).labels == tuple(names)


def test_a_vocabulary_comes_along(small, server, home, weights):
    server.files["/tiny/words.npz"] = Served(weights)
    server.files["/tiny/words.txt"] = Served(b"[PAD]\n[CLS]\n")
    assert download.fetch("tiny/words").with_suffix(".txt").read_text() == "[PAD]\n[CLS]\n"


def test_a_file_put_there_by_hand_is_checked_and_remembered(token, server, home, weights):
    path = home / "tiny" / "token.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(weights)
    assert download.fetch("tiny/token") == path and server.requests == []
    assert json.loads(record.path_of(path).read_text())["url"] is None


def test_weights_beside_the_working_folder_are_found(token, server, tmp_path, monkeypatch, weights):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights" / "tiny" / "token.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(weights)
    assert download.fetch("tiny/token").resolve() == path and server.requests == []
