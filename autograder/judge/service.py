"""The judge's own process: `python -m autograder.judge.service REPLIES COURSE [RUNG]`.

Reads one JSON object a line from standard input and writes one a line to the descriptor REPLIES; ends when its input
does. Single-threaded, and the only one that holds checks, seeds and references.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import traceback
from pathlib import Path
from typing import Any

from autograder.judge.launchers import launcher
from autograder.judge.rungs import Launcher, Rung, SandboxError


def main() -> None:
    sys.dont_write_bytecode = True  # checks are imported from the course's folders, which are not ours to litter
    replies = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1)
    course = Path(sys.argv[2])
    wanted = sys.argv[3] if len(sys.argv) > 3 else None

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message, ensure_ascii=True) + "\n")

    try:
        service = Service(course, wanted)
    except Exception as error:
        traceback.print_exc()
        reply({"failed": f"{error}"})
        return
    reply({"rung": service.rung, "refused": service.refused})
    try:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                reply({"id": request["id"], "verdict": service.verdict(request)})
            except Exception as error:
                traceback.print_exc()
                reply({"id": request["id"], "error": f"{type(error).__name__}: {error}"})
    except BrokenPipeError:
        return  # the client is gone, and with it the reason to go on
    finally:
        service.close()


class Service:
    """The sandbox that holds on this machine, and the engine on top of it."""

    def __init__(self, course: Path, wanted: str | None) -> None:
        self._course = course
        self._open(wanted)

    def _open(self, wanted: str | None) -> None:
        course = self._course
        rung = Rung(wanted) if wanted else Rung.NAMESPACES
        early: dict[Rung, Launcher] = {}
        with contextlib.suppress(SandboxError):  # then `choose` meets the same error, and reports it
            early[rung] = launcher(rung, course)
        # The fork server imports torch in its own process while this one does.
        from autograder.judge.engine import Engine
        from autograder.judge.probe import choose

        chosen = choose(Rung(wanted) if wanted else None, lambda r: early.pop(r, None) or launcher(r, course))
        self._sandbox = chosen.sandbox
        self.rung = str(chosen.sandbox.rung)
        self.refused = {str(rung): reason for rung, reason in chosen.refused.items()}
        self._engine = Engine(course, self._sandbox)

    def verdict(self, request: dict[str, Any]) -> dict[str, Any]:
        grading = request["grading"]
        seed = request["seed"] if request["seed"] is not None else secrets.randbelow(1 << 31)
        question = request["exercise"], request["source"], seed
        try:
            verdict = self._engine.verdict(*question, secret=grading)
        except SandboxError:
            traceback.print_exc()
            # It broke: its fork server was killed, say. Another of the same rung, and never of a lower one.
            self.close()
            self._open(self.rung)
            verdict = self._engine.verdict(*question, secret=grading)
        return (verdict.redacted() if grading else verdict).model_dump(mode="json")

    def close(self) -> None:
        self._sandbox.close()


if __name__ == "__main__":
    main()
