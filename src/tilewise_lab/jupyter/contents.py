"""The files that JupyterLab opens: as they lie on the disk, but for quizzes and progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

from autograder.course.model import CourseError
from tilewise_lab import still


class LearnersFiles(AsyncLargeFileManager):
    """Gives notebooks out with their quizzes and progress as the record has them; see `tilewise_lab.still`."""

    async def get(self, path: str, content: bool = True, *args: Any, **kwargs: Any) -> dict[str, Any]:
        model: dict[str, Any] = await super().get(path, content, *args, **kwargs)
        if content and model["type"] == "notebook":
            try:
                still.redraw(model["content"], Path(self._get_os_path(path)).parent)
            except CourseError as error:
                self.log.warning("Quizzes and progress are shown as they were saved: %s", error)
        return model
