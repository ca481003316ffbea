"""Secrets that must be read again (access keys, DKIM keys), sealed for the database.

A copy of the database alone gives nobody an access key or a signing key: those need the
installation's key too, which lies in a file of its own.
"""

import secrets
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from clicktrail.base.complaints import complaint
from clicktrail.base.files import write_private
from clicktrail.base.redact import reason_of
from clicktrail.errors import InvalidInput

KEY_SIZE = 64
"""Bytes of the installation's key: AES-256 in SIV mode takes two (RFC 5297)."""


class Vault:
    """Seals and opens secrets with the installation's key. Raises `InvalidInput` for another size.

    ``purpose`` says what a secret is for (``access-key AKIA…``) and is authenticated with it: a
    sealed secret that was put into another row does not open.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise InvalidInput(f"the installation's key has {len(key)} bytes: expected {KEY_SIZE}")
        self._cipher = AESSIV(key)

    @classmethod
    def of_file(cls, path: Path, *, make: bool = True) -> "Vault":
        """Return the vault whose key is in a file (base64), made where there is none: ``make``.

        Raises `InvalidInput` where the file cannot be used.
        """
        try:
            if make and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                made = b64encode(secrets.token_bytes(KEY_SIZE)) + b"\n"
                with suppress(FileExistsError):  # another process was first: its key is as good
                    write_private(path, made, replace=False)
            return cls(b64decode(path.read_bytes().strip(), validate=True))
        except OSError as error:
            raise InvalidInput(
                f"the installation's key {path} cannot be read: {complaint(error, path)}"
            ) from None
        except (ValueError, InvalidInput) as error:
            why = reason_of(error) if isinstance(error, InvalidInput) else "it is not base64"
            raise InvalidInput(
                f"the installation's key {path} cannot be used ({why}): put back the file from a"
                " backup, or remove it and make access keys and DKIM keys anew"
            ) from None

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """Return a secret as the database keeps it."""
        return self._cipher.encrypt(secret, [purpose.encode()])

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Return a secret. Raises `InvalidInput` where it was sealed with another key."""
        try:
            return self._cipher.decrypt(sealed, [purpose.encode()])
        except InvalidTag:
            raise InvalidInput(
                f"the secret of {purpose} was sealed with another key than the installation's"
            ) from None


class FollowedVault(Vault):
    """The vault of a file for a service, which runs without a key that can be used.

    What is sealed cannot be opened then: `InvalidInput`, with what is wrong with the file. It is
    read again until it is put right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._vault: Vault | None = None
        with suppress(InvalidInput):
            self._vault = Vault.of_file(path)

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """See `Vault.seal`."""
        if self._vault is None:
            self._vault = Vault.of_file(self._path, make=False)
        return self._vault.seal(secret, purpose)

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """See `Vault.open`."""
        if self._vault is not None:
            with suppress(InvalidInput):
                return self._vault.open(sealed, purpose)
        there = Vault.of_file(self._path, make=False)
        secret = there.open(sealed, purpose)
        self._vault = there
        return secret
