"""The composition root: starts the roles of this process, looks after them, and stops them."""

from collections.abc import Awaitable, Sequence
from importlib import import_module
from typing import Protocol, cast

from clicktrail.base.files import is_full
from clicktrail.base.logs import get_logger
from clicktrail.base.redact import reason_of
from clicktrail.errors import ClicktrailError, InvalidInput, NoRoom, SettingError
from clicktrail.service.checkup import Checkup
from clicktrail.service.house import House
from clicktrail.service.shared import Shared
from clicktrail.settings.settings import Settings
from clicktrail.settings.tracking import SEALING, check_links

log = get_logger(__name__)

ROLES = ("publisher", "redirect", "api", "console", "smtp", "milter")
"""In the order in which they start; they stop in the opposite one."""

_SIGN_INS = (
    ("smarthost.password", "smarthost.username"),
    ("kinesis.secret_access_key", "kinesis.access_key_id"),
    ("kafka.password", "kafka.username"),
    ("nats.password", "nats.username"),
)


class RoleModule(Protocol):
    """A module of `service.roles`."""

    def check(self, settings: Settings) -> None:
        """See that the role's settings can be used. Raises `SettingError`."""

    def build(self, house: House) -> Awaitable[None]:
        """Start the role in a process. Raises `ClicktrailError`, `OSError`."""
        ...


def load(role: str) -> RoleModule:
    """Load a role, and with it all that it needs: processes that are forked later share it."""
    return cast(RoleModule, import_module(f"clicktrail.service.roles.{role}"))


def usual_roles(settings: Settings) -> list[str]:
    """Return the roles of a service that was not told any.

    The milter where it has an address; then emails need not come in by SMTP too.
    """
    without = set() if settings["milter.listen"] is not None else {"milter"}
    if not without and not settings.text("smarthost.url"):
        without.add("smtp")
    return [role for role in ROLES if role not in without]


def check_roles(settings: Settings, roles: Sequence[str]) -> list[str]:
    """Return the roles in the order in which they start. Raises `InvalidInput`, `SettingError`."""
    for role in roles:
        if role not in ROLES:
            raise InvalidInput(f"there is no role {role!r}: use one of {', '.join(ROLES)}")
    if "smtp" in roles and not settings.text("smarthost.url"):
        raise SettingError(
            "smarthost.url is empty: say where emails go with --smarthost smtp://host:port,"
            " or --smarthost maildir:PATH to try things"
        )
    if not SEALING.isdisjoint(roles):
        check_links(settings)
    # Here, and not for every command: a secret may stand in the environment that all share, and the
    # name beside it be a flag of the service.
    for secret, name in _SIGN_INS:
        if settings[secret] and not settings[name]:
            raise SettingError(
                f"{secret} is set (from {settings.source(secret)}), so {name} is needed too"
            )
    return [role for role in ROLES if role in roles]


class Service:
    """Some roles in this process. ``lines`` tells where they listen, after `start`.

    ``shared`` is what processes of a role share.
    """

    def __init__(
        self, settings: Settings, roles: Sequence[str], shared: Shared | None = None
    ) -> None:
        self._house = House(settings, roles, shared)
        self.faults = self._house.faults
        self.metrics = self._house.metrics
        self.lines = self._house.lines

    async def start(self) -> None:
        """Start all roles. Raises `ClicktrailError`; what was started is stopped by `stop`."""
        house = self._house
        house.keys.ring()  # now: what becomes of the file later does no harm
        for role in house.roles:
            try:
                await load(role).build(house)
            except OSError as error:
                kind = NoRoom if is_full(error) else ClicktrailError
                raise kind(f"{role} cannot start: {reason_of(error)}") from None
        checkup = Checkup(house.faults, house.tries)
        house.ends.append(checkup.stop)
        await checkup.start()

    def reload(self) -> None:
        """Read certificates, keys and the networks file again; what fails stays as it was."""
        for what, reload in self._house.reloads:
            try:
                reload()
            except (ClicktrailError, OSError) as error:
                log.error("not reloaded: what was there stays in use", what=what, reason=error)
            else:
                log.info("reloaded", what=what)

    async def stop(self) -> None:
        """Stop what was started, the last first: nothing that has begun is lost."""
        await self._house.close()
