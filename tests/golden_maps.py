"""Maps computed a second time, in float64 and from the reference's own tensors, by formulas spelled out index by index.

CHECKS: file of minivit/viz -> a function that takes its module and fails if it computes anything else.
"""

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from minivit.check.forward import load_model
from minivit.check.recipe import inputs

GOLDEN = Path(__file__).parent / "golden"


def near(found, expected, tolerance=1e-5):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@cache
def reference(name):
    """A golden case: our model in float64, its images, and the reference's tensors as float64 in our layout."""
    case = {**json.loads((GOLDEN / name / "case.json").read_text()), "folder": GOLDEN / name}
    model = load_model(case, "ref", "float64")
    with np.load(GOLDEN / name / "tensors.npz") as file:
        stored = {key: file[key].astype(np.float64) for key in file.files}
    stored |= {key.removesuffix("__f64"): value for key, value in stored.items() if key.endswith("__f64")}
    blocks = range(model.config.blocks)
    kept = "attn_probs", "v", "attn_ctx", "fc2", "out"
    lists = {key: [stored[f"block{i:02}/{key}"] for i in blocks] for key in kept}
    images = inputs(case)[""]
    return SimpleNamespace(
        model=model, config=model.config, images=images, logits=stored["logits"], probs=lists["attn_probs"],
        v=[v.transpose(0, 2, 1, 3) for v in lists["v"]], z=lists["attn_ctx"], mlp=lists["fc2"], out=lists["out"],
        start=stored.get("embeddings", stored.get("posembed")), grid=model.config.grid_of(*images.shape[1:3]),
    )  # fmt: skip


def attention(prefix, grid=(2, 3), seed=0):
    # (2,3,N,N): rows sum to one, no two numbers alike
    tokens = prefix + grid[0] * grid[1]
    raw = np.random.default_rng(seed).uniform(0, 1, (2, 3, tokens, tokens)) ** 3
    return raw / raw.sum(-1, keepdims=True)


def placed(row, prefix, grid):
    # row (N,) -> (rows,columns), patch by patch
    return np.array([[row[prefix + r * grid[1] + c] for c in range(grid[1])] for r in range(grid[0])])


def check_maps(maps):
    for prefix in (0, 1, 2):
        A, grid = attention(prefix), (2, 3)
        for query in (0, prefix + 4):
            rows = [[placed(A[b, h, query], prefix, grid) for h in range(3)] for b in range(2)]
            near(maps.query_map(A, query, prefix, grid), rows)
            columns = [[placed(A[b, h, :, query], prefix, grid) for h in range(3)] for b in range(2)]
            near(maps.key_map(A, query, prefix, grid), columns)
        means = [placed(sum(A[b, 1, i] for i in range(prefix, prefix + 6)) / 6, prefix, grid) for b in range(2)]
        near(maps.mean_query_map(A, prefix, grid)[:, 1], means)
    distilled, gap = reference("hf__deit_distilled"), reference("vit__gap")
    _, found = maps.readout_map(distilled.probs[0], distilled.config, distilled.grid)
    near(found[0, 2], placed(distilled.probs[0][0, 2, 0], 2, (3, 3)))
    _, found = maps.readout_map(gap.probs[1], gap.config, gap.grid)
    near(found[1, 3], placed(np.mean(gap.probs[1][1, 3], axis=0), 0, (6, 6)))
    check_merges(maps)
    check_mask(maps)


def check_merges(maps):
    by_head = attention(1)[:, :, 0, 1:].reshape(2, 3, 2, 3)
    near(maps.merge_heads(by_head), (by_head[:, 0] + by_head[:, 1] + by_head[:, 2]) / 3)
    near(maps.merge_heads(by_head, "max"), np.maximum(np.maximum(by_head[:, 0], by_head[:, 1]), by_head[:, 2]))
    near(maps.merge_heads(by_head, "min"), np.minimum(np.minimum(by_head[:, 0], by_head[:, 1]), by_head[:, 2]))
    expected = np.zeros((2, 2, 3))
    for b in range(2):
        weights = []
        for h in range(3):
            p = by_head[b, h].ravel() / by_head[b, h].sum()
            weights.append(np.log(6) + sum(x * np.log(x) for x in p))
        expected[b] = sum(w * m for w, m in zip(weights, by_head[b], strict=True)) / sum(weights)
    near(maps.merge_heads(by_head, "entropy"), expected)


def check_mask(maps):
    for values in (*attention(1)[0, :, 0, 1:].reshape(3, 2, 3), np.array([[4.0, 3.0, 2.0], [1.0, 0.0, 0.0]])):
        mask = maps.mass_mask(values, 0.7)
        kept = np.sort(values[mask])
        assert kept.sum() >= 0.7 * values.sum() > kept[1:].sum()  # enough, and not with one patch less
        assert kept.min() >= values[~mask].max()


