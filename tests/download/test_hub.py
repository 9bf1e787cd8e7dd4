"""Repositories of Hugging Face, through huggingface_hub itself, against a hub on this machine."""

import hashlib
import json
import sys
import time

import pytest
from download_files import GOLDEN, files_of, refused
from download_server import Served
from safetensors.numpy import load_file, save

from minivit import checkpoints, download, load
from minivit.download import record

pytest.importorskip("huggingface_hub", reason="needs huggingface_hub (extra: hub)")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ("config.json", "model.safetensors")


@pytest.fixture
def repository(small, server):
    """owner/model, as the hub would serve it: {file: Served}."""
    folder = GOLDEN / "grad__hf_vit"
    return publish(server, "owner/model", {name: (folder / name).read_bytes() for name in FILES})


def publish(server, repo, contents, **changes):
    """Serve files as a repository: its description, and each file with the headers that the hub sends."""
    siblings, served = [], {}
    for name, data in contents.items():
        sha256, git = hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        large = name.endswith(".safetensors")
        about = {"rfilename": name, "size": len(data), "blobId": git, **changes.get(name, {})}
        if large:
            about["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130, **changes.get("lfs", {})}
        siblings.append(about)
        tag = f'"{sha256 if large else git}"'
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        served[name] = server.files[f"/{repo}/resolve/{COMMIT}/{name}"] = Served(data, etag=tag, headers=headers)
    description = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
    answer = Served(json.dumps(description).encode(), headers={"Content-Type": "application/json"})
    server.files[f"/api/models/{repo}"] = server.files[f"/api/models/{repo}/revision/main"] = answer
    return served


def test_a_repository_comes_whole_is_recorded_and_can_be_loaded(repository, home):
    folder = download.fetch("owner/model")
    assert folder == home / "owner" / "model"
    assert files_of(folder) == {*FILES, *(f"{name}.origin.json" for name in FILES)}
    assert record.read(folder / "model.safetensors").checked == "the hub's sha256"
    assert record.read(folder / "config.json").checked == "the hub's sha1"
    assert COMMIT in record.read(folder / "config.json").url
    assert files_of(home) == {f"owner/model/{name}" for name in files_of(folder)}
    assert load("owner/model").config == checkpoints.read(GOLDEN / "grad__hf_vit").config


def test_a_repository_that_is_there_is_not_fetched_again(repository, server):
    download.fetch("owner/model")
    server.requests.clear()
    download.fetch("owner/model")
    assert server.requests == []


def test_any_repository_can_be_named(small, server, home):
    folder = GOLDEN / "grad__hf_vit"
    publish(server, "some/body", {name: (folder / name).read_bytes() for name in FILES})
    assert download.fetch("hf:some/body") == home / "some" / "body"
    assert load("hf:some/body").config.classes == 7


def test_only_what_is_read_is_fetched(small, server, home):
    folder = GOLDEN / "grad__hf_vit"
    extra = {"README.md": b"words", "pytorch_model.bin": b"\x80\x02", "onnx/model.safetensors": b"no"}
    publish(server, "owner/model", {**{name: (folder / name).read_bytes() for name in FILES}, **extra})
    assert {p.name for p in download.fetch("owner/model").iterdir() if "origin" not in p.name} == set(FILES)
    assert not any("README" in path or "pytorch" in path or "onnx" in path for path, _ in server.requests)


def test_weights_in_several_files_come_together(small, server, home):
    tensors = load_file(GOLDEN / "grad__hf_vit" / "model.safetensors")
    halves = [dict(list(tensors.items())[::2]), dict(list(tensors.items())[1::2])]
    shards = {f"model-0000{i + 1}-of-00002.safetensors": half for i, half in enumerate(halves)}
    weight_map = {name: shard for shard, half in shards.items() for name in half}
    contents = {shard: save(half) for shard, half in shards.items()}
    contents["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    contents["config.json"] = (GOLDEN / "grad__hf_vit" / "config.json").read_bytes()
    publish(server, "owner/model", contents)
    assert checkpoints.read(download.fetch("owner/model")).parameters == sum(a.size for a in tensors.values())


def test_a_pickle_alone_is_refused(small, server):
    publish(server, "owner/model", {"config.json": b"{}", "pytorch_model.bin": b"\x80\x02"})
    line = refused("owner/model")
    assert "no model.safetensors in this repository" in line and "pytorch_model.bin" in line


def test_a_repository_that_is_not_there_is_refused(small, server):
    server.files["/api/models/owner/model"] = Served(status=404, headers={"X-Error-Code": "RepoNotFound"})
    assert "no such repository" in refused("owner/model")


@pytest.mark.parametrize("status", [401, 403])
def test_a_repository_that_is_not_public_is_refused(small, server, status):
    server.files["/api/models/owner/model"] = Served(status=status, headers={"X-Error-Code": "GatedRepo"})
    assert "not public" in refused("owner/model") or "not given to everybody" in refused("owner/model")


def test_a_log_in_page_is_not_a_repository(small, server):
    server.files["/api/models/owner/model"] = Served(b"<html>Log in</html>", headers={"Content-Type": "text/html"})
    assert "log-in page" in refused("owner/model")


def test_no_network_is_no_traceback(small, server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert refused("owner/model").startswith("http://127.0.0.1:9/owner/model: cannot be reached (")


def test_a_wrong_hash_is_refused_and_the_file_removed(small, server, home):
    contents = {name: (GOLDEN / "grad__hf_vit" / name).read_bytes() for name in FILES}
    publish(server, "owner/model", contents, lfs={"sha256": "0" * 64})
    assert "model.safetensors is not what the hub describes" in refused("owner/model")
    assert not (home / "owner" / "model").exists()
    assert not list(home.rglob("model.safetensors"))


def test_another_model_than_the_name_says_is_refused(small, server, home):
    contents = {name: (GOLDEN / "grad__hf_vit" / name).read_bytes() for name in FILES}
    publish(server, "owner/other", contents)
    assert "image is (32, 32), expected (999, 999)" in refused("owner/other")
    assert not (home / "owner" / "other").exists()


def test_a_cut_connection_does_not_leave_a_half_repository(repository, home, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the library's own retries
    whole = repository["model.safetensors"].data
    repository["model.safetensors"].cut = 30_000
    refused("owner/model")
    assert not (home / "owner" / "model").exists()
    repository["model.safetensors"].cut = None
    assert (download.fetch("owner/model") / "model.safetensors").read_bytes() == whole


def test_a_changed_file_is_refused(repository):
    path = download.fetch("owner/model") / "config.json"
    path.write_text(path.read_text() + "\n")
    assert "no longer the file that was downloaded" in refused("owner/model")


def test_files_put_there_by_hand_are_checked_and_remembered(repository, home, server):
    folder = home / "owner" / "model"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(repository[name].data)
    assert download.fetch("owner/model") == folder and server.requests == []
    assert record.read(folder / "model.safetensors").url is None


def test_offline_says_where_the_repository_is_and_goes(repository, home, server, monkeypatch):
    monkeypatch.setenv("MINIVIT_OFFLINE", "1")
    (home / "owner" / "model").mkdir(parents=True)
    line = refused("owner/model")
    assert f"{server.address}/owner/model" in line and str(home / "owner" / "model") in line
    assert server.requests == []


def test_without_the_library_the_line_says_what_to_install(repository, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'minivit[hub]'" in refused("owner/model")
