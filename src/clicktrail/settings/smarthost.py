"""The settings of the smarthost: where emails go out."""

from typing import Any

from clicktrail.settings.kinds import FILE, SMARTHOST, TEXT, Setting, choice, seconds, whole

SMARTHOST_SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        "smarthost.url",
        SMARTHOST,
        "",
        "Your mail server, which sends the emails on: smtp://host:port (STARTTLS as in"
        " smarthost.tls), smtps://host:port (TLS from the start), or maildir:PATH to try things:"
        " emails are written there and go nowhere.",
        flag="--smarthost",
    ),
    Setting(
        "smarthost.tls",
        choice("if-offered", "required", "never"),
        "if-offered",
        "STARTTLS with an smtp:// smarthost. With if-offered the certificate is not checked.",
    ),
    Setting(
        "smarthost.verify",
        choice("yes", "no"),
        "yes",
        "Check the smarthost's certificate (smtps://, or smarthost.tls = required).",
    ),
    Setting("smarthost.username", TEXT, "", "User name for AUTH at the smarthost."),
    Setting("smarthost.password", TEXT, "", "Password for AUTH at the smarthost.", secret=True),
    Setting(
        "smarthost.tls_ca",
        FILE,
        "",
        "PEM file with the authorities that the smarthost's certificate is checked against; those"
        " of the system if empty.",
    ),
    Setting(
        "smarthost.connect_timeout",
        seconds(0.1, 600),
        "30",
        "How long it may take to connect to the smarthost, with TLS, or to wait for a free"
        " connection; then the sender gets 451.",
    ),
    Setting(
        "smarthost.timeout",
        seconds(0.1, 3600),
        "300",
        "How long the smarthost's greeting, and its answer to EHLO, AUTH, MAIL or RCPT, may take"
        " (RFC 5321 § 4.5.3.2 wants five minutes); then the sender gets 451.",
    ),
    Setting(
        "smarthost.data_timeout",
        seconds(0.1, 3600),
        "120",
        "How long the smarthost's answer to DATA may take (RFC 5321: two minutes).",
    ),
    Setting(
        "smarthost.block_timeout",
        seconds(0.1, 3600),
        "180",
        "How long the smarthost may take to read 64 KB of an email (RFC 5321: three minutes).",
    ),
    Setting(
        "smarthost.final_timeout",
        seconds(0.1, 3600),
        "600",
        "How long the smarthost's answer to a whole email may take. With less than ten minutes"
        " (RFC 5321) emails are sent twice: a server that was given up may have taken it.",
    ),
    Setting(
        "smarthost.seven_bit",
        choice("auto", "always"),
        "auto",
        "When emails are converted to 7 bits, before they are signed with DKIM: auto, where the"
        " smarthost does not offer 8BITMIME; always, also by the milter, where a server behind it"
        " does not.",
    ),
    Setting(
        "smarthost.connections",
        whole(1, 1000),
        "32",
        "How many connections to the smarthost may be open at once. Where all are in use, an"
        " email whose sender is silent for two seconds gives its own to one that waits, and takes"
        " one again when it goes on; who waits for smarthost.connect_timeout is answered 451"
        " 4.4.5.",
    ),
)
