#!/usr/bin/env bash
# `borrow.sh WORK PACKAGES COMMAND...`, in a mount namespace of its own: installs Debian's packages over a view of the
# system that writes to WORK/system, so that the machine stays as it is, and becomes the command, which sees them.
set -euo pipefail
work=$1 packages=$2
shift 2
for folder in usr etc var; do
    if [[ $work == /$folder/* ]]; then
        echo "The checkout lies in /$folder: install $packages" >&2
        exit 1
    fi
    mkdir -p "$work/system/$folder" "$work/system/.$folder"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$work/system/$folder,workdir=$work/system/.$folder" "/$folder"
done
mount -t tmpfs tmpfs /run
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
{ apt-get update && apt-get install -y --no-install-recommends $packages; } > "$work/apt.log" 2>&1 || {
    tail -5 "$work/apt.log" >&2
    exit 1
}
exec "$@"
