"""The system-call filter: what no answer needs and every escape begins with is refused. Stands alone.

Built once with libseccomp into a BPF program; the bytes are laid on each worker by the kernel (`install`), or handed
to bubblewrap.
"""

import ctypes
import errno
import os
import socket
import tempfile

ALLOW = 0x7FFF0000
REFUSE = 0x00050000
NOT_EQUAL, EQUAL, MASKED_EQUAL = 1, 4, 7
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
NAMESPACE_BITS = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)

DENIED = (  # noqa: SIM905, a table to read
    # looking into or steering another process
    "ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd perf_event_open "
    # large and young parts of the kernel
    "bpf userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key "
    # another view of the file system, another namespace
    "mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr unshare setns "
    "name_to_handle_at open_by_handle_at quotactl fanotify_init "
    # the machine itself
    "kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct syslog personality "
    "settimeofday clock_settime adjtimex clock_adjtime iopl ioperm nfsservctl lookup_dcookie "
    # memory that outlives a call or that no limit counts
    "shmget shmat msgget semget mq_open memfd_create memfd_secret vmsplice"
).split()


class Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def build():
    """Give the filter as BPF bytes; raise OSError when libseccomp is not to be had."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_void_p,
    ]
    context = library.seccomp_init(ALLOW)

    def refuse(name, error, *condition):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # younger than this libseccomp, or not of this architecture
            return
        rule = (Comparison * 1)(Comparison(*condition, *[0] * (4 - len(condition)))) if condition else None
        code = library.seccomp_rule_add_array(context, REFUSE | error, number, 1 if condition else 0, rule)
        if code < 0 and condition:
            raise OSError(-code, f"seccomp rule for {name}: {os.strerror(-code)}")

    for name in DENIED:
        refuse(name, errno.EPERM)
    # clone3 hides its flags behind a pointer, where no filter can read them: libc falls back to clone.
    refuse("clone3", errno.ENOSYS)
    for bit in NAMESPACE_BITS:
        refuse("clone", errno.EPERM, 0, MASKED_EQUAL, bit, bit)
    # AF_VSOCK and its like ignore network namespaces.
    refuse("socket", errno.EAFNOSUPPORT, 0, NOT_EQUAL, socket.AF_UNIX)
    for request in (TIOCSTI, TIOCLINUX):
        refuse("ioctl", errno.EPERM, 1, EQUAL, request)
    with tempfile.TemporaryFile() as file:
        code = library.seccomp_export_bpf(context, file.fileno())
        library.seccomp_release(context)
        if code < 0:
            raise OSError(-code, f"seccomp_export_bpf: {os.strerror(-code)}")
        file.seek(0)
        return file.read()


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
