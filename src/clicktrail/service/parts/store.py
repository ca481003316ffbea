"""The store of a process, opened once for all of its roles, and the keys that its links need."""

from functools import partial

from clicktrail.service.house import House
from clicktrail.service.parts.folder import store_url
from clicktrail.service.parts.nodes import are_several, check_keys, describe
from clicktrail.service.parts.objection import objection
from clicktrail.service.parts.sealing import SealingWatch
from clicktrail.service.parts.vault import OFTEN, look_at_vault
from clicktrail.store import Store

Store.load()  # with the roles, which most subjects are for, and before those are forked


async def open_store(house: House) -> Store:
    """Return the store that the roles of this process share. Raises `StoreUnavailable`."""
    async with house.opening:
        if house.store is None:
            house.store = await Store.open(store_url(house.settings))
            house.ends.append(house.store.close)
            house.tries["store"] = house.store.try_it
            house.store.configuration.objection = partial(objection, house.settings)
    return house.store


async def custom_domains(house: House) -> list[str]:
    """Return the redirect domains of all configuration sets. Raises `StoreUnavailable`."""
    sets = (await (await open_store(house)).configuration.current()).sets.values()
    return [each.redirect_domain for each in sets if each.redirect_domain]


async def check_sealing(house: House, store: Store) -> None:
    """See that links sealed here will be opened, and write down with which key they are.

    Raises `ClicktrailError`.
    """
    watch = SealingWatch(house.keys, store)
    await watch.look()
    house.tries["sealing keys"] = watch.look
    house.tries["vault-key"] = partial(look_at_vault, house.folder, store, OFTEN)
    if are_several(house.settings):
        node = describe(house.settings, house.folder, house.roles, house.keys)
        await check_keys(node, store)
