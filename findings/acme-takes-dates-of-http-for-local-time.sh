#!/usr/bin/env bash
# acme (Certbot's library) takes a Retry-After that is a date for local time, not for GMT.
#
# One would guess: ClientV2.retry_after gives the moment that the header names (RFC 9110 § 5.6.7: an
# HTTP date is in GMT), comparable with datetime.now(), as it is where the header is in seconds.
# What happens: the date's own numbers come back as a naive datetime. East of Greenwich it is in
# the past, so that one asks again at once; west of it, hours too late.
# Seen with acme 5.9.0 (PyPI). Source: acme/client.py, ClientV2.retry_after, by which
# poll_finalization waits: without a pause east of Greenwich, and west of it until its deadline is
# over. Told as https://github.com/certbot/certbot/issues/9319.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet acme==5.9.0
cat > "$folder/look.py" <<'PYTHON'
import datetime, email.utils, sys, time
import requests
from acme.client import ClientV2

def minutes(header):
    answer = requests.Response()
    answer.headers["Retry-After"] = header
    left = ClientV2.retry_after(answer, 5) - datetime.datetime.now()
    return round(left.total_seconds() / 60)

in_seconds = minutes("3600")
as_a_date = minutes(email.utils.formatdate(time.time() + 3600, usegmt=True))
print(time.tzname[0], "in an hour: in seconds", in_seconds, "min | as a date", as_a_date, "min")
sys.exit((in_seconds, as_a_date) != (60, int(sys.argv[1])))
PYTHON
cd "$folder"
if TZ=UTC venv/bin/python look.py 60 && TZ=UTC-3 venv/bin/python look.py -120 &&
  TZ=UTC+8 venv/bin/python look.py 540; then
  echo "as described"
else
  echo "changed"
  exit 1
fi
