"""Hypothesis for numeric tests: no deadline, since a busy machine is slow and not wrong."""

from hypothesis import settings

settings.register_profile("tilewise", deadline=None, derandomize=True)
settings.load_profile("tilewise")
