"""The same for maps that read a model's weights or run it: see golden_maps.py."""

import numpy as np
from golden_maps import near, placed, reference

from minivit.viz import lens as right_lens

CASES = ("vit__token", "vit__gap", "hf__deit_distilled", "timm__vit_avg", "vit__token_representation")


def normalised(x, p, eps):
    # one token (D,) -> (D,)
    centred = x - x.sum() / len(x)
    return centred / np.sqrt((centred @ centred) / len(x) + eps) * p["scale"] + p["bias"]


def answer(feature, params, layer="head"):
    return feature @ params[layer]["w"] + params[layer]["b"]


def check_lens(lens):
    for name in CASES:
        case = reference(name)
        near(lens.logit_lens(case.model, case.out[-1]), case.logits)
    token, gap, distilled = reference("vit__token"), reference("vit__gap"), reference("hf__deit_distilled")
    p, eps = token.model.params, token.config.eps
    near(lens.logit_lens(token.model, token.out[0])[1], answer(normalised(token.out[0][1, 0], p["norm"], eps), p))
    trace = token.model.trace(token.images)
    near(lens.streams(trace), [token.start, *token.out])
    by_patch = lens.patch_lens(token.model, token.out[1], (4, 4))
    near(by_patch[1, 2, 3], answer(normalised(token.out[1][1, 1 + 2 * 4 + 3], p["norm"], eps), p))
    near(lens.patch_lens(gap.model, gap.out[-1], (6, 6)).mean((1, 2)), gap.logits)  # linear after the norm
    p, eps = distilled.model.params, distilled.config.eps
    y = normalised(distilled.out[0][1, 2 + 1 * 3 + 2], p["norm"], eps)
    found = lens.patch_lens(distilled.model, distilled.out[0], (3, 3))[1, 1, 2]
    near(found, (answer(y, p) + answer(y, p, "head_distill")) / 2)


def check_attribution(attribution):
    for name in CASES:
        case = reference(name)
        found = attribution.attribute(case.model, case.model.trace(case.images, attribution.KEEP))
        assert (np.abs(found.values.sum(1) - case.logits) <= 1e-4 * np.abs(case.logits)).all()  # every class by itself
        assert found.error < 1e-12 and found.values.shape[1] == len(found.names) == len(set(found.names))
    check_token_parts(attribution)
    check_gap_parts(attribution)


def check_token_parts(attribution):
    # part by part: (u − mean u) / σ · scale · W, with σ of the reference's own last stream
    token = reference("vit__token")
    p, last = token.model.params, token.out[-1][1, 0]
    sigma = np.sqrt(((last - last.mean()) ** 2).mean() + token.config.eps)
    found = attribution.attribute(token.model, token.model.trace(token.images, attribution.KEEP))
    w = p["blocks"][1]["attn"]["out"]["w"]
    wrote = {
        "embed": token.start[1, 0], "block2.mlp": token.mlp[2][1, 0],
        "block1.attn.bias": p["blocks"][1]["attn"]["out"]["b"],
        **{f"block1.head{h}": token.z[1][1, 0, h] @ w[32 * h : 32 * h + 32] for h in range(3)},
    }  # fmt: skip
    for name, u in wrote.items():
        expected = ((u - u.mean()) / sigma * p["norm"]["scale"]) @ p["head"]["w"]
        near(found.values[1, found.names.index(name)], expected)
    near(found.values[1, found.names.index("norm.bias")], p["norm"]["bias"] @ p["head"]["w"])
    near(found.values[1, found.names.index("head.bias")], p["head"]["b"])
    near(found.heads(token.config)[1, 1, 2], found.values[1, found.names.index("block1.head2")])


def check_gap_parts(attribution):
    # each token has its own σ; the mean comes afterwards
    gap = reference("vit__gap")
    p, x, z = gap.model.params, gap.out[-1][0], gap.z[0][0, :, 3]
    found = attribution.attribute(gap.model, gap.model.trace(gap.images, attribution.KEEP))
    u = z @ p["blocks"][0]["attn"]["out"]["w"][48:64]
    sigma = [np.sqrt(token.var() + gap.config.eps) for token in x]
    features = [(a - a.mean()) / s * p["norm"]["scale"] for a, s in zip(u, sigma, strict=True)]
    near(found.values[0, found.names.index("block0.head3")], np.mean(features, axis=0) @ p["head"]["w"])


def check_explain(explain):
    token = reference("vit__token")
    targets, trace, gradients = explain.class_gradients(token.model, token.images, [3, 7], "block*.attn.probs")
    assert targets.tolist() == [3, 7]
    near(trace["block1.attn.probs"], token.probs[1])
    for b, i, h, q, k in ((0, 0, 1, 0, 5), (1, 1, 2, 3, 4), (1, 2, 0, 0, 0)):  # slopes by central differences
        patches = [{f"block{i}.attn.probs": nudge((b, h, q, k), by)} for by in (1e-4, -1e-4)]
        up, down = (token.model.run(token.images, patch=patch)[b, targets[b]] for patch in patches)
        slope = (up - down) / 2e-4
        assert abs(gradients[f"block{i}.attn.probs"][b, h, q, k] - slope) < 1e-6 * max(abs(slope), 1)
    check_seven(explain, gradients, trace)


