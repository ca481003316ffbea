"""Which Kafka and NATS servers may be used: those that the operator lists.

A destination's servers come from whoever may set up destinations. They are connected to by a
library that follows what a server tells of others, and they are given the operator's password.
So a list of servers stands here in place of the check of addresses that webhooks get.
"""

from collections.abc import Iterable

from clicktrail.base.arn import Arn
from clicktrail.errors import DeliveryFailed


class Servers:
    """The servers of a kind that may be used, from a setting."""

    def __init__(self, setting: str, listed: Iterable[str], port: int) -> None:
        self._setting = setting
        self._port = port
        self._listed = {self._full(server) for server in listed}

    def of(self, arn: Arn) -> tuple[str, ...]:
        """Return the ARN's servers as host:port, in order, each once.

        Raises `DeliveryFailed` where one of them is not listed.
        """
        named = sorted({self._full(server) for server in arn.endpoint.split(",")})
        unknown = [server for server in named if server not in self._listed]
        if unknown:
            raise DeliveryFailed(
                f"{', '.join(unknown)} is not called: servers must be listed in {self._setting}"
            )
        return tuple(named)

    def _full(self, server: str) -> str:
        server = server.strip().lower()
        has_port = server.rpartition("]")[2].rpartition(":")[1]
        return server if has_port else f"{server}:{self._port}"
