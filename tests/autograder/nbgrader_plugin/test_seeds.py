from __future__ import annotations

from pathlib import Path

import pytest

from autograder.nbgrader_plugin.seeds import SEED_BITS, draw_anew, secret_seed


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'gradebook.db'}"


def test_a_seed_is_drawn_once_and_kept(url) -> None:
    assert secret_seed(url, "03_online_softmax") == secret_seed(url, "03_online_softmax")


def test_assignments_and_classes_have_seeds_of_their_own(url, tmp_path) -> None:
    seeds = [secret_seed(url, "a"), secret_seed(url, "b"), secret_seed(f"sqlite:///{tmp_path / 'other.db'}", "a")]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 1 << SEED_BITS for seed in seeds)


def test_drawing_anew_changes_one_assignment_only(url) -> None:
    first, other = secret_seed(url, "a"), secret_seed(url, "b")
    draw_anew(url, "a")
    assert secret_seed(url, "a") != first
    assert secret_seed(url, "b") == other


def test_drawing_anew_before_the_first_run_is_harmless(url) -> None:
    draw_anew(url, "a")
    secret_seed(url, "a")
