#!/usr/bin/env bash
# Install Clicktrail in a fresh Debian 12 as the README has it, and click once through https, with a
# certificate that Pebble (Debian's `pebble`) issued:
#   tools/try_install.sh [--in FOLDER] WAY …   as root, with debootstrap, pebble and Python 3.11
# WAY: checkout, pip, pipx, uv (of the wheel), deb, image (needs buildah and nft). FOLDER (a
# temporary one) is kept where it is given; the Debian that is there already is used. There is no
# systemd in it: what the package's unit starts is started as the package's user.
set -euo pipefail
cd "$(dirname "$0")/.."

typed() { # what the README says to type, from its nth line on
  sed -n '/^## Use it for real/,/^## What/{/^```console/,/^```/p}' README.md |
    sed '/^```$/,$d; /^```/d; s/^\$ //' | tail -n "+$1"
}
say() { printf '%s  %s: %s\n' "$(date -u +%H:%M:%S)" "$way" "$1"; }
within() { chroot "$root" env -i HOME=/root PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "$@"; }

# In namespaces of its own: its ports, its names, and all that it starts ends with it.

inside() {
  mount --make-rprivate /
  trap 'tail -n 20 "$folder"/log/* >&2' ERR
  rm -rf "$folder/log" "$folder/mail" && mkdir "$folder/log"
  ip link set lo up
  ip address add 192.0.2.1/32 dev lo # this machine's address in the world, so to say
  echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start # as the unit's capability; as in containers
  printf '%s\n' '127.0.0.1 localhost' '::1 localhost' '192.0.2.1 click.example.com' >"$folder/hosts"
  mount --bind "$folder/hosts" /etc/hosts
  cp "$folder/hosts" "$root/etc/hosts"
  mount -t proc proc /proc && mount --bind /proc "$root/proc" && mount --rbind /dev "$root/dev"
  authority
  # The mail server, which takes what comes.
  .venv/bin/python -m aiosmtpd -n -l 0.0.0.0:25 -c aiosmtpd.handlers.Mailbox "$folder/mail" &

  "install_$way"
  say "installed; the certificate"
  until [ -d "$folder/mail/new" ]; do sleep 0.1; done
  until curl -s --cacert "$folder/root.pem" https://click.example.com/ -o "$folder/log/page"; do
    kill -0 "$service"
    sleep 0.1
  done
  link=$(python tools/click_once.py "$folder/mail")
  until "$way"_says statistics --configuration-set news --json | grep -q '"clicks": *1'; do :; done
  say "clicked $(cut -c1-34 <<<"$link")…"
  [ "$way" != image ] || healthy
  stop
  [ "$way" != deb ] || upgrade_and_remove
  say "ended well"
}

python() { SSL_CERT_FILE=$folder/root.pem .venv/bin/python "$@"; }

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,DNS:host.containers.internal -keyout "$folder/ca.key" -out "$folder/ca.pem" 2>/dev/null
  cat >"$folder/pebble.json" <<JSON
{"pebble": {"listenAddress": "0.0.0.0:14000", "managementListenAddress": "127.0.0.1:15000",
  "certificate": "$folder/ca.pem", "privateKey": "$folder/ca.key", "httpPort": 80, "tlsPort": 443}}
JSON
  pebble -strict -config "$folder/pebble.json" >"$folder/log/pebble" 2>&1 &
  until curl -sf --cacert "$folder/ca.pem" https://localhost:15000/roots/0 -o "$folder/root.pem"; do
    sleep 0.1
  done
  install -m 644 "$folder/ca.pem" "$root/tmp/ca.pem"
}

# What leads to Pebble and to the packages in the folder, and is no part of what is typed.
trial=(CLICKTRAIL_ACME_DIRECTORY=https://localhost:14000/dir CLICKTRAIL_ACME_TLS_CA=/tmp/ca.pem
  PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_DISABLE_PIP_VERSION_CHECK=1)

begin() { # in the background, until it is ready
  "$@" >"$root/tmp/said" 2>"$folder/log/clicktrail" &
  service=$!
  until grep -qs '^Ready' "$root/tmp/said"; do
    kill -0 "$service"
    sleep 0.1
  done
}

stop() {
  kill -TERM "$(cat "$root/tmp/serving" 2>/dev/null || pgrep -P "$service")"
  wait "$service"
}

# The ways

type_in() { # what is on standard input, in a folder; as people do, with a look at what is said
  sed '/ &$/a echo $! >/tmp/serving; until grep -q "^Ready" /tmp/said; do sleep 0.1; done' \
    >"$root/tmp/typed"
  begin within "${trial[@]}" bash -euc "cd $1; . /tmp/typed >/tmp/said; touch /tmp/done; wait"
  until [ -e "$root/tmp/done" ]; do
    kill -0 "$service"
    sleep 0.1
  done
}
says() { within CLICKTRAIL_DATA=/var/lib/clicktrail "$@"; }

