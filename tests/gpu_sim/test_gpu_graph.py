"""Recording and replaying a forward pass, with a stand-in for CUDA graphs: when one is made, kept, and used again."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from simulated import TOLERANCE, error
from test_gpu_tier import images, model

from minivit import config, params, tiers
from minivit.gpu import compat, graph
from minivit.gpu.formats import FLOAT16
from minivit.lit import LitModel
from minivit.models import lit
from minivit.trace import NO_TAP

SMALL = config.ViTConfig("small", image=(8, 8), patch=4, width=8, blocks=1, heads=2, mlp=8, classes=7)
MIXER = config.MixerConfig("mixer", patch=4, width=8, blocks=1, token_mlp=6, mlp=8, classes=3, image=(8, 8))
RESNET = config.HybridConfig("resnet", 1, width=8, blocks=1, heads=2, mlp=8, classes=3, image=(8, 8),
                             stem=config.Stem((1,), width=8, groups=2))  # fmt: skip


def lit_of(kind):
    text = config.TextConfig(kind, width=8, blocks=1, heads=2, mlp=8, vocabulary=7, out=6, positions=3,
                             segments=2 * (kind == "bert"))  # fmt: skip
    return config.LiTConfig("lit", replace(SMALL, classes=6), text, length=3)


@pytest.fixture
def recorded(monkeypatch):
    """Graphs that run again and write to the place of the first output; gives the list of what was recorded."""
    done = []

    def record(run):
        output = run()
        done.append(output.shape)

        def launch():
            output.data[:] = run().data

        return launch, output

    def copy_to(target, array):
        target[:] = array

    class NoPool:
        __enter__ = __exit__ = lambda *_: None

    fake = SimpleNamespace(SIMULATED=False, Pool=NoPool, record=record, copy_to=copy_to, NoGraph=compat.NoGraph)
    monkeypatch.setattr(graph, "compat", fake)
    return done


@pytest.fixture
def vit():
    return model(SMALL)


def test_a_second_run_replays_the_graph_with_its_own_images(recorded, vit):
    truth = model(SMALL, "ref")
    for pixels in (images(1, 8, 8), 2 * images(1, 8, 8)):
        assert np.abs(vit.run(pixels) - truth.run(pixels)).max() < 1e-5
    assert recorded == [(1, 7)]


@pytest.fixture
def alone(recorded, monkeypatch):
    """While a pass is recorded nothing may be uploaded or downloaded; gives the list of what was recorded."""
    # a CUDA graph replays launches: what comes from the host while it is recorded would stay as it was
    record = graph.compat.record

    def watched(run):
        def refused(*_):
            raise AssertionError("the host takes part in a recorded pass")

        with monkeypatch.context() as patch:
            patch.setattr(compat, "upload", refused), patch.setattr(compat, "download", refused)
            return record(run)

    monkeypatch.setattr(graph.compat, "record", watched)
    return recorded


@pytest.mark.parametrize("name", ["vit", "another size", "mixer", "hybrid float32", "hybrid float16"])
def test_a_recorded_pass_neither_uploads_nor_downloads(alone, name):
    settings = {"mixer": MIXER, "hybrid": RESNET}.get(name.split()[0], SMALL)
    pixels = images(1, 8, 12) if name == "another size" else images(1, *settings.image)
    found = model(settings, dtype="float16" if "16" in name else "float32")
    truth = model(settings, "ref", "float64")
    for given in (pixels, -pixels):
        assert error(found.run(given), truth.run(given)) < 1e-3
    assert len(alone) == 1


@pytest.mark.parametrize("kind", ["bert", "transformer"])
def test_both_towers_of_lit_are_recorded_and_read_other_inputs_the_next_time(alone, kind):
    settings = lit_of(kind)
    found, truth = (LitModel(settings, params.seeded(settings), tiers.load(*tier)) for tier in (("gpu",), ("ref",)))
    for tokens in ([[2, 3, 0], [4, 0, 0]], [[5, 1, 6], [3, 2, 0]]):  # 0: padding, elsewhere in the second run
        texts = [lit.embed_texts(one.params, np.array(tokens), settings, one.ops) for one in (found, truth)]
        assert error(*texts) < 1e-5
    for pixels in (images(1, 8, 8), -images(1, 8, 8)):
        assert error(*(one.embed_images(pixels) for one in (found, truth))) < 1e-5
    assert alone == [(2, 6), (1, 6)]  # texts, images


def test_texts_of_bfloat16_come_to_the_graph_as_layernorm_wrote_them(alone):
    settings = lit_of("bert")
    found = LitModel(settings, params.seeded(settings), tiers.load("gpu", "bfloat16"))
    truth = LitModel(settings, params.seeded(settings), tiers.load("ref"))
    texts = [lit.embed_texts(one.params, np.array([[2, 3, 0]]), settings, one.ops) for one in (found, truth)]
    assert (
        error(*texts) < TOLERANCE["bfloat16"] and next(iter(found.ops.run.graphs.values())).inputs[0].format is FLOAT16
    )


def test_there_is_a_graph_per_batch_and_size_and_the_oldest_goes(recorded, vit, monkeypatch):
    monkeypatch.setattr(graph, "KEPT", 2)
    for pixels in (images(n, 8, w) for n, w in ((1, 8), (2, 8), (1, 8), (1, 4), (1, 8), (2, 8))):
        vit.run(pixels)
    assert len(vit.ops.run.graphs) == 2
    assert recorded == [(1, 7), (2, 7), (1, 7), (2, 7)]  # the graph of two images went when a third came


def test_nothing_is_recorded_if_somebody_looks_or_replaces_an_op(recorded, vit):
    vit.trace(images(1, 8, 8), keep="logits")
    vit.ops = vit.ops.replace(softmax=vit.ops.softmax)
    vit.run(images(1, 8, 8))
    assert recorded == [] and vit.ops.tier == "gpu" and not NO_TAP.active


def test_without_graphs_it_warns_and_still_runs(recorded, vit, monkeypatch):
    def record(run):
        raise compat.NoGraph("ImportError: no graphs here")

    monkeypatch.setattr(graph.compat, "record", record)
    with pytest.warns(UserWarning, match="one by one \\(ImportError: no graphs here\\)"):
        found = vit.run(images(1, 8, 8))
    assert np.abs(found - model(SMALL, "ref").run(images(1, 8, 8))).max() < 1e-5


def test_memory_that_is_not_needed_any_more_is_used_again(monkeypatch):
    monkeypatch.setattr(compat, "cuda", SimpleNamespace(device_array=np.empty))
    pool = compat.Pool()
    first = pool.take(6, np.float32)
    place = first.ctypes.data
    second = pool.take(6, np.float32)
    assert second.ctypes.data != place
    del first
    assert pool.take(12, np.uint16).ctypes.data == place  # as many bytes
    assert pool.take(3, np.float32).ctypes.data != place
