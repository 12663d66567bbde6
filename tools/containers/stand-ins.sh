#!/usr/bin/env bash
# The containers without a container engine: `stand-ins.sh WORK`, from check.sh, which has set the secrets.
set -euo pipefail
work=$1
step() { printf '[%5d s] %s\n' "$SECONDS" "$*"; }
for program in buildah podman debootstrap crun netavark iptables catatonit; do
    if [[ $EUID != 0 ]] || ! command -v $program > /dev/null && [[ ! -x /usr/lib/podman/$program && ! -x /usr/libexec/podman/$program ]]; then
        echo "No container engine answers, and its stand-in needs root and: apt-get install --no-install-recommends" \
            "buildah podman crun debootstrap netavark aardvark-dns iptables catatonit" >&2
        exit 1
    fi
done

# Nothing of it outside of this folder: images, volumes, networks.
export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_FORMAT=docker
cat > "$CONTAINERS_CONF" <<CONF
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
[engine]
runtime = "crun"
events_logger = "file"
cgroup_manager = "cgroupfs"
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

rm -rf "$work/run" "$work/networks"  # of a run that was cut off
base=localhost/standin/debian:bookworm-slim
if ! podman image exists $base; then
    step "Making the base image by debootstrap"
    mirror=$(grep -m 1 '^URIs:' /etc/apt/sources.list.d/debian.sources | awk '{print $2}')
    debootstrap --variant=minbase --include=ca-certificates bookworm "$work/rootfs" "$mirror" > "$work/debootstrap.log"
    rm -rf "$work/rootfs/var/cache/apt/archives" "$work/rootfs/var/lib/apt/lists"
    tar -C "$work/rootfs" -c . | podman import --change 'CMD ["bash"]' - $base > /dev/null
    rm -rf "$work/rootfs"
fi
# What this machine needs to reach package registries is shown to the build, and not kept in the image.
certificates=(--volume /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro)
[[ ! -f /etc/pip.conf ]] || certificates+=(--volume /etc/pip.conf:/etc/pip.conf:ro)
[[ ! -f /etc/ssl/certs/java/cacerts ]] || certificates+=(--volume /etc/ssl/certs/java/cacerts:/etc/ssl/certs/java/cacerts:ro)
build() { buildah bud --layers --isolation chroot --pull-never "${certificates[@]}" --build-arg BASE_IMAGE=$base "$@"; }
step "Building the image"
build --tag "$PLUMEWATCH_IMAGE" . > "$work/build.log" 2>&1 || { tail -20 "$work/build.log" >&2; exit 1; }
step "Building what stands in for PostgreSQL and versitygw"
.venv/bin/python -m tools.s3_server
build --file tools/containers/postgres.Dockerfile --tag localhost/standin/postgres:latest . > "$work/build-postgres.log" 2>&1
build --file tools/containers/s3.Dockerfile --ignorefile /dev/null --tag localhost/standin/versitygw:latest . > "$work/build-s3.log" 2>&1
podman image ls --format '{{.Repository}}:{{.Tag}} {{.Size}}' --filter reference="$PLUMEWATCH_IMAGE"
export POSTGRES_IMAGE=localhost/standin/postgres:latest S3_IMAGE=localhost/standin/versitygw:latest
# One process for the whole run: mounts and network of its own, which end with it.
exec unshare --mount --net --pid --fork --mount-proc bash tools/containers/in-namespace.sh "$work"
