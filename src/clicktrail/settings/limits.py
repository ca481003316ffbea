"""Settings that say how much the doors take on: from one client, and from all."""

from typing import Any

from clicktrail.settings.kinds import NETWORKS, Setting, seconds, whole, workers

SMTP_LIMITS: tuple[Setting[Any], ...] = (
    Setting(
        "smtp.max_connections",
        whole(1, 100_000),
        "1000",
        "How many SMTP connections may be open at once. Where there are more, the oldest that has"
        " begun no email, or has been silent in one for smtp.first_timeout, gives way; where there"
        " is none, the new one is answered 421.",
    ),
    Setting(
        "smtp.max_per_address",
        whole(1, 100_000),
        "50",
        "How many of them one address (of IPv6, one /64) outside of smtp.allow may have.",
    ),
    Setting(
        "smtp.workers",
        workers(),
        "1",
        "How many processes take emails by SMTP at once, on one port; auto: one for each core.",
    ),
    Setting(
        "smtp.max_recipients",
        whole(100, 1_000_000),  # RFC 5321 § 4.5.3.1.8
        "1000",
        "How many recipients one email may have; one more is answered 452, and the client sends it"
        " to the others later.",
    ),
    Setting(
        "smtp.first_timeout",
        seconds(1, 3600),
        "30",
        "How long an SMTP client outside of smtp.allow may be silent before it has signed in; and"
        " how long any client may be silent in an email where others find no room.",
    ),
    Setting(
        "smtp.memory",
        whole(1 << 20, 1 << 40),
        "268435456",
        "How many bytes of emails are held in memory at once while they come in and are passed on;"
        " one more is answered 452. Emails below 64 KB are not counted.",
    ),
    Setting(
        "smtp.timeout",
        seconds(1, 3600),
        "300",
        "How long an SMTP client may be silent. An email that comes, on average, at less than 1 KB"
        " a second is given up, too.",
    ),
)

MILTER_LIMITS: tuple[Setting[Any], ...] = (
    Setting(
        "milter.max_connections",
        whole(1, 100_000),
        "1000",
        "How many connections of mail servers may be open at once; Postfix has one for each SMTP"
        " session. One more takes the place of the oldest without an email.",
    ),
    Setting(
        "milter.workers",
        workers(),
        "1",
        "How many processes answer mail servers at once, on one port or socket; auto: one for each"
        " core.",
    ),
    Setting(
        "milter.memory",
        whole(1 << 20, 1 << 40),
        "268435456",
        "How many bytes of emails are held in memory at once by the milter; what finds no room is"
        " answered 452. Emails below 64 KB are not counted.",
    ),
    Setting(
        "milter.timeout",
        seconds(1, 86_400),
        "7200",
        "How long the mail server may be silent on a connection; longer than its SMTP sessions may"
        " be, of which each has one.",
    ),
)

API_LIMITS: tuple[Setting[Any], ...] = (
    Setting(
        "api.trusted_proxies",
        NETWORKS,
        "127.0.0.0/8,::1/128",
        "Networks of your own proxies in front of the API: their X-Forwarded-For or Forwarded is"
        " believed, and api.max_per_address is not for them.",
    ),
    Setting(
        "api.max_connections",
        whole(16, 100_000),
        "1000",
        "How many connections to the API may be open at once. Where there are more, the oldest"
        " without a request gives way.",
    ),
    Setting(
        "api.workers",
        workers(),
        "1",
        "How many processes answer the API at once, on the same port; auto: one for each core.",
    ),
    Setting(
        "api.max_per_address",
        whole(1, 100_000),
        "100",
        "How many of them one address (of IPv6, one /64) may have; one more takes the place of its"
        " oldest without a request.",
    ),
    Setting(
        "api.memory",
        whole(1 << 20, 1 << 40),
        "67108864",
        "How many bytes of requests to the API are held in memory at once; what finds no room is"
        " answered 429. Requests below 64 KB are not counted.",
    ),
    Setting(
        "api.max_waiting",
        whole(1, 100_000),
        "100",
        "How many requests for events may wait for the next event at once, apart from all others;"
        " one more is answered 503.",
    ),
)

CONSOLE_LIMITS: tuple[Setting[Any], ...] = (
    Setting(
        "console.trusted_proxies",
        NETWORKS,
        "127.0.0.0/8,::1/128",
        "Networks of your own proxies in front of the console: their X-Forwarded-For or Forwarded"
        " is believed.",
    ),
    Setting(
        "console.max_live_pages",
        whole(1, 100_000),
        "100",
        "How many pages of live clicks may be open at once, apart from all other requests.",
    ),
)
