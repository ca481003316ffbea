"""Another process that opens a store."""

OPEN = """
import asyncio, sys
from clicktrail.store import Store
async def main():
    store = await Store.open(sys.argv[1])
    await store.configuration.current()
    await store.close()
asyncio.run(main())
"""
"""A program: the URL of the store is its argument."""
