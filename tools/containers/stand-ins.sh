#!/usr/bin/env bash
# The containers without a container engine: `stand-ins.sh WORK`, from check.sh, which has set the secrets.
set -euo pipefail
work=$1
step() { printf '[%5d s] %s\n' "$((SECONDS + ${BEGAN_S:-0}))" "$*"; }
packages=(buildah podman crun debootstrap netavark aardvark-dns iptables catatonit)
missing() {
    local program
    for program in buildah podman crun debootstrap netavark aardvark-dns iptables catatonit; do
        [[ -x /usr/lib/podman/$program || -x /usr/libexec/podman/$program ]] || command -v $program > /dev/null || echo $program
    done
}
missing=$(missing)
if [[ $EUID != 0 || (-n $missing && -n ${BORROWED:-}) ]] || { [[ -n $missing ]] && ! command -v apt-get > /dev/null; }; then
    echo "Neither Docker nor its compose answers here. What stands in for them needs root and, of Debian 12: ${packages[*]}" >&2
    exit 1
fi
if [[ -z ${BORROWED:-}${OWN_MOUNTS:-} && -z $missing ]]; then
    export OWN_MOUNTS=1  # podman leaves its store mounted: not on this machine
    exec unshare --mount bash "${BASH_SOURCE[0]}" "$work"
fi
if [[ -n $missing ]]; then
    step "Installing ${packages[*]} by apt-get, in $work/system and not on this machine"
    export BORROWED=1 BEGAN_S=$((SECONDS + ${BEGAN_S:-0}))
    exec unshare --mount bash tools/containers/borrow.sh "$work" "${packages[*]}" bash "${BASH_SOURCE[0]}" "$work"
fi

# Nothing of it outside of this folder: images, volumes, networks.
export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_FORMAT=docker
export TMPDIR=$work/tmp
rm -rf "$work/run" "$work/networks" "$TMPDIR"  # of a run that was cut off
mkdir -p "$TMPDIR"
trap 'rm -rf "$TMPDIR"' EXIT
cat > "$CONTAINERS_CONF" <<CONF
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
[engine]
runtime = "crun"
events_logger = "file"
cgroup_manager = "cgroupfs"
lock_type = "file"
tmp_dir = "$work/run/tmp"
volume_path = "$work/volumes"
[network]
network_backend = "netavark"
network_config_dir = "$work/networks"
CONF
cat > "$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "overlay"
graphroot = "$work/images"
runroot = "$work/run"
CONF

base=localhost/standin/debian:bookworm-slim
if ! podman image exists $base; then
    step "Making the base image by debootstrap"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Created-By: Packages' | head -1)
    debootstrap --variant=minbase --include=ca-certificates bookworm "$work/rootfs" "${mirror:-http://deb.debian.org/debian}" \
        > "$work/debootstrap.log"
    # Slim as the official one is: without manuals and translations, of packages to come neither.
    printf 'path-exclude /usr/share/%s/*\n' doc info lintian linda locale man > "$work/rootfs/etc/dpkg/dpkg.cfg.d/slim"
    echo 'path-include /usr/share/doc/*/copyright' >> "$work/rootfs/etc/dpkg/dpkg.cfg.d/slim"
    rm -rf "$work/rootfs"/{var/cache/apt/*,var/lib/apt/lists/*,usr/share/{info,lintian,linda,locale,man}/*}
    find "$work/rootfs/usr/share/doc" ! -type d ! -name copyright -delete
    tar -C "$work/rootfs" -c . | podman import --change 'CMD ["bash"]' - $base > /dev/null
    rm -rf "$work/rootfs"
fi
# What this machine needs to reach package registries is shown to the build, and not kept in the image.
certificates=()
for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    [[ ! -f $file ]] || certificates+=(--volume "$file:$file:ro")
done
java_certificates=/etc/ssl/certs/java/cacerts  # elsewhere in the image, where Java's package writes this file itself
[[ ! -f $java_certificates ]] || certificates+=(--volume "$java_certificates:/mnt/cacerts:ro"
    --build-arg JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/mnt/cacerts)
build() {
    local log=$work/build-$1.log
    shift
    buildah bud --layers --isolation chroot --pull-never "${certificates[@]}" --build-arg BASE_IMAGE=$base "$@" . \
        > "$log" 2>&1 || { tail -20 "$log" >&2; exit 1; }
}
step "Building the image"
build image --tag "$PLUMEWATCH_IMAGE"
step "Building what stands in for PostgreSQL and versitygw"
.venv/bin/python -m tools.s3_server
build postgres --file tools/containers/postgres.Dockerfile --tag localhost/standin/postgres:latest
build s3 --file tools/containers/s3.Dockerfile --ignorefile /dev/null --tag localhost/standin/versitygw:latest
podman image prune --force --filter until=336h > /dev/null  # layers that changes of two weeks ago left without a name
podman image ls --format '{{.Repository}}:{{.Tag}} {{.Size}}' --filter reference="$PLUMEWATCH_IMAGE"
export POSTGRES_IMAGE=localhost/standin/postgres:latest S3_IMAGE=localhost/standin/versitygw:latest
export BEGAN_S=$((SECONDS + ${BEGAN_S:-0}))
# One process for the whole run: mounts, network and processes of its own, which end with it.
unshare --mount --net --pid --fork --kill-child --mount-proc bash tools/containers/in-namespace.sh "$work"
rm -rf "$work/run" "$work/networks" "$work/volumes"
