"""What is said to a certificate authority (RFC 8555), by the libraries acme and josepy.

Every method blocks; one object is used by one thread at a time.
"""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy import b64, jwa, jwk
from josepy import errors as jose_errors
from josepy import interfaces as jose
from josepy.json_util import field

from clicktrail import __version__
from clicktrail.errors import ClicktrailError

HTTP_01, TLS_ALPN_01 = "http-01", "tls-alpn-01"
"""RFC 8555 § 8.3 and RFC 8737 § 3."""

ANSWER_SECONDS = 20
"""How long an authority may be silent."""
MOST_BYTES = 1024 * 1024
"""How long an answer may be. The longest, chains of certificates, have some thousand."""
ORDER_SECONDS = 180.0
"""How long an order may take in all, once its challenge can be answered."""
_POLL_SECONDS = 1.0
_NONCE_TRIES = 10
_LONGEST_PAUSE = 7 * 86400.0

_CURVES = {"ecdsa-p256": ec.SECP256R1, "ecdsa-p384": ec.SECP384R1}


class OrderFailed(ClicktrailError):
    """An authority issues no certificate: why.

    ``pause`` is for how many seconds it asked to be left alone; ``account_gone``, that it does not
    know our account any more.
    """

    permanent = False

    def __init__(self, why: str, pause: float | None = None, *, account_gone: bool = False) -> None:
        super().__init__(why)
        self.pause = pause
        self.account_gone = account_gone


