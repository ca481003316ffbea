"""The README as package indexes show it: none of its links leads to a file that is not there.

A hook of hatchling, run by each build. Where ``project.urls`` names a ``Source``, links to files of
the checkout lead there; without, their words stand alone, and pictures are left out.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^\[\]]*)\]\((?![a-z]+:|#)([^()\s]+)\)")


class PackageReadme(MetadataHookInterface):
    """Sets ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See `MetadataHookInterface.update`."""
        text = (Path(self.root) / "README.md").read_text("utf-8")
        source = metadata.get("urls", {}).get("Source", "")
        text = absolute(text, source and f"{source}/blob/v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def absolute(text: str, home: str) -> str:
    """Let the relative links of Markdown lead to files under a URL, or nowhere, if it is empty."""

    def one(link: re.Match[str]) -> str:
        picture, words, path = link.groups()
        if home:
            return f"{picture}[{words}]({home}/{path}{'?raw=true' if picture else ''})"
        return "" if picture else words

    return _LINK.sub(one, text)
