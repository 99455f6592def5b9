#!/usr/bin/env bash
# Install Debian packages as root, or print the one line that does it. Nothing here is fatal: what a package is for
# works without it, only less well, and says so where it matters.
set -euo pipefail

missing=()
for package in "$@"; do
    case "$package" in
        bubblewrap) command -v bwrap >/dev/null || missing+=("$package") ;;
        chromium) command -v chromium >/dev/null || missing+=("$package") ;;
        *) dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package") ;;
    esac
done
if [[ ${#missing[@]} -eq 0 ]]; then exit; fi

if ! command -v apt-get >/dev/null; then
    echo "Not installed, and not Debian: ${missing[*]}. Install them with your system's package manager if it has them."
elif [[ $EUID -ne 0 ]]; then
    echo "Not installed: ${missing[*]}. To install: sudo apt-get install --no-install-recommends ${missing[*]}"
else
    echo "Installing from Debian: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; }; then
        echo "Could not install ${missing[*]}; going on without. Later: apt-get install ${missing[*]}"
    fi
fi
