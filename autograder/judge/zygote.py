"""The fork server: has torch in memory, holds no secret, runs no student code, and makes a worker on request.

It stands outside the sandbox, started with an empty environment and without `site`, so that what a worker inherits is
torch and these few files. Single-threaded: forking after torch has used threads hangs. For each worker it forks a
supervisor, which shuts a second fork in and becomes the one that ends it:

    judge ---- control ----> zygote           "make a worker", with three descriptors
      |                        | fork
      +------- life -------> supervisor       outside the namespaces; kills the worker when the judge lets go
      |                        | fork
      +--- channel, output --> worker         inside; runs the student's code
"""

import ctypes
import gc
import importlib.machinery
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import types

MESSAGE_BYTES = 65536
CLEANING_SECONDS = 5.0
WEIGHING_SECONDS = 0.25
BLOCK = 4096
LARGE_PAGE = 2 << 20
MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25


def load(folder, name):
    """Load a file beside this one, without the package around it."""
    module = types.ModuleType(name)
    with open(os.path.join(folder, f"{name}.py"), encoding="utf-8") as file:
        exec(compile(file.read(), f"{name}.py", "exec"), module.__dict__)
    sys.modules[name] = module
    return module


def main():
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.recv(MESSAGE_BYTES))
    sys.path.extend(settings["packages"])
    sys.dont_write_bytecode = True
    here = os.path.dirname(os.path.abspath(__file__))
    isolation, worker, syscalls, landlock = (load(here, n) for n in ("isolation", "worker", "filter", "landlock"))
    worker.warm_up(settings["packages"])
    settings["privileged"] = isolation.is_privileged()
    if settings["rung"] == "landlock":
        settings["reading"] = landlock.readable(settings["shown"], settings["hidden"])
        list_for_good()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors report to the judge; the kernel may reap them
    gc.collect()
    gc.freeze()  # a collection in a fork would write to, and so copy, every object's page
    control.send(b"ready")
    chores = large_pages()
    while True:
        while not select.select([control], [], [], 0)[0] and next(chores, None):
            pass
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            Supervisor(isolation, worker, syscalls, landlock, settings, int(message), descriptors).run()
        for descriptor in descriptors:
            os.close(descriptor)


def list_for_good():
    """Have the importer list every folder of its path now, and never again, even where something changed in one.

    Behind Landlock, those with something hidden in them cannot be listed.
    """
    importlib.util.find_spec("a_module_that_is_nowhere")
    for folder in sys.path:
        finder = sys.path_importer_cache.get(folder)
        finder = getattr(finder, "finder", finder)
        if isinstance(finder, importlib.machinery.FileFinder):
            vars(finder)["_fill_cache"] = lambda: None


