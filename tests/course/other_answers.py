"""Right answers that are written differently from the library's: two for every task, as students might."""

ANSWERS = {}


def answers(task):
    def register(function):
        ANSWERS.setdefault(task, []).append(function)
        return function

    return register


def all_answers():
    """{task: functions}, from the files beside this one."""
    import other_answers_a1_a2  # noqa: F401
    import other_answers_a3_a5  # noqa: F401
    import other_answers_a6_a7  # noqa: F401
    import other_answers_a8  # noqa: F401

    return ANSWERS
