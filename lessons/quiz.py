"""The questions inside the lessons: an answer is checked on the spot, and a known mistake gets its own hint."""


def check(answer, right, hints=None):
    """Say whether an answer is right; `hints` is {wrong answer: what it overlooks}.  Three dots: not answered yet."""
    if answer is ...:
        print("… your turn: replace the three dots by your answer and run this cell again")
    elif answer == right:
        print(f"✓ right: {right}")
    else:
        known = [hint for wrong, hint in (hints or {}).items() if wrong == answer]
        print(f"✗ {answer} is not it: {known[0] if known else 'look at the shapes above once more'}")
