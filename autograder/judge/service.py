"""The judge's own process: `python -m autograder.judge.service REPLIES COURSE [RUNG]`.

Reads one JSON object a line from standard input and writes one a line to the descriptor REPLIES; ends when its input
does. Single-threaded, and the only one that holds checks, seeds and references. Started by root, it is root no more
before it reads anything.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import traceback
from pathlib import Path
from typing import Any

from autograder.course.model import Text
from autograder.judge import descend, isolation
from autograder.judge.launchers import launcher
from autograder.judge.rungs import Launcher, Rung, SandboxError

ROOT_MAKES_NAMESPACES = Text(
    en="The fork server keeps root's rights, with which it makes the namespaces",
    zh="派生工作进程的服务保留 root 权限，用来建立命名空间",
)


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
    reply(
        {
            "rung": service.rung,
            "refused": service.refused,
            "remarks": [remark.model_dump() for remark in service.remarks],
        }
    )
    try:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                reply({"id": request["id"], "verdict": service.verdict(request)})
            except Exception as error:
                traceback.print_exc()
                told = f"{type(error).__name__}: {error}"
                reply({"id": request["id"], "error": told, "ended": service.is_broken})
                if service.is_broken:
                    return
    except BrokenPipeError:
        return  # the client is gone, and with it the reason to go on
    finally:
        service.close()


class Service:
    """The sandbox that holds on this machine, and the engine on top of it.

    remarks: what is not as it should be with the user that all this runs as.
    """

    def __init__(self, course: Path, wanted: str | None) -> None:
        self._course = course
        self.remarks: list[Text] = []
        self.is_broken = False
        early = self._leave_root(wanted) if descend.is_root() else {}
        is_roots = bool(early)
        self._open(wanted, early)
        if is_roots and self.rung == Rung.NAMESPACES:
            self.remarks.append(ROOT_MAKES_NAMESPACES)

    def _leave_root(self, wanted: str | None) -> dict[Rung, Launcher]:
        """Become a plain user, but let the fork server start first where only root may make namespaces."""
        awaits = descend.outlook(self._course)
        early: dict[Rung, Launcher] = {}
        if wanted in (None, Rung.NAMESPACES) and (awaits.obstacle or not awaits.namespaces):
            early = _started(Rung.NAMESPACES, self._course)
        descend.leave_root(self._course, awaits)
        if awaits.obstacle:
            self.remarks.append(_stays_root(awaits.obstacle))
        return early

    def _open(self, wanted: str | None, early: dict[Rung, Launcher]) -> None:
        course = self._course
        early = early or _started(Rung(wanted) if wanted else Rung.NAMESPACES, course)
        # The fork server imports torch in its own process while this one does.
        from autograder.judge.engine import Engine
        from autograder.judge.probe import choose

        chosen = choose(Rung(wanted) if wanted else None, lambda r: early.pop(r, None) or launcher(r, course))
        self._sandbox = chosen.sandbox
        if chosen.sandbox.rung is not Rung.BUBBLEWRAP:  # `bwrap` may have to be one of the programs that raise rights
            isolation.drop_privileges()
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
            self.is_broken = True
            self._open_again()
            self.is_broken = False
            verdict = self._engine.verdict(*question, secret=grading)
        return (verdict.redacted() if grading else verdict).model_dump(mode="json")

    def _open_again(self) -> None:
        from autograder.judge.probe import RungRefused

        try:
            self._open(self.rung, {})
        except RungRefused as refusal:
            # Root made the namespaces, say, which this process is no more: only a new judge can.
            raise SandboxError(f"its fork server ended, and it cannot start another one ({refusal})") from refusal

    def close(self) -> None:
        self._sandbox.close()


def _stays_root(obstacle: str) -> Text:
    return Text(
        en=f"The judge stays the user root, without root's capabilities: {obstacle}. Processes are not limited in "
        "number for root: let everybody read that, or start as another user",
        zh=f"评测器仍以 root 用户运行，但已放弃 root 的特权：{obstacle}。对 root 无法限制进程数："
        "请让所有用户都能读取它，或者换一个普通用户来启动",
    )


def _started(rung: Rung, course: Path) -> dict[Rung, Launcher]:
    try:
        return {rung: launcher(rung, course)}
    except SandboxError:
        return {}  # `choose` meets the same error, and reports it


if __name__ == "__main__":
    main()
