"""SMTP dialogues that read as scripts."""

import asyncio
import re

from clicktrail.settings.kinds import Address

PATIENCE = 10.0


async def play(address: Address, script: str) -> None:
    """Play a dialogue: ``C:`` lines are sent, ``S:`` lines are expected.

    Lines that follow one another are sent in one go. ``…`` stands for any text, ``S:`` alone for
    the end of the connection.
    """
    reader, writer = await asyncio.open_connection(address.host, address.port)
    pending = b""
    try:
        for step in filter(None, (line.strip() for line in script.splitlines())):
            who, text = step[:2], step[2:].strip()
            if who == "C:":
                pending += text.encode() + b"\r\n"
                continue
            assert who == "S:", f"a script has lines C: and S:, not {step!r}"
            writer.write(pending)
            pending = b""
            async with asyncio.timeout(PATIENCE):
                heard = (await reader.readline()).decode().removesuffix("\r\n")
            pattern = ".*".join(re.escape(piece) for piece in text.split("…"))
            assert re.fullmatch(pattern, heard), f"expected {text!r}, heard {heard!r}"
        assert not pending, "a script ends with what the server says"
    finally:
        writer.transport.abort()