def check_statistics(statistics):
    for prefix in (0, 1, 2):
        A, expected = attention(prefix), np.zeros((2, 3))
        for i in range(6):
            for b, h in np.ndindex(2, 3):
                steps = [16 * np.hypot(i // 3 - j // 3, i % 3 - j % 3) for j in range(6)]
                weights = A[b, h, prefix + i, prefix:]
                expected[b, h] += sum(w * s for w, s in zip(weights, steps, strict=True)) / sum(weights) / 6
        near(statistics.distance(A, prefix, (2, 3), 16), expected)
    token = reference("vit__token")
    A, v = token.probs[1], token.v[1]
    near(statistics.entropy(A)[1, 2, 5], -sum(p * np.log(p) for p in A[1, 2, 5]))
    near(statistics.received(A)[1, 2], sum(A[1, 2, i] for i in range(17)) / 17)
    near(statistics.sink_mass(A, np.arange(17) < 1), A[:, :, :, 0].mean(-1))
    marked = np.arange(34).reshape(2, 17) % 5 == 0
    near(statistics.sink_mass(A, marked)[1], A[1][:, :, marked[1]].sum(-1).mean(-1))
    w = token.model.params["blocks"][1]["attn"]["out"]["w"].reshape(3, 32, 96)
    added = np.einsum("bhij,bhjk,hkd->bhijd", A, v, w)
    near(statistics.norm_weighted(A, v, w.reshape(96, 96)), np.sqrt((added**2).sum(-1)))
    near(statistics.norms(token.out[2])[1, 4], np.sqrt(sum(x * x for x in token.out[2][1, 4])))
    stream = np.ones((2, 6, 4)) * np.array([50, 50, 1, 1, 3.5, 2.9])[:, None]  # of the four patches the median is 1.95
    assert statistics.high_norm(stream, 2, 1.6).tolist() == [[False] * 4 + [True, False]] * 2


def check_flow(flow):
    token = reference("vit__token")
    gradients = [np.random.default_rng(i).standard_normal(A.shape) for i, A in enumerate(token.probs)]
    rolled, relevant = np.zeros((2, 2, 17, 17))
    for b in range(2):
        R, S = np.eye(17), np.eye(17)
        for A, gradient in zip(token.probs, gradients, strict=True):
            mean = (A[b, 0] + A[b, 1] + A[b, 2]) / 3
            R = (mean + np.eye(17)) @ R / 2  # rows of A sum to one, so those of A + I sum to two
            each = [np.where(gradient[b, h] * A[b, h] > 0, gradient[b, h] * A[b, h], 0) for h in range(3)]
            S = S + (each[0] + each[1] + each[2]) / 3 @ S
        rolled[b], relevant[b] = R, S
    near(flow.rollout(token.probs), rolled)
    near(flow.relevance(token.probs, gradients), relevant)
    near(next(flow.rollout_steps(token.probs)), (token.probs[0].mean(1) + np.eye(17)) / 2)
    near(list(flow.relevance_steps(token.probs, gradients))[-1], relevant)


def check_similarity(similarity):
    distilled = reference("hf__deit_distilled")
    position = distilled.model.params["embed"]["position"]
    a, b = position[0, 2 + 1], position[0, 2 + 5]
    near(similarity.position_similarity(position, 2, (3, 3))[0, 1, 1, 2], a @ b / np.sqrt((a @ a) * (b @ b)))
    x = reference("vit__token").out[1]
    for p in (0, 9):
        a, b = x[1, 3], x[1, 1 + p]
        near(similarity.cosine_map(x, 3, 1, (4, 4))[1, p // 4, p % 4], a @ b / np.sqrt((a @ a) * (b @ b)))
    w = np.random.default_rng(0).standard_normal((2, 2, 3, 40)) + np.arange(12).reshape(2, 2, 3, 1)
    filters = np.array([w[..., d].ravel() for d in range(40)])
    variance, directions = np.linalg.eigh(np.cov(filters.T))
    pictures, shares = similarity.patch_filters(w, 5)
    near(shares, (variance / variance.sum())[::-1][:5])
    near(np.abs(np.einsum("ipqc,pqci->i", pictures, directions[:, ::-1][:, :5].reshape(2, 2, 3, 5))), np.ones(5))
    patches = x[:, 1:].reshape(32, 96)
    _, directions = np.linalg.eigh(np.cov(patches.T))
    rgb = similarity.token_pca(x, 1, (4, 4)).reshape(32, 3)
    for colour in range(3):  # a colour is an affine function of its direction's coordinate
        near(abs(np.corrcoef(rgb[:, colour], patches @ directions[:, -1 - colour])[0, 1]), 1)
    near([rgb.min(0), rgb.max(0)], [[0] * 3, [1] * 3])
    check_cka(similarity.cka)


def check_cka(cka):
    random = np.random.default_rng(1)
    for n, p, q in ((50, 4, 6), (7, 30, 20)):
        x, y, H = random.standard_normal((n, p)) + 2, random.uniform(size=(n, q)), np.eye(n) - 1 / n
        y[:, :3] += x[:, :3]
        hsic = [np.trace(a @ a.T @ H @ b @ b.T @ H) for a, b in ((x, y), (x, x), (y, y))]
        near(cka(x, y), hsic[0] / np.sqrt(hsic[1] * hsic[2]))
