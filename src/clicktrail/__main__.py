"""``python -m clicktrail``."""

from clicktrail.cli import main

main()
