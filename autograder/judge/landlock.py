"""Confine a process to a few files, without privileges and without namespaces: Linux's Landlock. Stands alone.

What it confines is the opening, making and removing of files. It does not look at their names, sizes, times and
modes, at sockets that have a path, nor, before version 6, at signals: the filter refuses what can be refused of that
(`filter.build`), and what is left is why no rung on Landlock promises that two calls share nothing.
"""

import contextlib
import ctypes
import errno
import os
import stat

libc = ctypes.CDLL(None, use_errno=True)

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on all machines
ASK_VERSION, PATH_BENEATH = 1, 1
PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
MAKE_REGULAR = 1 << 8
TRUNCATE = 1 << 14
# The file rights that each version of Landlock knows, up to and with the one of this bit.
NEWEST_RIGHT = {1: 12, 2: 13, 3: 14, 4: 14, 5: 15}
SINCE_NETWORK, TCP = 4, 0b11  # bind, connect
SINCE_SCOPES, SCOPES = 6, 0b11  # abstract UNIX sockets, signals

OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
READING = EXECUTE | READ_FILE | READ_DIR
# Files can be made but not removed, so that the folder can be weighed; and no folders, so that it can be emptied.
WRITING = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | MAKE_REGULAR
DEVICES = {
    "/dev/null": READ_FILE | WRITE_FILE,
    "/dev/zero": READ_FILE,
    "/dev/urandom": READ_FILE,
    "/dev/random": READ_FILE,
}


class Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _call(what, number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


def version():
    """Give the version of Landlock that this kernel offers; raise OSError, with what to do, where there is none."""
    try:
        return _call("landlock_create_ruleset", CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION)
    except OSError as error:
        reason = {
            errno.ENOSYS: "this kernel is built without Landlock, or older than Linux 5.13",
            errno.EOPNOTSUPP: "Landlock is switched off; add it to lsm= where the kernel is started",
            errno.EPERM: "the container forbids Landlock's system calls; its seccomp profile has to allow landlock_*",
        }.get(error.errno or 0, str(error))
        raise OSError(error.errno, reason) from None


def ruleset(known):
    """Give what is forbidden unless a rule allows it: all that this version of Landlock knows."""
    return Ruleset(
        files=(2 << NEWEST_RIGHT[min(known, max(NEWEST_RIGHT))]) - 1,
        network=TCP if known >= SINCE_NETWORK else 0,
        scopes=SCOPES if known >= SINCE_SCOPES else 0,
    )


def readable(shown, hidden):
    """Give the paths to allow so that all of `shown` can be read but nothing of `hidden`; the deeper one wins.

    Landlock can only add: a folder that holds something hidden is left out, and what else lies in it is allowed one
    by one. Links in such a folder are left out too, for what they lead to is shown in its own place or not at all.
    """
    above = {folder for path in hidden for folder in _parents(path)}

    def expand(path):
        if path in hidden:
            return
        if path not in above or not os.path.isdir(path):
            yield path
            return
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.is_symlink():
                    yield from expand(entry.path)

    return [found for path in shown for found in expand(path)]


def _parents(path):
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def confine(reading, folder, known):
    """Confine this process, and all that it starts, for good.

    reading: paths to read below and to run programs from   folder: where files may be made and changed   known: the
    version of Landlock to use. This process may also look at itself in /proc.
    """
    rules = ruleset(known)
    size = ctypes.c_size_t(ctypes.sizeof(rules))
    handle = _call("landlock_create_ruleset", CREATE_RULESET, ctypes.byref(rules), size, 0)
    try:
        for path in reading:
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed, so there is nothing to allow
                _allow(handle, path, READING & rules.files)
        for path, rights in DEVICES.items():
            _allow(handle, path, rights & rules.files)
        _allow(handle, f"/proc/{os.getpid()}", (READ_FILE | READ_DIR) & rules.files)
        _allow(handle, folder, WRITING & rules.files)
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs was refused")
        _call("landlock_restrict_self", RESTRICT_SELF, handle, 0)
    finally:
        os.close(handle)


def _allow(handle, path, rights):
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            rights &= OF_FILES
        rule = PathBeneath(rights, parent)
        _call(f"landlock_add_rule for {path}", ADD_RULE, handle, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)
