# How nbgrader runs this class. Every nbgrader command given in this folder, and formgrader, reads it.
from autograder.nbgrader_plugin import configure

c = get_config()  # noqa: F821  (nbgrader defines it)
c.CourseDirectory.course_id = "{course_id}"
configure(c)  # the Tilewise judge grades, and hand-ins are taken in safely
# On the rung "child" a hand-in can reach the gradebook, and grading is refused. To accept that, knowingly:
# c.JudgeCells.unsafe = True
