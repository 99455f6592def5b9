"""Stop being root, then run bubblewrap: `descend.py SETTINGS COMMAND...`, started by root only. Stands alone.

A user who is not root may be unable to reach the interpreter (a home folder of mode 0700). So the command gets a
view of the machine in which only what it needs exists and every folder on the way can be entered; and limits that the
kernel does not apply to root, like that on processes, hold.
"""

import json
import os
import sys
import types


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    isolation = types.ModuleType("isolation")
    with open(os.path.join(here, "isolation.py"), encoding="utf-8") as file:
        exec(compile(file.read(), "isolation.py", "exec"), isolation.__dict__)
    settings = json.loads(sys.argv[1])
    isolation.build_root(settings["shown"], settings["hidden"], settings["temporary_bytes"])
    os.setgroups([])
    isolation.become_nobody()
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
