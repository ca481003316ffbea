#!/bin/sh
# Install Debian's Chromium where it is missing: the browser of tests/browser. Needs root for that.
set -eu

for name in chromium chromium-browser; do
  if command -v "$name" >/dev/null; then
    echo "$name is here: $("$name" --version 2>/dev/null | head -n 1)"
    exit 0
  fi
done
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "Chromium is missing. Install it with your system (Debian: apt-get install chromium)." >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
chromium --version
