"""The machine: compilers, room to write, a port, fonts."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from autograder.course.model import Text
from tilewise_lab.health.finding import Finding, absent, fails, same, works
from tilewise_lab.health.processes import SLOW_REMEDY, Unanswered, run

MIB = 1 << 20
ROOM_MIB = 500
FIRST_PORT, PORTS = 8888, 50  # where `tilewise learn` asks JupyterLab to begin, and how far that looks
COMPILERS = ("c++", "g++", "clang++")
PROGRAM = """
#include <cstdio>
#include <numeric>
#include <vector>
int main() {
    std::vector<int> numbers(9);
    std::iota(numbers.begin(), numbers.end(), 0);
    std::printf("%d", std::accumulate(numbers.begin(), numbers.end(), 0));
}
"""
EXPECTED = "36"
KERNEL = "__global__ void twice(float *x, int n) { int i = threadIdx.x; if (i < n) x[i] *= 2; }\n"
INSTALL_COMPILER = Text(
    en="Install one. Debian and Ubuntu: apt-get install g++. Fedora: dnf install gcc-c++. macOS: xcode-select "
    "--install. conda: conda install cxx-compiler.",
    zh="请安装一个。Debian 和 Ubuntu：apt-get install g++；Fedora：dnf install gcc-c++；macOS：xcode-select --install；"
    "conda：conda install cxx-compiler。",
)


def compiler() -> Finding:
    """Compile a C++ program and run it."""
    chosen = os.environ.get("CXX", "").split()
    found = shutil.which(chosen[0]) if chosen else next(filter(None, map(shutil.which, COMPILERS)), None)
    if found is None:
        names = chosen[0] if chosen else ", ".join(COMPILERS)
        return fails(Text(en=f"not found: {names}", zh=f"没有找到：{names}"), INSTALL_COMPILER)
    try:
        printed = _compiled_and_run([found, *chosen[1:]])
    except Unanswered as failure:
        seen = Text(en=f"{found} {failure.reason.en}", zh=f"{found} {failure.reason.zh}")
        return fails(seen, SLOW_REMEDY if failure.is_late else INSTALL_COMPILER)
    if printed != EXPECTED:
        return fails(
            Text(
                en=f"{found}: the program printed {printed[:40]!r}, not {EXPECTED!r}",
                zh=f"{found}：程序打印了 {printed[:40]!r}，应为 {EXPECTED!r}",
            ),
            INSTALL_COMPILER,
        )
    return works(Text(en=f"{found} compiles, and the program runs", zh=f"{found} 能编译，程序能运行"))


def _compiled_and_run(command: list[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="tilewise-doctor-") as folder:
        source, program = Path(folder, "program.cpp"), Path(folder, "program")
        source.write_text(PROGRAM, encoding="utf-8")
        run([*command, "-std=c++17", "-O1", str(source), "-o", str(program)])
        return run([str(program)])


def cuda_compiler() -> Finding:
    """Compile a kernel with nvcc, where there is one. It is not run: that is the GPU's examination."""
    found = shutil.which("nvcc")
    if found is None:
        return absent(
            Text(en="there is no nvcc", zh="没有 nvcc"),
            Text(
                en="Nothing to do: the CUDA chapters run on the CPU. It comes with NVIDIA's CUDA toolkit.",
                zh="什么都不用做：CUDA 的章节可以在 CPU 上运行。它随 NVIDIA 的 CUDA 工具包安装。",
            ),
        )
    with tempfile.TemporaryDirectory(prefix="tilewise-doctor-") as folder:
        source = Path(folder, "kernel.cu")
        source.write_text(KERNEL, encoding="utf-8")
        try:
            run([found, "-c", str(source), "-o", str(Path(folder, "kernel.o"))])
        except Unanswered as failure:
            return fails(
                Text(en=f"{found} {failure.reason.en}", zh=f"{found} {failure.reason.zh}"),
                Text(
                    en="Reinstall the CUDA toolkit, with a C++ compiler that it supports. No chapter needs it.",
                    zh="请重新安装 CUDA 工具包，并配上它支持的 C++ 编译器。没有哪一章必须用到它。",
                ),
            )
    return works(Text(en=f"{found} compiles a kernel (not run here)", zh=f"{found} 能编译 kernel（这里没有运行）"))


