"""Full disks, folders that cannot be written, files that have changed, and no network by choice."""

import errno
import shutil

from download_files import refused

from minivit import download
from minivit.download import part, record


def test_a_full_disk_is_told_before_it_is_full(token, home, monkeypatch):
    usage = shutil.disk_usage(home.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    line = refused()
    assert "0.1 MB are missing, 0.0 MB are free" in line and "MINIVIT_HOME" in line


def test_a_disk_that_gets_full_leaves_a_part_that_can_be_continued(token, home, weights, monkeypatch):
    class Full:
        """A file on a disk with room for 4000 bytes more."""

        def __init__(self, file):
            self.file, self.room = file, 4000

        def write(self, data):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = self.file.write(data[: self.room])
            self.room -= written
            return written

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

    monkeypatch.setattr(part, "open", lambda *how, **more: Full(open(*how, **more)), raising=False)  # noqa: SIM115
    line = refused()
    assert "cannot write token.npz.part: No space left on device" in line and "MINIVIT_HOME" in line
    assert (home / "tiny" / "token.npz.part").read_bytes() == weights[:4000]
    monkeypatch.undo()


def test_a_folder_that_cannot_be_made_is_refused(token, home):
    home.write_text("a file where the folder should be")
    assert "cannot write" in refused()


def test_a_file_that_has_changed_since_is_refused(token, home, weights):
    path = download.fetch("tiny/token")
    path.write_bytes(weights[:-1] + b"!")
    line = refused()
    assert "no longer the file that was downloaded" in line and "remove it" in line


def test_a_damaged_record_is_refused(token, home):
    own = record.path_of(download.fetch("tiny/token"))
    for text in ("{", '{"bytes": 3}', "[]", '{"url": null, "bytes": "x", "sha256": "", "checked": ""}'):
        own.write_text(text)
        assert own.name in refused()


def test_a_damaged_note_of_a_part_only_costs_a_new_start(token, home, weights, server):
    (home / "tiny").mkdir(parents=True)
    (home / "tiny" / "token.npz.part").write_bytes(weights[:3000])
    for text in ("{", "[]", '{"url": 3}'):
        (home / "tiny" / "token.npz.part.json").write_text(text)
        assert download.fetch("tiny/token").read_bytes() == weights
        download.place("tiny/token.npz").unlink()
    assert [wanted for _, wanted in server.requests] == [None] * 3


def test_offline_says_what_to_fetch_and_where_to_put_it(small, server, home, weights, monkeypatch):
    monkeypatch.setenv("MINIVIT_OFFLINE", "1")
    line = refused("tiny/named")
    assert f"fetch {server.address}/tiny/named.npz" in line and f"put it at {home / 'tiny' / 'named.npz'}" in line
    assert f"fetch {server.address}/labels/five.txt" in line
    assert server.requests == []


def test_offline_uses_what_is_there(token, home, monkeypatch):
    path = download.fetch("tiny/token")
    monkeypatch.setenv("MINIVIT_OFFLINE", "1")
    assert download.fetch("tiny/token") == path
