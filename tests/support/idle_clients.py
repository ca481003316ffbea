"""A process that opens connections, and says next to nothing on them until it is told to end.

    python idle_clients.py PORT COUNT ADDRESS silent|kept|slow

They come from ADDRESS (of 127.0.0.0/8). ``silent`` never says anything, ``kept`` nothing after one
request, ``slow`` begins a request that never ends, with a byte now and then. Writes a line with
their number when all are open; ends with its standard input.
"""

import contextlib
import resource
import socket
import sys
import threading

PAUSE = 0.05


def main() -> None:
    port, count, address, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
        if kind == "kept":
            client.sendall(b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        elif kind == "slow":
            client.sendall(b"GET /c/x HTTP/1.1\r\nX: ")
        clients.append(client)
    print(len(clients), flush=True)
    reader = threading.Thread(target=sys.stdin.read, daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(PAUSE)
        for client in clients if kind == "slow" else ():
            with contextlib.suppress(OSError):  # hung up on
                client.sendall(b"x")


if __name__ == "__main__":
    main()
