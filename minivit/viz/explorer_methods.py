"""What the explorer can show, in words; explorer.js knows how each is drawn.  {block}, {head} … are filled in there.

name: of the button; says: what is seen; about: how it is made and scaled; unit: what the colour means.
What it depends on besides the block: heads, query (the chosen token), answer (a class).  signed: it has numbers below
0; sums: the sum over the patches means something.
"""

METHODS = {
    "attention": {
        "name": "Looks at",
        "says": "Attention in block {block}, {head}: where {token} looks",
        "about": "A row of A = softmax(q kᵀ / √K) as the model computed it, not rescaled: over all tokens it sums to 1 "
        "(“max” and “min” take the largest or smallest head square by square, so they sum to more or less).",
        **{"unit": "attention weight", "heads": True, "query": True, "sums": True},
    },
    "received": {
        "name": "Is looked at by",
        "says": "Attention in block {block}, {head}: who looks at {token}",
        "about": "A column of the same matrix, not rescaled: how much of each square's attention goes to the chosen "
        "token. Columns need not sum to 1; a token that everyone looks at is a sink.",
        **{"unit": "attention weight", "heads": True, "query": True, "sums": True},
    },
    "rollout": {
        "name": "Rollout",
        "says": "Attention rollout, blocks 0 to {block}: which squares have reached {token}",
        "about": "Attention of all blocks so far multiplied, heads averaged; half of every step is the residual "
        "stream. Sums to 1 over all tokens. It knows neither values nor classes (Abnar & Zuidema, arXiv:2005.00928).",
        **{"unit": "share of the input", "query": True, "sums": True},
    },
    "relevance": {
        "name": "Relevance",
        "says": "Relevance for “{class}”, blocks 0 to {block}, as the {asker} reads it",
        "about": "Attention times the gradient of this class's logit where that is positive, averaged over heads and "
        "accumulated over blocks; not normalised (Chefer et al., arXiv:2103.15679).",
        **{"unit": "relevance", "answer": True},
    },
    "lens": {
        "name": "Logit lens",
        "says": "Logit lens after block {block}: how much each square alone says “{class}”",
        "about": "The model's own head applied to every token between the blocks; softmax over all classes. It was "
        "trained for the end of the last block, so early answers are only a reading (Vilas et al., arXiv:2310.18969).",
        **{"unit": "probability", "answer": True},
    },
    "similar": {
        "name": "Similar tokens",
        "says": "Residual stream after block {block}: cosine of {token} with each square",
        "about": "1 is the same direction, 0 unrelated, −1 opposite. In many blocks all tokens share a large common "
        "part, so compare the squares with one another (Amir et al., arXiv:2112.05814).",
        **{"unit": "cosine", "query": True, "signed": True},
    },
    "length": {
        "name": "Length",
        "says": "Residual stream after block {block}: how long the vector of each square is",
        "about": "Some models use a few squares as notepads for the whole picture: very long vectors that everyone "
        "looks at and that say little about their place (Darcet et al., arXiv:2309.16588).",
        "unit": "‖z‖",
    },
}
