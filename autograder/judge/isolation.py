"""Shut a process in: fresh namespaces, a root of its own that can only be read, no privileges. Stands alone (Linux).

Two ways lead there. With real privileges the namespaces are made first and a user namespace last, its map written by
the parent, so that the student's code runs as a user who is not root outside either. Without privileges the user
namespace comes first and gives the right to make the others.
"""

import ctypes
import os
import platform
import signal
import stat

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
HOST = b"tilewise"
NAMESPACES = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID = 1, 2
MOUNT_SETATTR = 442
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 36, 38
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION = 0x20080522
CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN = 6, 7, 21

NOBODY = 65534
NEW_ROOT = "/mnt"  # any folder of the old root does: the new one is laid over it in this namespace only
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


class MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns"))


class CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def _called(what, result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source, target, kind=None, flags=0, options=None):
    encoded = [text.encode() if text is not None else None for text in (source, target, kind)]
    data = options.encode() if options is not None else None
    _called(f"mount {target}", libc.mount(*encoded, ctypes.c_ulong(flags), data))


def is_privileged():
    """Tell whether this process may make namespaces and become another user without a user namespace."""
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    return all(effective >> capability & 1 for capability in (CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN))


def leave_the_machine(privileged):
    """Make the namespaces; the next fork of this process is the first process of the new pid namespace.

    The mount namespace is left to that process: it will change its root, and this one keeps the machine's.
    """
    user, group = os.getuid(), os.getgid()
    flags = NAMESPACES if privileged else NAMESPACES | CLONE_NEWUSER
    if privileged:
        os.setgroups([])
    _called("unshare", libc.unshare(flags))
    _called("name the host", libc.sethostname(HOST, len(HOST)))
    if not privileged:
        write_user_map("self", user, group)


def write_user_map(process, user, group):
    """Let `nobody` inside the process's user namespace be the given user and group outside."""
    for file, text in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {user} 1"), ("gid_map", f"{NOBODY} {group} 1")):
        with open(f"/proc/{process}/{file}", "w") as target:
            target.write(text)


