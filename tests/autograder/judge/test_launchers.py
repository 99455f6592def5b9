"""What bubblewrap tells of its child arrives in pieces."""

from __future__ import annotations

import os
import subprocess
import threading
import time

from autograder.judge.launchers import ProcessLife


def test_the_child_is_found_though_bubblewrap_tells_of_it_in_pieces() -> None:
    reading, writing = os.pipe()
    outer = subprocess.Popen(["sleep", "60"], stderr=subprocess.PIPE)
    inner = subprocess.Popen(["sleep", "60"])

    def tell() -> None:
        for piece in (b'{\n    "child-pid": %d' % inner.pid, b',\n    "ipc-namespace": 7', b"\n}\n"):
            os.write(writing, piece)
            time.sleep(0.05)
        inner.kill()  # as the kernel does with the namespace of a bubblewrap that died
        inner.wait()

    teller = threading.Thread(target=tell)
    teller.start()
    life = ProcessLife(outer, reading)
    life.let_go()
    teller.join()
    assert inner.returncode is not None
    assert life.status(5) == {"signal": 9}
    life.close()
    os.close(writing)
