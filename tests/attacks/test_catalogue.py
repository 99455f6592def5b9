"""README.md lists every attack with its proof: each proof exists, and every hostile student is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autograder.course.model import Course
from tests.attacks.everyone import hostile
from tests.attacks.files import named

TESTS = Path(__file__).parents[1]
CATALOGUE = Path(__file__).with_name("README.md")
VERDICTS = {"WA", "RE", "TLE", "MLE", "PE", "FB", "MF", "FL", "OK", "on merit", "ungraded"}


def rows() -> list[tuple[str, str, list[str]]]:
    """Give attack, verdict and proofs of every row; a proof is what stands in backquotes."""
    found = []
    for line in CATALOGUE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "attack":
            found.append((cells[0], cells[1], re.findall(r"`([^`]+)`", cells[2])))
    return found


def is_there(proof: str) -> bool:
    """Say whether a test exists, and the case that is named in brackets."""
    file, _, test = proof.partition("::")
    name, _, case = test.removesuffix("]").partition("[")
    path = TESTS / file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return f"\ndef {name}(" in text and case in text


def test_every_proof_exists(course: Course, tmp_path: Path) -> None:
    students = {submission.student for submission in hostile(course, tmp_path)}
    proofs = [proof for _, _, proofs in rows() for proof in proofs]
    assert [p for p in proofs if not (is_there(p) if "::" in p else p in students)] == []


def test_every_hostile_student_is_listed(course: Course, tmp_path: Path) -> None:
    listed = {proof for _, _, proofs in rows() for proof in proofs}
    odd_names = {submission.student for submission in named({})}
    students = {submission.student for submission in hostile(course, tmp_path)} - odd_names
    assert students - listed == set()


def test_every_attack_has_a_verdict_and_a_proof() -> None:
    assert len(rows()) > 50
    for attack, verdict, proofs in rows():
        assert any(word in verdict for word in VERDICTS), attack
        assert proofs, attack


@pytest.mark.parametrize("proof", ["attacks/test_gone.py::test_x", "attacks/test_catalogue.py::test_x"])
def test_a_proof_that_is_gone_is_noticed(proof: str) -> None:
    assert not is_there(proof)
