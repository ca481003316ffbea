"""Tracking links without a service: an email in, the same with tracking links out.

    python examples/library_script.py keys.json click.example.com < my.eml > out.eml
    python examples/library_script.py keys.json click.example.com LINK

The second says what a tracking link holds. The key ring is made where there is none.
"""

import sys
from pathlib import Path

from clicktrail.api import Tracking, new_keys


def main(keys: Path, host: str, link: str = "") -> None:
    if not keys.exists():
        keys.touch(0o600)
        keys.write_bytes(new_keys())
    tracking = Tracking(keys, host)
    if link:
        opened = tracking.open(link)
        print(f"link {opened.link} of email {opened.message_id}: {opened.url}")
        return
    email = tracking.rewrite_email(sys.stdin.buffer.read())
    sys.stdout.buffer.write(email.message)
    print(f"email {email.message_id}: {len(email.links)} links", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
