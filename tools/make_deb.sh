#!/usr/bin/env bash
# Build dist/clicktrail_VERSION_ARCHITECTURE.deb: a virtual environment of this machine's Debian in
# /opt/clicktrail, with the versions of constraints.txt, and the systemd unit.
#   tools/make_deb.sh [PIP_ARGUMENT …]       needs python3-venv, and dpkg-deb
set -euo pipefail
cd "$(dirname "$0")/.."

python=/usr/bin/python3
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' src/clicktrail/__init__.py)${DEB_REVISION:+-$DEB_REVISION}
architecture=$(dpkg --print-architecture)
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

home=$root/opt/clicktrail
"$python" -m venv "$home"
"$home/bin/pip" install -q --disable-pip-version-check --no-compile "$@" \
  --constraint constraints.txt '.[acme,kafka,nats,postgresql]'
"$home/bin/pip" uninstall -q -y setuptools pip
find "$home/bin" -type f ! -name clicktrail -delete
# It is made here, and runs there.
grep -rlIZ "$root" "$home/bin" "$home/pyvenv.cfg" | xargs -0r sed -i "s|$root||g"
"$python" -m compileall -q -s "$root" -p / --invalidation-mode unchecked-hash "$home/lib" || true

install -D -m 644 deploy/clicktrail.service -t "$root/lib/systemd/system"
install -D -m 644 deploy/debian/clicktrail.toml -t "$root/etc/clicktrail"
install -D -m 644 LICENSE "$root/usr/share/doc/clicktrail/copyright"
install -D -m 644 /dev/stdin "$root/lib/systemd/system/clicktrail.service.d/10-user.conf" <<'UNIT'
# The package's own user, whose files are in /var/lib/clicktrail.
[Service]
DynamicUser=no
User=clicktrail
Group=clicktrail
UNIT
install -D -m 755 /dev/stdin "$root/usr/bin/clicktrail" <<'COMMAND'
#!/bin/sh
export CLICKTRAIL_CONFIG="${CLICKTRAIL_CONFIG:-/etc/clicktrail/clicktrail.toml}"
exec /opt/clicktrail/bin/clicktrail "$@"
COMMAND
install -d "$root/DEBIAN"
install -m 755 deploy/debian/{postinst,prerm,postrm} "$root/DEBIAN"
echo /etc/clicktrail/clicktrail.toml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: clicktrail
Version: $version
Architecture: $architecture
Maintainer: The Clicktrail authors <authors@clicktrail.example>
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), ca-certificates, passwd
Section: mail
Priority: optional
Description: self-hosted click tracking for email
 Stands between an application and its mail server: replaces links in emails,
 logs clicks, counts them, and tells other systems.
CONTROL
mkdir -p dist
dpkg-deb --build --root-owner-group -Zxz -z1 "$root" "dist/clicktrail_${version}_$architecture.deb"
