"""Hypothesis without a deadline, and one thread: a busy machine is slow and not wrong.

Small products on several threads wait for one another, six times as long as they take where others use the processor.
"""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("tilewise", deadline=None, derandomize=True)
settings.load_profile("tilewise")