install_checkout() {
  mkdir "$root/src" && tar -xzf "$folder"/dist/*.tar.gz -C "$root/src" --strip-components 1
  type_in /src < <(typed 1)
}
checkout_says() { says /opt/clicktrail/bin/clicktrail "$@"; }

install_pip() { type_in /root < <(typed 1 | sed "1s/'\.\[acme\]'/'clicktrail[acme]'/"); }
pip_says() { checkout_says "$@"; }

install_pipx() {
  type_in /root < <(echo "pipx install 'clicktrail[acme]'"; typed 2 | sed '1s|/opt/clicktrail|~/.local|')
}
pipx_says() { says /root/.local/bin/clicktrail "$@"; }

install_uv() {
  install .venv/bin/uv -t "$root/usr/local/bin"
  install -D /dev/stdin "$root/etc/uv/uv.toml" <<<'no-index = true
find-links = ["/wheels"]'
  type_in /root < <(echo "uv tool install 'clicktrail[acme]'"; typed 2 | sed '1s|/opt/clicktrail|~/.local|')
}
uv_says() { pipx_says "$@"; }

install_deb() {
  cp "$folder"/dist/clicktrail_*.deb "$root/tmp/one.deb"
  within dpkg -i /tmp/one.deb >/dev/null
  # As its postinst asks: the settings that are there, without their "#".
  sed -i -E 's|^# url = .*|url = "smtp://127.0.0.1:25"|; s/^# (host|listen|tls_listen|email) =/\1 =/' \
    "$root/etc/clicktrail/clicktrail.toml"
  begin deb
  typed 5 >"$root/tmp/typed"
  within bash -eu /tmp/typed
}
deb() {
  chroot --userspec=clicktrail:clicktrail "$root" env -i "${trial[@]}" \
    /opt/clicktrail/bin/clicktrail serve --config /etc/clicktrail/clicktrail.toml
}
deb_says() { within clicktrail "$@"; }

upgrade_and_remove() {
  say "upgrade"
  dpkg-deb -R "$root/tmp/one.deb" "$root/tmp/two"
  sed -i 's/^Version: .*/&-2/' "$root/tmp/two/DEBIAN/control"
  dpkg-deb --build --root-owner-group -Znone "$root/tmp/two" "$root/tmp/two.deb" >/dev/null
  within dpkg -i /tmp/two.deb >/dev/null
  begin deb
  python tools/click_once.py - "$link" >/dev/null
  stop
  say "remove"
  within dpkg -r clicktrail >/dev/null
  [ ! -e "$root/usr/bin/clicktrail" ] && [ -s "$root/etc/clicktrail/clicktrail.toml" ]
  within dpkg -P clicktrail
  [ ! -e "$root/etc/clicktrail/clicktrail.toml" ] && [ -s "$root/var/lib/clicktrail/keys.json" ]
}

