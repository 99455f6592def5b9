"""Start JupyterLab on a learner's folder, quiet and offline, and stop it cleanly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

CONFIG = Path(__file__).parent / "config"
LAB_EXTENSIONS = Path(__file__).parent / "labextensions"
START_SECONDS = 60.0
PORT_TRIES = 3
STOP_SECONDS = 10.0
LOG_LINES_SHOWN = 15


class ServerError(Exception):
    """JupyterLab did not start, or ended by itself; holds the last lines of its log."""


class Server:
    """One running JupyterLab. `url` opens its front page; `address(path)` opens a file."""

    def __init__(self, info: Mapping[str, Any], process: subprocess.Popen[bytes] | None, log: Path) -> None:
        self.url, self._token = info["url"], info["token"]
        self._process, self._log = process, log

    def address(self, path: str) -> str:
        """Give the address, access token included, that opens `path` (relative to the served folder)."""
        return f"{self.url}lab/tree/{quote(path)}?token={self._token}"

    def wait(self) -> None:
        """Wait until JupyterLab ends by itself (File > Shut Down); raise ServerError when it failed."""
        if self._process is not None and (code := self._process.wait()) != 0:
            raise ServerError(f"JupyterLab ended with status {code}. The end of {self._log}:\n{_tail(self._log)}")

    def stop(self) -> None:
        """Stop the server and its kernels; SIGTERM is the signal at which Jupyter asks nothing."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def environment(state: Path, language: str, base: Mapping[str, str]) -> dict[str, str]:
    """Give the environment in which Jupyter keeps everything of its own below `state`.

    Every JUPYTER* variable of the user is dropped: kernels and settings of another Jupyter could break this one.
    """
    kept = {name: value for name, value in base.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    layers = [CONFIG / language, CONFIG / "all"]
    return kept | {
        "IPYTHONDIR": str(state / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(state / "config"),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(str(layer) for layer in layers),
        "JUPYTER_DATA_DIR": str(state / "data"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
    }


def running(state: Path) -> Server | None:
    """Find the server that an earlier call left running on the same folder, if there is one."""
    for file in sorted((state / "runtime").glob("jpserver-*.json")):
        info = _read_info(file)
        if info is not None and _answers(info):
            return Server(info, None, state / "jupyter.log")
        if not _is_alive(int(file.stem.removeprefix("jpserver-"))):
            file.unlink()  # its server was killed before it could tidy up
    return None


def start(folder: Path, state: Path, language: str, port: int) -> Server:
    """Start JupyterLab on `folder` at `port`, or the next free one, and wait until it answers; raise ServerError."""
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o700)  # its log holds the access token
    _forget_layout(state)
    for _ in range(PORT_TRIES - 1):
        try:
            return _start_once(folder, state, language, port)
        except _PortTakenError:
            continue
    return _start_once(folder, state, language, port)


class _PortTakenError(ServerError):
    """Somebody took the port between Jupyter's look at it and its use of it; the next try finds another."""


def _start_once(folder: Path, state: Path, language: str, port: int) -> Server:
    log = state / "jupyter.log"
    options = {
        "ServerApp.port": port,
        "ServerApp.root_dir": folder,
        "LabApp.extra_labextensions_path": LAB_EXTENSIONS,
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    with log.open("wb") as output:
        # A session of its own: Ctrl-C then reaches only us, and we stop the server without its "are you sure?".
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(state, language, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return Server(_await_answer(process, state / "runtime" / f"jpserver-{process.pid}.json", log), process, log)
    except BaseException:  # Ctrl-C while it starts must not leave it behind either
        process.kill()
        process.wait()
        raise


def _await_answer(process: subprocess.Popen[bytes], info_file: Path, log: Path) -> dict[str, Any]:
    """Wait until the server answers to its own token. Jupyter writes the file before it listens."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        info = _read_info(info_file)
        if info is not None and _answers(info):
            return info
        if process.poll() is not None:
            kind = ServerError if info is None else _PortTakenError
            info_file.unlink(missing_ok=True)
            raise kind(f"JupyterLab did not start. The end of {log}:\n{_tail(log)}")
        time.sleep(0.05)
    raise ServerError(f"JupyterLab did not answer within {START_SECONDS:.0f} s. The end of {log}:\n{_tail(log)}")


def _read_info(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # not written yet, or only half
        return None
    return found


def _answers(info: Mapping[str, Any]) -> bool:
    connection = HTTPConnection(info["hostname"], info["port"], timeout=START_SECONDS)  # whatever proxy is configured
    try:
        connection.request("GET", "/api/status", headers={"Authorization": f"token {info['token']}"})
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _forget_layout(state: Path) -> None:
    """Drop the remembered tabs, so that the page that is asked for is the one that opens."""
    for file in (state / "workspaces").glob("*.jupyterlab-workspace"):
        file.unlink()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES_SHOWN:])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
