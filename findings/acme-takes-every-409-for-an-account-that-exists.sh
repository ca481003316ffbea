#!/usr/bin/env bash
# acme (Certbot's library) takes every answer 409 for "this account exists", whatever it says.
#
# One would guess: a problem document (RFC 8555 § 6.7) is raised as messages.Error, whose typ says
# which it is: "alreadyReplaced" (RFC 9773 § 5, which comes with 409), "rateLimited", "badNonce" …
# What happens: of a 409 the document is not looked at. errors.ConflictError is raised, no subclass
# of messages.Error, with the Location header (or 'UNKNOWN-LOCATION') for its text: that
# an order is refused for its "replaces" alone, and is to be tried without, cannot be seen.
# Seen with acme 5.9.0 (PyPI). Source: acme/client.py, ClientNetwork._check_response.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet acme==5.9.0
cat > "$folder/look.py" <<'PYTHON'
import http.server, json, sys, threading
from acme import errors, messages
from acme.client import ClientNetwork

class Refuses(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind = "urn:ietf:params:acme:error:alreadyReplaced"
        body = json.dumps({"type": kind, "detail": "it was replaced"}).encode()
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): ...

server = http.server.HTTPServer(("127.0.0.1", 0), Refuses)
threading.Thread(target=server.serve_forever, daemon=True).start()
seen = []
for status in (400, 409):
    try:
        ClientNetwork(None).get(f"http://127.0.0.1:{server.server_port}/{status}")
    except messages.Error as error:
        seen.append((status, error.typ.rpartition(":")[2]))
    except errors.ConflictError as error:
        seen.append((status, f"{type(error).__name__} {error.location}"))
print(seen)
sys.exit(seen != [(400, "alreadyReplaced"), (409, "ConflictError UNKNOWN-LOCATION")])
PYTHON
cd "$folder"
if venv/bin/python look.py; then
  echo "as described"
else
  echo "changed"
  exit 1
fi
