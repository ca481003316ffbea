#!/usr/bin/env bash
# Install dist/*.deb in a fresh Debian, run it, click, upgrade, click the old link, remove:
#   tools/try_deb.sh [FOLDER]            as root, with debootstrap, after `make deb`
# FOLDER (a temporary one) is the Debian; one that is there already is used. There is no systemd in
# it: what the unit starts is started as the package's user.
set -euo pipefail
cd "$(dirname "$0")/.."

root=${1:-$(mktemp -d)/debian}
deb=$(ls dist/clicktrail_*.deb)
say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$1"; }
if [ ! -d "$root" ]; then
  say "debootstrap"
  debootstrap --variant=minbase --include=python3,ca-certificates bookworm "$root" >/dev/null
fi
service=
start() {
  : >"$root/tmp/said"
  chroot --userspec=clicktrail:clicktrail "$root" /opt/clicktrail/bin/clicktrail serve \
    --config /etc/clicktrail/clicktrail.toml >"$root/tmp/said" 2>"$root/tmp/log" &
  service=$!
  until grep -q '^Ready' "$root/tmp/said"; do
    kill -0 "$service" || { cat "$root/tmp/log"; exit 1; }
    sleep 0.2
  done
}
stop() {
  kill -TERM "$service"
  wait "$service"
  service=
}
trap '[ -z "$service" ] || kill "$service"; umount "$root/proc"' EXIT
mount -t proc proc "$root/proc"

say "install"
cp "$deb" "$root/tmp/one.deb"
chroot "$root" dpkg -i /tmp/one.deb >/dev/null
sed -i 's|^# url = .*|url = "maildir:/var/lib/clicktrail/mail"|; s|^# host = .*|host = "127.0.0.1:8480"|' \
  "$root/etc/clicktrail/clicktrail.toml"
say "start"
start
chroot "$root" clicktrail configuration-set create news >/dev/null
chroot "$root" clicktrail event-destination add news clicks --stream clicks --type CLICK >/dev/null
link=$(python3 tools/click_once.py "$root/var/lib/clicktrail/mail")
until chroot "$root" clicktrail events tail --stream clicks --after 0 | grep -q Click; do :; done
stop

say "upgrade"
dpkg-deb -R "$root/tmp/one.deb" "$root/tmp/two"
sed -i 's/^Version: .*/&-2/' "$root/tmp/two/DEBIAN/control"
dpkg-deb --build --root-owner-group -Znone "$root/tmp/two" "$root/tmp/two.deb" >/dev/null
chroot "$root" dpkg -i /tmp/two.deb >/dev/null
start
python3 tools/click_once.py - "$link" >/dev/null
stop

say "remove"
chroot "$root" dpkg -r clicktrail >/dev/null
[ ! -e "$root/usr/bin/clicktrail" ] && [ -s "$root/etc/clicktrail/clicktrail.toml" ]
chroot "$root" dpkg -P clicktrail
[ ! -e "$root/etc/clicktrail/clicktrail.toml" ] && [ -s "$root/var/lib/clicktrail/keys.json" ]
say "done"
