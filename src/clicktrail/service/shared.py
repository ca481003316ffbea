"""What the processes of a role share: made before they are forked."""

from collections.abc import Sequence

from clicktrail.doors.sockets import ListeningSocket
from clicktrail.doors.throttle import Throttle
from clicktrail.service.checks.opening import opening
from clicktrail.settings.kinds import SocketPath
from clicktrail.settings.settings import Settings


class Shared:
    """What is counted together, and where they listen together."""

    def __init__(self) -> None:
        self.throttle = Throttle()
        """Of who signs in to send."""
        self.milter: ListeningSocket | None = None
        """In the file system no two can listen at one place (`SO_REUSEPORT` is of ports)."""

    def open_doors(self, settings: Settings, roles: Sequence[str]) -> None:
        """Listen where several processes of these roles will. Raises `SettingError`."""
        place = settings["milter.listen"]
        several = "milter" in roles and settings.workers("milter") > 1
        if several and isinstance(place, SocketPath):
            door = ListeningSocket(place.path)
            with opening(settings, "milter.listen"):
                door.open()
            self.milter = door

    def close_doors(self) -> None:
        """Let nobody else in; whoever was let in is for those who did."""
        if self.milter is not None:
            self.milter.close()
