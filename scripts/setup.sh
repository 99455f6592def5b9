#!/usr/bin/env bash
# Make .venv and install Tilewise in it, within constraints.txt. `make setup` calls this when something changed.
#
#   PYTHON       the interpreter to use (else the first suitable one on PATH)
#   TORCH_INDEX  one more index to find torch on, such as https://download.pytorch.org/whl/cpu
#
# Everything else about pip (mirror, proxy, cache) is what the user has configured.
set -euo pipefail
cd "$(dirname "$0")/.."

suitable='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

find_python() {
    local candidate found
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c "$suitable" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    found="$("${PYTHON:-python3}" --version 2>&1)" || found="none that runs"
    cat >&2 <<END
Tilewise needs Python 3.11, 3.12 or 3.13; ${PYTHON:-python3} here is: $found
Install one (Debian 12 or newer: apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3.12
END
    return 1
}

require_venv_module() {
    if "$1" -c 'import venv, ensurepip' 2>/dev/null; then return; fi
    local package
    package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    bash scripts/debian.sh "$package"
    if ! "$1" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "$1 has no venv module. Install it (Debian: $package), then run this again." >&2
        return 1
    fi
}

if [[ -e .venv/bin/python || -L .venv/bin/python ]] && ! .venv/bin/python -c "$suitable" 2>/dev/null; then
    echo "The Python of .venv no longer runs, or is not 3.11 to 3.13. Remove it (rm -r .venv) and run this again." >&2
    exit 1
fi
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then # none yet, or one that was cut short
    python="$(find_python)"
    require_venv_module "$python"
    echo "Making .venv with $python ($("$python" --version))"
    "$python" -m venv .venv
fi

bash scripts/debian.sh bubblewrap libseccomp2
echo "Installing; the first time this downloads PyTorch and takes some minutes."
.venv/bin/python -m pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt -e '.[test]'
.venv/bin/tilewise --version
touch .venv/tilewise-is-set-up
