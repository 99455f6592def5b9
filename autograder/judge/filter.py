"""The system-call filter: what no answer needs and every escape begins with is refused. Stands alone.

`build` writes a BPF program, which the kernel lays on a worker (`install`) or bubblewrap does. It needs no library: a
filter that is missing where a package is missing would be no filter. For x86-64 and 64-bit Arm.
"""

import ctypes
import errno
import os
import platform
import socket
import struct

# Of each machine: its name to the kernel's auditors, and the column of the tables below.
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # where they lie in what a filter is shown of a call
LOAD, AND, RETURN = 0x20, 0x54, 0x06
JUMP_EQUAL, JUMP_GREATER = 0x15, 0x25
ALLOW, REFUSE, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
WHOLE_WORD = 0xFFFFFFFF
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
# The youngest call of this table is `mseal`, of Linux 6.10. A younger one gets an old kernel's answer: no such call.
YOUNGEST = 462

NAMESPACE_FLAGS = 0x80 | 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
# ioctl: is it a terminal, how large is it, how much can be read, close on exec, do not block
HARMLESS_REQUESTS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
F_SETOWN, F_SETOWN_EX, F_SETLEASE, F_NOTIFY = 8, 15, 1024, 1026
O_NEITHER, O_TMPFILE = 3, 0o20000000

# Every table: a call, its number on x86-64, and that on 64-bit Arm where the call is there and differs; - where not.
DENIED = """
    ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440, kcmp 312 272,
    pidfd_getfd 438, perf_event_open 298 241,

    bpf 321 280, userfaultfd 323 282, io_uring_setup 425, io_uring_enter 426, io_uring_register 427,
    keyctl 250 219, add_key 248 217, request_key 249 218,

    mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, move_mount 429, open_tree 428, fsopen 430,
    fsconfig 431, fsmount 432, fspick 433, mount_setattr 442, unshare 272 97, setns 308 268,
    name_to_handle_at 303 264, open_by_handle_at 304 265, quotactl 179 60, quotactl_fd 443, fanotify_init 300 262,

    kexec_load 246 104, kexec_file_load 320 294, init_module 175 105, finit_module 313 273, delete_module 176 106,
    reboot 169 142, swapon 167 224, swapoff 168 225, acct 163 89, syslog 103 116, personality 135 92,
    settimeofday 164 170, clock_settime 227 112, adjtimex 159 171, clock_adjtime 305 266, iopl 172 -, ioperm 173 -,
    nfsservctl 180 42, lookup_dcookie 212 18,

    shmget 29 194, shmat 30 196, msgget 68 186, semget 64 190, mq_open 240 180, memfd_create 319 279,
    memfd_secret 447, vmsplice 278 75
"""
# What starts a program. In a fresh interpreter nothing would be switched off, and no operator be seen.
STARTING_PROGRAMS = "execve 59 221, execveat 322 281"
# What namespaces would keep harmless, and what Landlock does not look at.
DENIED_WITHOUT_NAMESPACES = """
    chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452, chown 92 -, fchown 93 55, lchown 94 -, fchownat 260 54,
    utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, truncate 76 45,
    setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16,
    inotify_init 253 -, inotify_init1 294 26,

    tkill 200 130, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, pidfd_open 434, pidfd_send_signal 424,
    process_mrelease 448, setpriority 141 140, ioprio_set 251 30, sched_setscheduler 144 119,
    sched_setparam 142 118, sched_setattr 314 274, migrate_pages 256 238, move_pages 279 239,
    setsid 112 157, setpgid 109 154,

    socket 41 198, socketpair 53 199, connect 42 203, bind 49 200
"""
CONDITIONAL = """
    clone3 435, clone 56 220, socket 41 198, ioctl 16 29, fcntl 72 25, open 2 -, openat 257 56, openat2 437,
    kill 62 129, tgkill 234 131, sched_setaffinity 203 122, prlimit64 302 261
"""


class FilterError(Exception):
    """No filter can be written for this machine; says why."""


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def machine():
    """Give this machine's architecture and its column in the tables; raise FilterError for one that has none."""
    try:
        return MACHINES[platform.machine()]
    except KeyError:
        known = " and ".join(MACHINES)
        raise FilterError(f"the system-call filter is written for {known}, not for {platform.machine()}") from None


def numbers(table, column):
    """Give name -> number of the calls of one table that this machine has."""
    found = {}
    for entry in table.split(","):
        name, *of_each = entry.split()
        number = of_each[column] if len(of_each) > 1 else of_each[0]
        if number != "-":
            found[name] = int(number)
    return found


