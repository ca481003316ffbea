#!/usr/bin/env bash
# Postfix takes 40 ms longer for each email with a milter on TCP that answers nothing in between.
#
# One would guess: a milter that asks for no answers (SMFIP_NR_*) is the fastest, as Postfix need
# not wait for it.
# What happens: Postfix writes MAIL and RCPT, and then, in a second write, header and body. Its
# system keeps the second back until the first is acknowledged (Nagle, RFC 9293 § 3.7.4), and the
# milter's system acknowledges late, 40 ms on Linux, hoping for an answer to send along. Sockets of
# the file system do not wait; nor does TCP where the milter sets TCP_QUICKACK after each read.
# Seen with Postfix 3.7.11 on Linux 6. Source: src/milter/milter8.c. Needs root and Postfix.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
trap 'postfix -c "$folder/conf" stop 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir "$folder/conf" "$folder/queue" "$folder/data"
chown postfix "$folder/data"
cat > "$folder/conf/main.cf" <<EOF
compatibility_level = 3.6
queue_directory = $folder/queue
data_directory = $folder/data
maillog_file = $folder/maillog
maillog_file_prefixes = $folder
myhostname = mail.test
inet_protocols = ipv4
alias_maps =
default_transport = discard
EOF
cat > "$folder/look.py" <<'PYTHON'
import os, smtplib, socket, statistics, struct, subprocess, sys, threading, time

conf = sys.argv[1]

def milter(listening, quick):
    connection, _ = listening.accept()
    data = b""
    while piece := connection.recv(65536):
        if quick:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        data += piece
        while len(data) >= 5 and len(data) >= 4 + (size := int.from_bytes(data[:4], "big")):
            command, data = data[4:5], data[4 + size:]
            if command == b"O":  # version 6, nothing to change, an answer to the end alone
                connection.sendall(struct.pack("!IcIII", 13, b"O", 6, 0, 0xFF080 | 0x100))
            elif command == b"E":
                connection.sendall(struct.pack("!Ic", 1, b"c"))

for quick in (False, True):
    listening = socket.create_server(("127.0.0.1", 0))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open(f"{conf}/master.cf", "w") as file:
        file.write(f"127.0.0.1:{port} inet n - n - - smtpd\n"
                   f" -o smtpd_milters=inet:127.0.0.1:{listening.getsockname()[1]}\n"
                   "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n"
                   "rewrite unix - - n - - trivial-rewrite\ndiscard unix - - n - - discard\n"
                   "anvil unix - - n - 1 anvil\nproxymap unix - - n - - proxymap\n"
                   "bounce unix - - n - 0 bounce\npostlog unix-dgram n - n - 1 postlogd\n")
    subprocess.run(["postfix", "-c", conf, "start"], check=True, capture_output=True)
    threading.Thread(target=milter, args=(listening, quick), daemon=True).start()
    times = []
    with smtplib.SMTP("127.0.0.1", port) as client:
        for _ in range(30):
            began = time.perf_counter()
            client.sendmail("a@example.com", ["b@example.com"], b"Subject: s\r\n\r\n" + b"x\r\n" * 5000)
            times.append(time.perf_counter() - began)
    subprocess.run(["postfix", "-c", conf, "stop"], check=True, capture_output=True)
    print(f"TCP_QUICKACK {'on' if quick else 'off'}: {statistics.median(times) * 1000:.0f} ms an email")
PYTHON
python3 "$folder/look.py" "$folder/conf"