@dataclass(frozen=True, slots=True)
class Binding:
    """An external account binding (RFC 8555 § 7.3.4): ``mac_key`` is base64url."""

    key_id: str
    mac_key: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order, and the challenge that is to be answered; none where the name is known to be ours.

    ``kind``, ``token`` and ``key_authorization`` are those of RFC 8555 § 8.1.
    """

    resource: messages.OrderResource
    body: messages.ChallengeBody | None
    kind: str = ""
    token: str = ""
    key_authorization: str = ""


def new_account_key() -> bytes:
    """Return a new account key (PEM): ECDSA with P-256, which every authority takes."""
    return new_key("ecdsa-p256")


def new_key(kind: str) -> bytes:
    """Return a new private key (PEM, PKCS #8): ``ecdsa-p256``, ``ecdsa-p384``, ``rsa-2048`` …"""
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if kind in _CURVES:
        key = ec.generate_private_key(_CURVES[kind]())
    else:
        key = rsa.generate_private_key(65537, int(kind.removeprefix("rsa-")))
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def certificate_id(chain: str) -> str:
    """Return the identifier that authorities know a chain's (PEM) first certificate by.

    RFC 9773 § 4.1; empty where its issuer did not give it what that is made of.
    """
    own = x509.load_pem_x509_certificate(chain.encode())
    try:
        issuer = own.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return ""
    serial = own.serial_number  # as in DER: the first bit is the sign
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return (
        f"{b64.b64encode(issuer.key_identifier or b'').decode()}.{b64.b64encode(number).decode()}"
    )


class Authority:
    """An authority, by the URL of its directory, and our account there.

    ``ca`` is a PEM file that its own certificate is checked against, instead of the system's.
    """

    def __init__(self, directory: str, account_key: bytes, ca: Path | None = None) -> None:
        """Raises `OrderFailed` where the authority does not answer."""
        loaded = serialization.load_pem_private_key(account_key, None)
        self._key = jwk.JWKEC(key=loaded)
        self._net = _Network(self._key, ca)
        with _told(directory, self._net):
            found = Client.get_directory(directory, self._net)
            for name in ("newNonce", "newAccount", "newOrder"):
                found[name]
        self._client = Client(found, self._net)
        self._directory = directory

    @property
    def terms(self) -> str:
        """The URL of the terms of service; empty where there are none."""
        return str(getattr(self._client.directory.meta, "terms_of_service", None) or "")

    def make_account(self, email: str, binding: Binding | None = None) -> str:
        """Agree to the terms and return the account's URL; that of the same key, if there is one.

        Raises `OrderFailed`.
        """
        with _told(self._directory, self._net):
            bound = None
            if binding is not None:
                bound = messages.ExternalAccountBinding.from_data(
                    self._key.public_key(),
                    binding.key_id,
                    binding.mac_key,
                    self._client.directory,
                )
            wanted = messages.NewRegistration.from_data(
                email=email, external_account_binding=bound, terms_of_service_agreed=True
            )
            try:
                url = str(self._client.new_account(wanted).uri)
            except errors.ConflictError as error:  # RFC 8555 § 7.3: the key has one already
                url = str(error.location)
        self.use_account(url)
        return url

    def use_account(self, url: str) -> None:
        """Use the account that the key has."""
        body = messages.Registration()
        self._net.account = messages.RegistrationResource(body=body, uri=url)

    def order(
        self, name: str, key: bytes, kinds: tuple[str, ...], predecessor: str = ""
    ) -> Ordered:
        """Begin an order for one name, whose certificate shall be that of a key (PEM).

        Of the challenges the first of ``kinds`` that is offered is taken. ``predecessor`` is the
        chain (PEM) that this authority issued before. Raises `OrderFailed`.
        """
        with _told(self._directory, self._net):
            resource = self._new_order(crypto_util.make_csr(key, [name]), predecessor)
            for each in resource.authorizations:
                if each.body.status == messages.STATUS_VALID:
                    continue
                offered = {_kind(body): body for body in each.body.challenges}
                kind = next((kind for kind in kinds if kind in offered), None)
                if kind is None:
                    told = ", ".join(sorted(offered))
                    raise OrderFailed(f"the authority offers {told}, and not {' or '.join(kinds)}")
                token = _token(offered[kind])
                thumbprint = b64.b64encode(self._key.thumbprint()).decode()
                return Ordered(resource, offered[kind], kind, token, f"{token}.{thumbprint}")
        return Ordered(resource, None)

    def complete(self, ordered: Ordered) -> str:
        """Let the authority look at the challenge, and return the certificate's chain (PEM).

        Raises `OrderFailed`.
        """
        until = time.monotonic() + ORDER_SECONDS
        with _told(self._directory, self._net):
            if ordered.body is not None:
                answer = challenges.HTTP01Response(key_authorization=ordered.key_authorization)
                self._client.answer_challenge(ordered.body, answer)
                self._wait_until_valid(ordered.resource, until)
            deadline = datetime.now() + timedelta(seconds=max(until - time.monotonic(), 1.0))
            return str(self._client.finalize_order(ordered.resource, deadline).fullchain_pem)

    def renewal(self, chain: str) -> tuple[float | None, float]:
        """Return when the authority wants a certificate to be renewed, and when to ask again.

        The first in seconds since 1970, ``None`` where it does not say; the second in seconds from
        now (RFC 9773 § 4.2 and § 4.3). Raises `OrderFailed`.
        """
        with _told(self._directory, self._net):
            when, again = self._client.renewal_time(chain.encode())
            left = (again - datetime.now()).total_seconds()
            return (None if when is None else when.timestamp()), left

    def _new_order(self, csr: bytes, predecessor: str) -> messages.OrderResource:
        # RFC 9773 § 5: a renewal says what it replaces, where that is understood; by this it is
        # told from an order of a new name, and spared their limits.
        if predecessor and "renewalInfo" in self._client.directory.to_partial_json():
            self._net.replaces = certificate_id(predecessor)
            try:
                return self._client.new_order(csr)
            except errors.ConflictError:
                pass  # § 5: alreadyReplaced is a 409, which the library tells of by this
            except messages.Error as error:
                # Such as of another account's certificate: no reason to have none.
                if error.code in ("rateLimited", "accountDoesNotExist"):
                    raise
            finally:
                self._net.replaces = ""
        return self._client.new_order(csr)

    def _wait_until_valid(self, resource: messages.OrderResource, until: float) -> None:
        waiting = list(resource.authorizations)
        while waiting:
            found, _ = self._client.poll(waiting[0])
            if found.body.status == messages.STATUS_VALID:
                del waiting[0]
            elif found.body.status != messages.STATUS_PENDING:
                raise OrderFailed(_why_not(found.body))
            elif time.monotonic() > until:
                raise OrderFailed(f"the authority has not looked within {ORDER_SECONDS:g} seconds")
            else:
                time.sleep(_POLL_SECONDS)


class Client(client.ClientV2):
    """Waits as long as it is told."""

    @classmethod
    def retry_after(cls, response: requests.Response, default: int) -> datetime:
        """See `ClientV2.retry_after`, which takes a date for local time."""
        told = _seconds(response.headers.get("Retry-After", ""))
        seconds = default if told is None else max(told, _POLL_SECONDS)
        return datetime.now() + timedelta(seconds=seconds)


class _Renewal(messages.NewOrder):
    """A new order that says what it replaces (RFC 9773 § 5), which acme's cannot."""

    replaces: str = field("replaces", omitempty=True)


class _Network(client.ClientNetwork):
    """Signs what is sent, and sends it again as often as its nonce is refused."""

    def __init__(self, key: jwk.JWK, ca: Path | None) -> None:
        super().__init__(
            key, alg=jwa.ES256, user_agent=f"clicktrail/{__version__}", timeout=ANSWER_SECONDS
        )
        if ca is not None:
            self.verify_ssl = str(ca)  # type: ignore[assignment] # requests takes a path too
        self.session.hooks["response"].append(self._listen)
        self.retry_after: str | None = None
        """What the last answer that was none said of when to come again."""
        self.replaces = ""
        """The identifier of the certificate that new orders replace, where they do."""

    def post(
        self, url: str, obj: jose.JSONDeSerializable, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """See `ClientNetwork.post`, which tries twice: RFC 8555 § 6.5 sets no bound."""
        if self.replaces and isinstance(obj, messages.NewOrder):
            obj = _Renewal(identifiers=obj.identifiers, replaces=self.replaces)
        for _ in range(_NONCE_TRIES):
            try:
                return super().post(url, obj, *args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(url, obj, *args, **kwargs)

    def _listen(self, response: requests.Response, *_: Any, **__: Any) -> None:
        # RFC 8555 § 6.6: the error that is raised of it does not hold it.
        self.retry_after = None if response.ok else response.headers.get("Retry-After")
        response.raw = _Bounded(response.raw)  # it is read when all hooks have run


class _Bounded:
    """The body of an answer, as requests reads it, which has no end of its own."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """Yield it piece by piece, unpacked, up to `MOST_BYTES`. Raises `acme.errors.Error`."""
        taken = 0
        for piece in self._raw.stream(*args, **kwargs):
            taken += len(piece)
            if taken > MOST_BYTES:
                self._raw.close()
                raise errors.ClientError("its answer is too long")
            yield piece


@contextmanager
def _told(directory: str, net: _Network) -> Iterator[None]:
    """Turn what the libraries raise into an `OrderFailed`, in words of ours."""
    try:
        yield
    except messages.Error as error:
        pause = _seconds(net.retry_after) if net.retry_after else None
        if error.code == "rateLimited" and pause is None:
            pause = 3600.0
        gone = error.code == "accountDoesNotExist"
        raise OrderFailed(_problem(error), pause, account_gone=gone) from None
    except errors.IssuanceError as error:
        raise OrderFailed(_problem(error.error)) from None
    except errors.TimeoutError:
        raise OrderFailed("the authority has not issued the certificate in time") from None
    except requests.exceptions.SSLError as error:
        raise OrderFailed(
            f"the certificate of {directory} is not trusted ({_innermost(error)}): with an"
            " authority of your own, name its certificate in acme.tls_ca"
        ) from None
    except requests.exceptions.Timeout:
        raise OrderFailed(f"{directory} does not answer within {ANSWER_SECONDS} seconds") from None
    except requests.exceptions.RequestException as error:
        raise OrderFailed(f"{directory} cannot be reached: {_innermost(error)}") from None
    except (errors.Error, jose_errors.Error, ValueError, KeyError, AttributeError) as error:
        # Not what was answered: it may be anything, and as long as it likes.
        kind = type(error).__name__
        raise OrderFailed(f"{directory} does not answer as RFC 8555 has it ({kind})") from None


def _innermost(error: BaseException) -> str:
    """Return what the system said of it, else what the error is called."""
    found: BaseException | None = error
    for _ in range(8):
        if isinstance(found, ssl.SSLError):
            return found.reason or "SSLError"
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        inside = found.args[0] if found is not None and found.args else None
        reason = getattr(inside, "reason", None)
        inside = reason if isinstance(reason, BaseException) else inside
        found = inside if isinstance(inside, BaseException) else getattr(found, "__cause__", None)
        if found is None:
            break
    return type(error).__name__


def _problem(error: Any) -> str:
    """Return what a problem document says (RFC 7807), with those inside it (RFC 8555 § 6.7.1)."""
    told = [error.detail or error.title or str(error.typ)]
    told += [each.detail or str(each.typ) for each in error.subproblems or ()]
    return f"{'; '.join(told)} ({str(error.typ).rpartition(':')[2]})"


def _why_not(body: messages.Authorization) -> str:
    said = [_problem(each.error) for each in body.challenges if each.error is not None]
    return "; ".join(said) or f"the authority calls the authorization {body.status.name}"


def _kind(body: messages.ChallengeBody) -> str:
    return str(body.chall.to_partial_json().get("type", ""))


def _token(body: messages.ChallengeBody) -> str:
    return str(body.chall.to_partial_json()["token"])


def _seconds(retry_after: str) -> float | None:
    """Return how long to wait (RFC 9110 § 10.2.3), at most a week; `None` where it is unclear."""
    if retry_after.strip().isdecimal() and len(retry_after) < 12:
        left = float(retry_after)
    else:
        try:
            left = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(left, 0.0), _LONGEST_PAUSE)
