#!/usr/bin/env bash
# Unpack Exim and OpenSMTPD of Debian into a folder, for tests/mailservers. Installed, they would
# take Postfix's place; the tests give each a root of its own, with users of its own.
set -euo pipefail
folder=${1:?the folder to unpack into}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
chmod 755 "$downloads"
cd "$downloads"
apt-get update -qq
for server in "exim4-daemon-light exim4-base" opensmtpd; do
  # With the libraries that it needs and this machine has not. (Words are meant to be split.)
  # shellcheck disable=SC2086
  libraries=$(apt-get install --simulate -qq --no-install-recommends $server |
    sed -n 's/^Inst \(lib[^ ]*\) .*/\1/p')
  # shellcheck disable=SC2086
  apt-get download -qq $server $libraries
done
for package in *.deb; do
  dpkg-deb -x "$package" "$folder"
done
