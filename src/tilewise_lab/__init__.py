"""What a notebook imports: `check`, `quiz`, `picked`, `hint`, `progress`, and `verdict` for the curious.

With it comes the module `given`, where a chapter builds on earlier exercises.

The kernel stays light: nothing here imports torch. In a kernel the judge's process is started at once, in the
background, so that the first check does not have to wait for all of it.
"""

from tilewise_lab import given, judging, place
from tilewise_lab.check import check, verdict
from tilewise_lab.hint import hint
from tilewise_lab.progress import progress
from tilewise_lab.quiz import picked, quiz

__all__ = ["check", "hint", "picked", "progress", "quiz", "verdict"]

given.install()
if place.in_kernel():
    judging.start_in_background()