# As `podman run --read-only --tmpfs /tmp -v … -p … -e …` has it: nothing but these two is written
# to, and it has a network of its own.
install_image() {
  rm -rf "$folder/data" && mkdir "$folder/data" && chown 10001:10001 "$folder/data"
  echo '10.88.0.1 host.containers.internal' >>"$root/etc/hosts"
  mount --rbind "$root" "$root" && mount -o remount,bind,ro "$root"
  mount -t tmpfs tmpfs "$root/tmp" && chmod 1777 "$root/tmp"
  mount --bind "$folder/data" "$root/var/lib/clicktrail"
  install -m 644 "$folder/ca.pem" "$root/tmp/ca.pem"
  readarray -t environment <"$folder/environment"
  publish 80:8480 443:8443 2525:2525
  begin image "${trial[@]}" CLICKTRAIL_ACME_DIRECTORY=https://host.containers.internal:14000/dir \
    CLICKTRAIL_SMARTHOST_URL=smtp://host.containers.internal:25 CLICKTRAIL_SMTP_ALLOW=10.88.0.0/16 \
    CLICKTRAIL_TRACKING_HOST=click.example.com CLICKTRAIL_REDIRECT_TLS_LISTEN=0.0.0.0:8443 \
    CLICKTRAIL_ACME_EMAIL=me@example.com clicktrail serve
  typed 5 >"$root/tmp/typed"
  image sh -eu /tmp/typed
}
publish() { # port:port-in-the-container …, as podman's bridge does
  unshare --net sleep infinity &
  container=/proc/$!/ns/net
  until [ "$(readlink "$container")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
  ip link add veth0 type veth peer name eth0 netns $!
  ip address add 10.88.0.1/16 dev veth0 && ip link set veth0 up
  nsenter --net="$container" sh -euc 'ip link set lo up && ip link set eth0 up
    ip address add 10.88.0.2/16 dev eth0 && ip route add default via 10.88.0.1'
  echo 1 | tee /proc/sys/net/ipv4/ip_forward >/proc/sys/net/ipv4/conf/all/route_localnet
  nft -f - <<NFT
table ip published {
  map ports { type inet_service : ipv4_addr . inet_service; }
  chain out { type nat hook output priority -100; fib daddr type local dnat to tcp dport map @ports; }
  chain in { type nat hook prerouting priority -100; fib daddr type local dnat to tcp dport map @ports; }
  chain back { type nat hook postrouting priority 100; oifname veth0 ip saddr != 192.0.2.1 masquerade; }
}
$(printf 'add element ip published ports { %s : 10.88.0.2 . %s }\n' ${@//:/ })
NFT
}
image() {
  nsenter --net="$container" chroot --userspec=10001:10001 "$root" env -i "${environment[@]}" "$@"
}
image_says() { image clicktrail "$@"; }
healthy() { eval "image $(cat "$folder/health")"; }

# Outside: what comes from the network, and what is built.

prepare() {
  mkdir -p "$folder"/{wheels,dist}
  if [ ! -d "$folder/debian" ]; then
    say "a fresh Debian"
    debootstrap --variant=minbase --include=python3-venv,pipx,ca-certificates bookworm \
      "$folder/debian.new" >"$folder/debootstrap.log"
    mv "$folder/debian.new" "$folder/debian"
  fi
  say "packages"
  rm -f "$folder"/dist/* "$folder"/wheels/clicktrail-* # pip would take the one that is there
  .venv/bin/python -m build --no-isolation --outdir "$folder/dist" . >/dev/null
  # For the Debian's Python: this machine's own, or another 3.11.
  own=$(command -v /usr/bin/python3.11 python3.11 | head -n 1)
  .venv/bin/pip --python "$own" wheel -qq -c constraints.txt -w "$folder/wheels" hatchling \
    "$(echo "$folder"/dist/*.whl)[acme,kafka,nats,postgresql]"
}

fresh_root() {
  root=$folder/root
  rm -rf --one-file-system "$root"
  cp -a --reflink=auto "$folder/debian" "$root"
  cp -a "$folder/wheels" "$root/wheels"
}

make_deb() {
  say "the package"
  tools/make_deb.sh --no-index --find-links "$folder/wheels"
  cp dist/clicktrail_*.deb "$folder/dist"
}

make_image() {
  mkdir -p "$folder"/{storage,run}
  export BUILDAH_ISOLATION=chroot
  buildah() { command buildah --storage-driver vfs --root "$folder/storage" --runroot "$folder/run" "$@"; }
  if ! buildah inspect --type image clicktrail-base >/dev/null 2>&1; then
    container=$(buildah from scratch)
    buildah add -q "$container" "$folder/debian" / >/dev/null
    buildah commit -q --rm "$container" clicktrail-base >/dev/null
  fi
  say "the image"
  buildah build -q --format docker --pull-never -t clicktrail -f deploy/Containerfile \
    --volume "$folder/wheels:/wheels:ro" --build-arg BASE=localhost/clicktrail-base \
    --build-arg PIP_ARGUMENTS="--no-index --find-links /wheels" . >/dev/null
  container=$(buildah from --pull-never clicktrail)
  root=$(buildah mount "$container")
  buildah inspect --format '{{range .Docker.Config.Env}}{{println .}}{{end}}' "$container" |
    sed '/^$/d' >"$folder/environment"
  buildah inspect "$container" | .venv/bin/python -c 'import json, shlex, sys
print(shlex.join(json.load(sys.stdin)["Docker"]["config"]["Healthcheck"]["Test"][1:]))' >"$folder/health"
}

if [ "${1:-}" = --inside ]; then
  [ $$ = 1 ] || { echo "--inside is for namespaces of its own"; exit 2; } # it mounts, and more
  way=$2 folder=$3 root=$4
  inside
  exit
fi
if [ "${1:-}" = --in ]; then
  mkdir -p "$2" && folder=$(cd "$2" && pwd)
  shift 2
else
  folder=$(mktemp -d)
  trap 'rm -rf --one-file-system "$folder"' EXIT
fi
way=${1:-}
for each; do declare -F "install_$each" >/dev/null || way=; done
[ -n "$way" ] || { sed -n '2,/^set/s/^# //p' "$0"; exit 2; }
prepare
for way; do
  case $way in
    deb) make_deb && fresh_root ;;
    image) make_image ;;
    *) fresh_root ;;
  esac
  say "install"
  timeout 600 unshare --net --mount --pid --fork --kill-child "$0" --inside "$way" "$folder" "$root"
  [ "$way" != image ] || buildah rm "$container" >/dev/null
done