def free_port() -> Finding:
    """Find the port that `tilewise learn` would get."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(("127.0.0.1", port))
            except OSError:
                continue
        return works(same(str(port)))
    last = FIRST_PORT + PORTS - 1
    return fails(
        Text(en=f"none from {FIRST_PORT} to {last} is free", zh=f"{FIRST_PORT} 到 {last} 都被占用"),
        Text(
            en="End servers that you no longer use: `jupyter server list` names them, `jupyter server stop PORT` ends "
            "one.",
            zh="请关掉不再使用的服务：`jupyter server list` 列出它们，`jupyter server stop 端口` 关掉其中一个。",
        ),
    )


def writable(folder: Path) -> Finding:
    """Write where `tilewise learn` would: in the learner's folder, or in the nearest one above it that is there."""
    place = _nearest(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".tilewise-doctor-", dir=place) as made:
            Path(made, "written").write_text("yes", encoding="utf-8")
    except OSError as error:
        return fails(
            Text(en=f"cannot write in {place}: {error.strerror}", zh=f"无法写入 {place}：{error.strerror}"),
            Text(
                en="Make it yours (chown, chmod), or keep your work elsewhere: `tilewise learn --dir FOLDER`.",
                zh="请取得它的写权限（chown、chmod），或者把作业放在别处：`tilewise learn --dir 文件夹`。",
            ),
        )
    if place == folder:
        return works(same(str(folder)))
    return works(Text(en=f"{folder} can be made", zh=f"可以新建 {folder}"))


def temporary() -> Finding:
    """Find the folder for temporary files, which checks and these examinations need."""
    try:
        return works(same(str(_temporary_folder())))
    except FileNotFoundError:
        return fails(
            Text(en="no folder for them can be written in", zh="没有可以写入的文件夹来存放它们"),
            Text(
                en="Make /tmp writable, or set TMPDIR to a folder of yours; then run `tilewise doctor` again.",
                zh="请让 /tmp 可以写入，或者把 TMPDIR 设为你自己的文件夹；然后再运行一次 `tilewise doctor`。",
            ),
        )


def room(folder: Path) -> Finding:
    """Ask for free space where work is kept and where checks put their temporary files."""
    free = {
        place: shutil.disk_usage(place).free // MIB for place in dict.fromkeys((_nearest(folder), _temporary_folder()))
    }
    seen = ", ".join(f"{place}: {mib / 1024:.1f} GiB" for place, mib in free.items())
    if min(free.values()) >= ROOM_MIB:
        return works(Text(en=f"free in {seen}", zh=f"可用空间 {seen}"))
    return fails(
        Text(en=f"only this is free: {seen}", zh=f"可用空间只有 {seen}"),
        Text(
            en=f"Free at least {ROOM_MIB} MiB in each, or set TMPDIR to a folder on a larger disk.",
            zh=f"请在每一处腾出至少 {ROOM_MIB} MiB，或者把 TMPDIR 设为更大磁盘上的文件夹。",
        ),
    )


def chinese_font() -> Finding:
    """Look for a font with Chinese characters on this machine, where the browser may well be another's."""
    if sys.platform == "darwin":
        return works(Text(en="macOS has one", zh="macOS 自带"))
    lister = shutil.which("fc-list")
    if lister is None:
        return absent(
            Text(en="not looked for: there is no fc-list", zh="没有检查：没有 fc-list"),
            Text(en="Debian: apt-get install fontconfig", zh="Debian：apt-get install fontconfig"),
        )
    families = sorted(line.split(",")[0].strip() for line in run([lister, ":lang=zh-cn", "family"]).splitlines())
    if families:
        return works(same(families[0]))
    return fails(
        Text(en="none on this machine", zh="这台机器上没有"),
        Text(
            en="Only labels inside figures drawn here need it. Debian: apt-get install fonts-noto-cjk.",
            zh="只有在这里绘制的图中的文字需要它。Debian：apt-get install fonts-noto-cjk。",
        ),
    )


def _nearest(folder: Path) -> Path:
    """Give the folder, or the first above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _temporary_folder() -> Path:
    return Path(tempfile.gettempdir())