def nudge(where, by):
    def nudged(A):
        A = A.copy()
        A[where] += by
        return A

    return nudged


def check_seven(explain, gradients, trace):
    token = reference("vit__token")
    _, found = explain.explain(token.model, token.images, target=[3, 7])
    assert list(found) == ["attention", "rollout", "norm-weighted", "gradient", "relevance", "lens", "random"]
    near(found["attention"][1], placed(token.probs[2][1, :, 0].mean(0), 1, (4, 4)))
    R, S = np.eye(17), np.eye(17)
    for i in range(3):
        R = (token.probs[i][1].mean(0) + np.eye(17)) @ R / 2
        A = np.maximum(gradients[f"block{i}.attn.probs"][1] * token.probs[i][1], 0).mean(0)
        S = S + A @ S
    near(found["rollout"][1], placed(R[0], 1, (4, 4)))
    near(found["relevance"][1], placed(S[0], 1, (4, 4)))
    near(found["gradient"][1], placed(A[0], 1, (4, 4)))
    w = token.model.params["blocks"][2]["attn"]["out"]["w"].reshape(3, 32, 96)
    said = np.sqrt((np.einsum("hj,hjk,hkd->hjd", token.probs[2][1, :, 0], token.v[2][1], w) ** 2).sum(-1))
    near(found["norm-weighted"][1], placed(said.mean(0), 1, (4, 4)))
    near(found["lens"][1], right_lens.patch_lens(token.model, token.out[2], (4, 4))[1, :, :, 7])
    _, early = explain.explain(token.model, token.images, ["rollout", "attention"], layer=0)
    near(early["attention"][1], placed(token.probs[0][1, :, 0].mean(0), 1, (4, 4)))
    near(early["rollout"][1], placed((token.probs[0][1].mean(0)[0] + np.eye(17)[0]) / 2, 1, (4, 4)))


def check_faithful(faithful):
    token = reference("vit__token")
    change = faithful.knock_out(token.model, token.images, [3, 7])
    before = token.model.run(token.images)
    for i, h in np.ndindex(3, 3):
        after = token.model.run(token.images, patch={f"block{i}.attn.z": silenced(h)})
        near(change[:, i, h], [after[0, 3] - before[0, 3], after[1, 7] - before[1, 7]], 1e-12)
    check_curves(faithful)
    check_randomisation(faithful)


def silenced(head):
    return lambda z: np.where(np.arange(z.shape[1])[None, :, None, None] == head, 0, z)


def check_curves(faithful):
    token = reference("vit__token")
    image, values = token.images[:1], np.random.default_rng(0).permutation(16).reshape(4, 4).astype(float)
    grey, found = image.mean((1, 2))[0], []
    for gone in (0, 4, 8, 12, 16):
        x = image.copy()
        for p in np.argsort(-values.ravel())[:gone]:
            r, c = 16 * (p // 4), 16 * (p % 4)
            x[0, r : r + 16, c : c + 16] = grey
        found.append(x)
    probability = softmax(token.model.run(np.concatenate(found)))
    target = probability[0].argmax()
    curve = faithful.deletion(token.model, image, values, steps=4)
    near(curve.scores, probability[:, target])
    near(curve.auc, sum((a + b) / 8 for a, b in zip(curve.scores, curve.scores[1:], strict=False)))
    put_back = faithful.insertion(token.model, image, -values, steps=4, baseline="mean")  # the same pictures, backwards
    near(put_back.scores, curve.scores[::-1])
    blurred = faithful.blank(image, "blur", 16)
    w = np.exp(-0.5 * ((np.arange(64) - 10) / 16) ** 2), np.exp(-0.5 * ((np.arange(64) - 50) / 16) ** 2)
    near(blurred[0, 10, 50], np.einsum("i,j,ijc->c", w[0] / w[0].sum(), w[1] / w[1].sum(), image[0].astype(float)))


def softmax(logits):
    return np.array([np.exp(row) / np.exp(row).sum() for row in logits])


def check_randomisation(faithful):
    near(faithful.rank_correlation(np.array([1, 2, 3, 4.0]), np.array([10, 20, 900, 30])), 0.8)  # 1 − 6·2 / (4·15)
    near(faithful.rank_correlation(np.array([1, 1, 2]), np.array([2, 1, 3])), np.sqrt(0.75))  # ranks 1½, 1½, 3
    token, seen = reference("vit__token"), []

    def view(model):
        pairs = zip(model.params["blocks"], token.model.params["blocks"], strict=True)
        seen.append([not np.array_equal(a["mlp"]["fc1"]["w"], b["mlp"]["fc1"]["w"]) for a, b in pairs])
        return np.arange(16.0).reshape(4, 4) * (-1 if sum(seen[-1]) > 1 else 1)

    found = faithful.randomisation(token.model, view)
    assert seen == [[False] * 3] * 2 + [[False, False, True], [False, True, True], [True] * 3]
    assert [part for part, _ in found] == ["head", "block2", "block1", "block0"]
    near([rho for _, rho in found], [1, 1, -1, -1])