def large_pages():
    """Move this process's memory into 2 MiB pages, one at each step: a fork copies 500 times fewer table entries.

    Measured: 8 to 10 ms a fork before, 1 ms after. The kernel may decline any of it, which costs speed alone.
    """
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with open("/proc/self/maps") as file:
        regions = [line.split() for line in file]
    for region in regions:
        if region[1] == "rw-p" and (len(region) == 5 or region[5] == "[heap]"):
            low, high = (int(end, 16) for end in region[0].split("-"))
            for start in range(-(-low // LARGE_PAGE) * LARGE_PAGE, high // LARGE_PAGE * LARGE_PAGE, LARGE_PAGE):
                libc.madvise(start, LARGE_PAGE, MADV_HUGEPAGE)
                libc.madvise(start, LARGE_PAGE, MADV_COLLAPSE)
                yield start


class Supervisor:
    """Starts one worker, watches the judge's end of `life`, and reports there how the worker ended.

    user: whom the worker's `nobody` is outside of its namespaces, where this process may choose.
    """

    def __init__(self, isolation, worker, syscalls, landlock, settings, user, descriptors):
        self.isolation, self.worker, self.syscalls, self.landlock = isolation, worker, syscalls, landlock
        self.settings, self.user = settings, user
        life, self.channel, self.output = descriptors
        self.life = socket.socket(fileno=life)

    def run(self):
        """Never returns."""
        status = {"problem": "the supervisor failed"}
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            self.life.send(json.dumps({"supervisor": os.getpid()}).encode())
            status = self._in_namespaces() if self.settings["rung"] == "namespaces" else self._as_child()
        except BaseException as error:
            status = {"problem": f"{type(error).__name__}: {error}"[:500]}
        finally:
            try:
                self.life.send(json.dumps(status).encode())
            finally:
                os._exit(0)

    def _in_namespaces(self):
        privileged = self.settings["privileged"]
        self.isolation.leave_the_machine(privileged)
        entered, entered_end = os.pipe()
        mapped, mapped_end = os.pipe()
        child = os.fork()
        if child == 0:
            self._guarded(self._shut_in, entered_end, mapped)
        os.close(entered_end)
        os.close(mapped)
        if privileged and os.read(entered, 1):
            self.isolation.write_user_map(child, self.user, self.user)
        os.close(mapped_end)
        return self._watch(child)

    def _shut_in(self, entered_end, mapped):
        isolation, settings = self.isolation, self.settings
        os.setsid()  # a signal to one's own group (kill 0, for there getppid is 0) must not reach the supervisor
        isolation.build_root(settings["shown"], settings["hidden"], settings["temporary_bytes"])
        if settings["privileged"]:
            isolation.new_user_namespace(self.user)
            os.write(entered_end, b"x")
            self._close_all_but(self.life.fileno(), mapped)  # the parent's closing must be the last
            os.read(mapped, 1)
        isolation.become(isolation.NOBODY)
        isolation.die_with_parent()
        isolation.forbid_nested_namespaces()
        isolation.drop_privileges()
        self._serve(settings["processes"], self.syscalls.build())

    def _as_child(self):
        """Start the worker where no namespaces are; walled in by Landlock, or not at all."""
        walled = self.settings["rung"] == "landlock"
        self.isolation.adopt_orphans()
        folder = tempfile.mkdtemp(prefix="tilewise-")
        try:
            child = os.fork()
            if child == 0:
                self._guarded(self._limited, folder, walled)
            status = self._watch(child, folder, leads_a_group=True)
            self._kill_descendants()
            return status
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _limited(self, folder, walled):
        os.setsid()
        self.isolation.die_with_parent()
        os.chdir(folder)
        tempfile.tempdir = folder
        os.environ |= dict.fromkeys(("TMPDIR", "HOME", "TORCHINDUCTOR_CACHE_DIR"), folder)
        # The kernel counts all processes of this user, so the room is given on top of those that run already.
        processes = self.settings["processes"] + _processes_of(os.getuid())
        program = b""
        if walled:
            program = self.syscalls.build(own=os.getpid())
            self.landlock.confine(self.settings["reading"], folder, self.landlock.version())
            self.isolation.drop_privileges()
        self._serve(processes, program)

    def _serve(self, processes, program):
        self._close_all_but()
        if program:
            self.syscalls.install(program)
        self.worker.serve(self.channel, self.output, processes)

    def _guarded(self, start, *arguments):
        """Run the worker's side of the fork; a failure to shut it in is told to the judge, and nothing runs."""
        try:
            start(*arguments)
        except BaseException as error:
            self.life.send(json.dumps({"problem": f"{type(error).__name__}: {error}"[:500]}).encode())
        finally:
            os._exit(1)

    def _close_all_but(self, *more):
        kept = sorted({self.channel, self.output, *more})
        for low, high in zip([3, *(k + 1 for k in kept)], [*kept, 1 << 16], strict=True):
            os.closerange(low, high)

    def _watch(self, child, folder=None, *, leads_a_group=False):
        """Wait until the worker ends, the judge lets go, or the folder grows too heavy; then see the worker dead."""
        os.close(self.channel)
        os.close(self.output)
        handle = os.pidfd_open(child)
        too_heavy = False
        while not too_heavy and not _is_readable(handle, self.life, seconds=WEIGHING_SECONDS if folder else None):
            too_heavy = _weight_of(folder) > self.settings["temporary_bytes"]
        if not _is_readable(handle, seconds=0):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        if leads_a_group:
            _kill_group(child)
        _, status = os.waitpid(child, 0)
        if too_heavy:
            return {"signal": signal.SIGXFSZ}
        if os.WIFSIGNALED(status):
            return {"signal": os.WTERMSIG(status)}
        return {"code": os.WEXITSTATUS(status)}

    def _kill_descendants(self):
        """Kill what the worker left behind; being the subreaper, this process is the parent of all of it."""
        deadline = time.monotonic() + CLEANING_SECONDS
        while time.monotonic() < deadline:
            try:
                ended, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not ended:
                for pid in _children_of(os.getpid()):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.001)
        raise TimeoutError(f"processes of the answer were still there after {CLEANING_SECONDS} s")


def _is_readable(*files, seconds):
    return bool(select.select(files, [], [], seconds)[0])


def _kill_group(leader):
    """Kill a process group at one stroke, so that no member escapes by forking. Its leader is not reaped yet.

    On Landlock's rung nothing can leave the group. Elsewhere this thins out a fork bomb before its parts are hunted.
    """
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return  # it was killed before it came to lead a group, so it has started nothing


def _weight_of(folder):
    """Give the bytes that a folder takes with all below it, its files' entries included."""
    total = 0
    for place, _, files in os.walk(folder):
        total += BLOCK
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512 + BLOCK
            except FileNotFoundError:
                continue  # it was removed while we looked
    return total


def _children_of(parent):
    return [pid for pid, its_parent in _parents() if its_parent == parent]


def _parents():
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    yield int(name), int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked


def _processes_of(user):
    count = 0
    for pid, _ in _parents():
        try:
            if os.stat(f"/proc/{pid}").st_uid == user:
                count += len(os.listdir(f"/proc/{pid}/task"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return count


if __name__ == "__main__":
    main()
