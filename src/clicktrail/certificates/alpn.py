"""The certificate that answers a challenge by TLS-ALPN (RFC 8737). No I/O."""

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PROTOCOL = "acme-tls/1"
"""RFC 8737 § 6.2."""
_ID_PE_ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # § 6.1
_OCTET_STRING_OF_32 = b"\x04\x20"  # X.690 § 8.7


def answer(name: str, key_authorization: str) -> bytes:
    """Return a certificate signed by itself, and its key (PEM), for a name's challenge (§ 3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    # What is longer than 64 cannot be a common name (RFC 5280 § A.1), and none is needed.
    nobody = x509.Name([])
    digest = hashlib.sha256(key_authorization.encode()).digest()
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .add_extension(
            x509.UnrecognizedExtension(_ID_PE_ACME_IDENTIFIER, _OCTET_STRING_OF_32 + digest),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def answers(shown: x509.Certificate, key_authorization: str) -> bool:
    """Whether a certificate answers a challenge (§ 3)."""
    try:
        found: object = shown.extensions.get_extension_for_oid(_ID_PE_ACME_IDENTIFIER).value
    except x509.ExtensionNotFound:
        return False
    digest = hashlib.sha256(key_authorization.encode()).digest()
    wanted = x509.UnrecognizedExtension(_ID_PE_ACME_IDENTIFIER, _OCTET_STRING_OF_32 + digest)
    return found == wanted