def build(own=None, *, starts_programs=False):
    """Give the filter as BPF bytes.

    own: the process that it is for, where no namespaces stand around that. It may then signal and steer itself only,
    make no socket, change no file but by writing into one that it may open, and not leave its process group.
    starts_programs: leave that open, for who lays the filter first and starts Python then; `without_programs` shuts it.
    """
    _, column = machine()
    some = numbers(CONDITIONAL, column)
    rules = [always(number, errno.EPERM) for number in numbers(DENIED, column).values()]
    if not starts_programs:
        rules += _no_programs(column)
    rules.append(no_new_namespaces(some))
    if own is None:
        # AF_VSOCK and its like ignore network namespaces.
        rules.append(_unless(some["socket"], errno.EAFNOSUPPORT, 0, [socket.AF_UNIX]))
        rules.append(_if(some["ioctl"], errno.EPERM, 1, [TIOCSTI, TIOCLINUX]))
    else:
        rules.append(_without_namespaces(own, some, column))
    return assemble(rules)


def without_programs():
    """Give a filter that refuses to start programs and nothing else."""
    _, column = machine()
    return assemble(_no_programs(column))


def _no_programs(column):
    return [always(number, errno.EPERM) for number in numbers(STARTING_PROGRAMS, column).values()]


def assemble(rules):
    """Give the program that goes through the rules, each a list of instructions, and allows what passes all of them.

    A call of another architecture's table ends the process, and one that is too young for our tables does not exist.
    """
    architecture, _ = machine()
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
        (JUMP_GREATER, 0, 1, YOUNGEST),  # x86's other table of calls (x32) is numbered from 2**30 up, so it goes too
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
        *(instruction for rule in rules for instruction in rule),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def no_new_namespaces(some):
    """Refuse the making of a process in namespaces of its own."""
    # clone3 hides its flags behind a pointer, where no filter can read them: libc falls back to clone.
    hidden = always(some["clone3"], errno.ENOSYS)
    return hidden + _unless(some["clone"], errno.EPERM, 0, [0], mask=NAMESPACE_FLAGS)


def _without_namespaces(own, some, column):
    program = []
    for number in numbers(DENIED_WITHOUT_NAMESPACES, column).values():
        program += always(number, errno.EPERM)
    for name in ("kill", "tgkill"):
        program += _unless(some[name], errno.EPERM, 0, [own])
    for name in ("sched_setaffinity", "prlimit64"):
        program += _unless(some[name], errno.EPERM, 0, [0, own])
    program += _unless(some["ioctl"], errno.ENOTTY, 1, HARMLESS_REQUESTS)
    # Signals to whoever is named there, and news of what others do with a file.
    program += _if(some["fcntl"], errno.EPERM, 1, [F_SETOWN, F_SETOWN_EX, F_SETLEASE, F_NOTIFY])
    # Landlock before version 3 lets a file be emptied that may be read only, or be opened neither to read nor to
    # write. A file without a name cannot be weighed with the rest of the folder.
    for name, argument in (("open", 1), ("openat", 2)):
        if name in some:
            emptying = [os.O_TRUNC | os.O_RDONLY, os.O_TRUNC | O_NEITHER]
            program += _if(some[name], errno.EPERM, argument, emptying, mask=os.O_TRUNC | os.O_ACCMODE)
            program += _unless(some[name], errno.EOPNOTSUPP, argument, [0], mask=O_TMPFILE)
    program += always(some["openat2"], errno.ENOSYS)  # its flags, too, lie behind a pointer
    return program


def always(number, error):
    """Refuse the call, whatever its arguments."""
    return [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | error)]


def _if(number, error, argument, values, mask=WHOLE_WORD):
    """Refuse the call when its argument, masked, is one of the values. Arguments are looked at as 32-bit words."""
    return _compared(number, error, argument, values, mask, match=0, otherwise=1)


def _unless(number, error, argument, values, mask=WHOLE_WORD):
    """Refuse the call when its argument, masked, is none of the values."""
    return _compared(number, error, argument, values, mask, match=1, otherwise=0)


def _compared(number, error, argument, values, mask, *, match, otherwise):
    """Compare with each value in turn; jump to the refusal, or over it."""
    left = range(len(values) - 1, -1, -1)
    body = [
        (LOAD, 0, 0, ARGUMENTS + 8 * argument),
        (AND, 0, 0, mask),
        *((JUMP_EQUAL, more + match, 0 if more else otherwise, v) for more, v in zip(left, values, strict=True)),
        (RETURN, 0, 0, REFUSE | error),
        (LOAD, 0, 0, NUMBER),
    ]
    return [(JUMP_EQUAL, 0, len(body), number), *body]


def install(program):
    """Lay the filter on this process and all that it starts, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    loaded = Program(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(loaded), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"prctl({arguments[0]}): {os.strerror(number)}")
