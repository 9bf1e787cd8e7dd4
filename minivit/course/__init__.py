"""The course: assignments made from the library, a checker that names mistakes, and the bundles that are handed out.

from minivit.course import check
check("A2.1", softmax)                     # in a notebook or at a prompt
minivit grade my_folder                    # every task of a folder, each in a process of its own
minivit course build --student handout     # what students get
"""


def check(task, function, hidden=None):
    """Check a function for a task such as "A2.1", and print what is right or wrong with it.

    Returns the Result, which is true if the function is right.  hidden: a seed for more checks, of which only the title
    is told.  Raises InputError for an unknown task.
    """
    from . import answers, assignments, checker, report, worker

    task = assignments.task(task)
    others = worker.others_beside(task) if answers.strict() else None
    result = checker.run(task, function, hidden=hidden, others=others)
    print(report.text(result))
    return result
