#!/usr/bin/env bash
# Print the chapter folders that differ from a commit (the first argument, else HEAD), new ones included.
set -euo pipefail
cd "$(dirname "$0")/.."
{
    git diff --name-only "${1:-HEAD}" -- course
    git ls-files --others --exclude-standard -- course
} | sed -n 's|^course/\([0-9][^/]*\)/.*|\1|p' | sort -u | while read -r chapter; do
    if [[ -f "course/$chapter/chapter.toml" ]]; then echo "$chapter"; fi
done
