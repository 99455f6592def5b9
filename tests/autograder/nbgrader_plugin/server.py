"""formgrader as an instructor gets it: served by a real JupyterLab that is started in the class's folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

START_SECONDS = 120
TOKEN = "a-token-for-this-test"


class Formgrader:
    """Talks to formgrader as a browser does: with the session's cookies, and the XSRF cookie sent back as a header."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def page(self, path: str, method: str = "GET") -> str:
        request = urllib.request.Request(f"{self.root}{path}", method=method, data=b"" if method == "POST" else None)
        request.add_header("Authorization", f"token {TOKEN}")
        for cookie in self.cookies:
            if cookie.name == "_xsrf":
                request.add_header("X-XSRFToken", cookie.value or "")
        with self.opener.open(request, timeout=START_SECONDS) as answer:
            return answer.read().decode("utf-8")

    def json(self, path: str, method: str = "GET") -> Any:
        return json.loads(self.page(f"/formgrader/api{path}", method))


@contextlib.contextmanager
def serve(classroom: Path, home: Path) -> Iterator[Formgrader]:
    """Run JupyterLab in a class, with nothing of the user's own settings; give a client once formgrader answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "JUPYTER_RUNTIME_DIR": str(home / "run")}
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [Path(sys.executable).parent / "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}",
             "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"],
            cwd=classroom, env=os.environ | quiet, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        client = Formgrader(port)
        _wait_for(client, server, home / "server.log")
        yield client
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(client: Formgrader, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            client.json("/status")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.3)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")