def new_user_namespace(user):
    """Enter a user namespace whose map the parent writes. It is this user's, so that the judge may look into it."""
    _called("keep capabilities", libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    header, sets = CapabilityHeader(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    _called("capget", libc.capget(ctypes.byref(header), sets))
    sets[0], sets[3] = sets[1], sets[4]  # what is permitted becomes effective again
    _called("capset", libc.capset(ctypes.byref(header), sets))
    _called("unshare user", libc.unshare(CLONE_NEWUSER))


def become(user):
    """Become this user and group; inside a user namespace, once its map is written."""
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # changing users made /proc/self belong to root


def build_root(shown, hidden, temporary_bytes):
    """Pivot into a new root: `shown` read-only, `hidden` covered by nothingness, and /tmp to write in.

    A shown path below a hidden one is laid over it, and the reverse: deeper paths win.
    """
    _called("unshare mounts", libc.unshare(CLONE_NEWNS))
    _mount(None, "/", flags=MS_REC | MS_PRIVATE)
    handles = {path: os.open(path, os.O_PATH | os.O_NOFOLLOW) for path in (*shown, *DEVICES)}
    _mount("tmpfs", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,mode=755")
    os.makedirs(NEW_ROOT + "/tmp")
    # First, so that an environment which itself lies below /tmp is laid over it and stays in sight.
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC  # no code to load, too
    _mount("tmpfs", NEW_ROOT + "/tmp", "tmpfs", flags, f"size={temporary_bytes},mode=1777")
    for path in sorted({*handles, *hidden}, key=lambda p: (p.count("/"), p)):
        if path in handles:
            _show(path, handles[path])
        else:
            _hide(path)
    for handle in handles.values():
        os.close(handle)
    for folder in ("/proc", "/old"):
        os.makedirs(NEW_ROOT + folder, exist_ok=True)
    attributes = MountAttributes(set=MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID)
    size = ctypes.sizeof(attributes)
    result = libc.syscall(MOUNT_SETATTR, AT_FDCWD, NEW_ROOT.encode(), AT_RECURSIVE, ctypes.byref(attributes), size)
    _called("mount_setattr", result)
    # Only while the old /proc is still in sight does the kernel let a user namespace mount one.
    _mount("proc", NEW_ROOT + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    attributes = MountAttributes(clear=MOUNT_ATTR_RDONLY)
    result = libc.syscall(MOUNT_SETATTR, AT_FDCWD, (NEW_ROOT + "/tmp").encode(), 0, ctypes.byref(attributes), size)
    _called("mount_setattr /tmp", result)
    os.chdir(NEW_ROOT)
    _called("pivot_root", libc.syscall(PIVOT_ROOT[platform.machine()], b".", b"old"))
    _called("umount /old", libc.umount2(b"/old", MNT_DETACH))
    os.chdir("/tmp")


def _show(path, handle, root=NEW_ROOT):
    target = root + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    mode = os.fstat(handle).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink("", dir_fd=handle), target)
        return
    if stat.S_ISDIR(mode):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(f"/proc/self/fd/{handle}", target, flags=MS_BIND | MS_REC)


def _hide(path):
    target = NEW_ROOT + path
    if os.path.isdir(target):
        _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755")
    elif os.path.lexists(target):
        _mount("/dev/null", target, flags=MS_BIND)


def open_the_way(paths):
    """Let every user reach these paths, in a view of the machine that this process and its children have.

    Over each folder that only its owner may enter lies an open one then, which holds nothing but what is on the way.
    Needs the right to mount, unless all folders are open.
    """
    closed = {folder for path in paths if (folder := _first_closed(path))}
    if not closed:
        return
    _called(f"opening {', '.join(sorted(closed))} to other users", libc.unshare(CLONE_NEWNS))
    _mount(None, "/", flags=MS_REC | MS_PRIVATE)
    covered = [path for path in paths if _first_closed(path)]
    handles = {path: os.open(path, os.O_PATH | os.O_NOFOLLOW) for path in covered}
    for folder in closed:
        _mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,mode=755")
    for path in sorted(handles, key=len):
        if path in closed or not os.path.lexists(path):
            _show_openly(path, handles[path])
        os.close(handles[path])


def _first_closed(path):
    """Find the first folder, from the top, that not everybody may enter: on the way to the path, or the path itself."""
    parts = path.rstrip("/").split("/")
    for end in range(2, len(parts) + 1):
        folder = "/".join(parts[:end])
        if os.path.isdir(folder) and not os.stat(folder).st_mode & stat.S_IXOTH:
            return folder
    return None


def _show_openly(path, handle):
    """Show a path; of a closed folder, what is in it."""
    mode = os.fstat(handle).st_mode
    if not stat.S_ISDIR(mode) or mode & stat.S_IXOTH:
        _show(path, handle, root="")
        return
    os.makedirs(path, exist_ok=True)
    for name in os.listdir(f"/proc/self/fd/{handle}"):
        child = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=handle)
        _show_openly(os.path.join(path, name), child)
        os.close(child)


def forbid_nested_namespaces():
    """Allow no user namespace inside this one. Needs the capabilities of a fresh user namespace."""
    with open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")


def drop_privileges():
    """Give up every capability, and any way to get one back."""
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = CapabilityHeader(CAPABILITY_VERSION, 0)
    _called("capset", libc.capset(ctypes.byref(header), (ctypes.c_uint32 * 6)()))
    _called("no_new_privs", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def hide_from_equals():
    """Keep other processes of this user from looking into this one or steering it."""
    _called("dumpable", libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))


def die_with_parent():
    """Have the kernel kill this process when its parent ends. A second line: student code can undo it."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans():
    """Make every process that descends from this one, however often it forks, end up as this one's child."""
    _called("subreaper", libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
