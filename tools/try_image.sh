#!/usr/bin/env bash
# Build the image of deploy/Containerfile without a registry or a daemon, and click a link in it:
#   tools/try_image.sh [FOLDER]          as root, on Debian, with buildah and debootstrap
# Its base is made by debootstrap; the Python packages are gathered beforehand, by .venv's pip for
# the same Python (3.11). FOLDER (a temporary one) is kept where it is given: a second run is quick.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-$(mktemp -d)}
mkdir -p "$folder"/{storage,run,wheels}
export BUILDAH_ISOLATION=chroot
buildah() { command buildah --storage-driver vfs --root "$folder/storage" --runroot "$folder/run" "$@"; }
say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$1"; }

if [ ! -d "$folder/base" ]; then
  say "base: debootstrap"
  debootstrap --variant=minbase --include=python3-venv,ca-certificates bookworm "$folder/base" >/dev/null
fi
if ! buildah inspect --type image clicktrail-base >/dev/null 2>&1; then
  container=$(buildah from scratch)
  buildah add -q "$container" "$folder/base" / >/dev/null
  buildah commit -q --rm "$container" clicktrail-base >/dev/null
fi

say "packages"
.venv/bin/pip wheel -q -c constraints.txt -w "$folder/wheels" hatchling '.[acme,kafka,nats,postgresql]'

say "image"
buildah build -q --format docker --pull-never -t clicktrail -f deploy/Containerfile \
  --volume "$folder/wheels:/wheels:ro" --build-arg BASE=localhost/clicktrail-base \
  --build-arg PIP_ARGUMENTS="--no-index --find-links /wheels" . >/dev/null

say "start"
container=$(buildah from --pull-never clicktrail)
root=$(buildah mount "$container")
rm -rf "$folder/data" && mkdir "$folder/data" && chown 10001:10001 "$folder/data"
environment=$(buildah inspect --format '{{range .Docker.Config.Env}}{{.}} {{end}}' "$container")
# As `podman run --read-only --tmpfs /tmp -v …` has it: nothing but these two is written to.
inside=(unshare --mount bash -euc '
  root=$1 data=$2; shift 2
  mount --bind "$root" "$root" && mount -o remount,bind,ro "$root"
  mount -t tmpfs tmpfs "$root/tmp" && chmod 1777 "$root/tmp"
  mount --bind /proc "$root/proc" && mount --bind /dev "$root/dev"
  mount --bind "$data" "$root/var/lib/clicktrail"
  cd / && exec chroot --userspec=10001:10001 "$root" env -i "$@"' _ "$root" "$folder/data")
# shellcheck disable=SC2086 # one word each
"${inside[@]}" $environment CLICKTRAIL_SMARTHOST_URL=maildir:/var/lib/clicktrail/mail \
  CLICKTRAIL_TRACKING_HOST=127.0.0.1:8480 clicktrail serve >"$folder/said" 2>"$folder/log" &
service=$!
cleanup() {
  kill "$service" 2>/dev/null || true
  buildah rm "$container" >/dev/null || true
  [ -n "${keep:-}" ] || rm -rf "$folder"
}
keep=${1:-}
trap cleanup EXIT
for _ in $(seq 600); do
  grep -q '^Ready' "$folder/said" && break
  kill -0 "$service" || { cat "$folder/log"; exit 1; }
  sleep 0.2
done
clicktrail() {
  # shellcheck disable=SC2086
  "${inside[@]}" $environment clicktrail "$@"
}

say "click"
clicktrail configuration-set create news >/dev/null
clicktrail event-destination add news clicks --stream clicks --type CLICK >/dev/null
.venv/bin/python tools/click_once.py "$folder/data/mail" >/dev/null
for _ in $(seq 600); do
  clicktrail events tail --stream clicks --after 0 | grep -q '"eventType":"Click"' && break
done
health=$(buildah inspect "$container" | .venv/bin/python -c 'import json, shlex, sys
print(shlex.join(json.load(sys.stdin)["Docker"]["config"]["Healthcheck"]["Test"][1:]))')
eval "\"\${inside[@]}\" $health"

say "stop"
kill -TERM "$service"
wait "$service" && say "ended with 0"
