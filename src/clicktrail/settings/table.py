"""All settings, in one table: name, type, default, help. `Settings` reads what is given."""

from typing import Any

from clicktrail.settings.acme import ACME_SETTINGS
from clicktrail.settings.kinds import (
    DAYS,
    FILE,
    HOSTS,
    JOURNAL,
    LISTEN,
    LISTEN_OR_NONE,
    LISTEN_OR_SOCKET,
    NETWORKS,
    PATH,
    SETS,
    SMTP_NAME,
    STORE,
    STREAM_NAME,
    TEXT,
    WEB_PAGE,
    Setting,
    choice,
    seconds,
    whole,
    workers,
)
from clicktrail.settings.limits import API_LIMITS, CONSOLE_LIMITS, MILTER_LIMITS, SMTP_LIMITS
from clicktrail.settings.secret_files import with_file
from clicktrail.settings.smarthost import SMARTHOST_SETTINGS
from clicktrail.settings.streams import STREAM_SETTINGS
from clicktrail.settings.tracking import TRACKING_SETTINGS

_ROWS: tuple[Setting[Any], ...] = (
    Setting("data", PATH, "clicktrail-data", "Folder for the database, the journal and the keys."),
    Setting(
        "store.url",
        STORE,
        "",
        "PostgreSQL database that all nodes share: postgresql://user:password@host/database, with"
        " parameters of libpq such as ?sslmode=verify-full. A file in the data folder if empty.",
        secret=True,
    ),
    *SMARTHOST_SETTINGS,
    Setting("smtp.listen", LISTEN, "127.0.0.1:2525", "Where emails come in by SMTP."),
    Setting(
        "smtp.hostname",
        SMTP_NAME,
        "",
        "Name that this server calls itself: in its greeting, in trace headers, and in EHLO to the"
        " smarthost; the machine's name if empty. Many servers refuse one without a dot.",
    ),
    Setting(
        "smtp.tls_certificate",
        FILE,
        "",
        "PEM file with the certificate chain: STARTTLS is offered.",
    ),
    Setting(
        "smtp.tls_listen",
        LISTEN_OR_NONE,
        "",
        "Where emails come in by SMTP with TLS from the start (smtps, port 465: RFC 8314); it needs"
        " smtp.tls_certificate.",
    ),
    Setting(
        "smtp.trusted_proxies",
        NETWORKS,
        "127.0.0.0/8,::1/128",
        "Networks of your own mail servers in front: their XFORWARD is believed, which tells who"
        " gave them the email.",
    ),
    Setting("smtp.tls_key", FILE, "", "PEM file with the certificate's private key."),
    Setting(
        "smtp.allow",
        NETWORKS,
        "127.0.0.0/8,::1/128",
        "Networks that may send without AUTH; everybody else must sign in.",
    ),
    Setting(
        "smtp.max_size",
        whole(1024, 1 << 30),
        "10485760",
        "The largest email taken, in bytes, at every door.",
    ),
    Setting(
        "identities.required",
        choice("auto", "yes", "no"),
        "auto",
        "Whether the From address and the envelope sender must belong to an identity. auto: as"
        " soon as there is one identity, others can no longer send.",
    ),
    Setting(
        "identities.exempt",
        NETWORKS,
        "",
        "Networks of clients that send in anybody's name all the same, by SMTP or by the milter:"
        " relays for other domains, machines whose cron mail comes from root@localhost.",
    ),
    *SMTP_LIMITS,
    Setting(
        "milter.listen",
        LISTEN_OR_SOCKET,
        "",
        "Where a mail server asks the milter about each email, which it sends itself: unix:/path,"
        " or host:port. The role runs where this is set.",
    ),
    Setting(
        "milter.allow",
        NETWORKS,
        "127.0.0.0/8,::1/128",
        "Networks of mail servers that may connect to the milter. Who may use a socket of the file"
        " system, its group and its folder say.",
    ),
    Setting(
        "milter.senders",
        NETWORKS,
        "127.0.0.0/8,::1/128",
        "Networks whose emails are tracked by the milter, as are those of users who have signed in"
        " at the mail server. All others, such as emails from the internet, pass untouched.",
    ),
    Setting(
        "milter.store_away",
        choice("tempfail", "accept"),
        "tempfail",
        "What becomes of an email where the store is away: the sender is told 451, or it passes"
        " untouched.",
    ),
    *MILTER_LIMITS,
    *TRACKING_SETTINGS,
    Setting("redirect.listen", LISTEN, "127.0.0.1:8480", "Where clicks come in by http."),
    Setting(
        "redirect.workers",
        workers(),
        "1",
        "How many processes answer clicks at once, on the same ports; auto: one for each core.",
    ),
    Setting(
        "redirect.tls_listen",
        LISTEN_OR_NONE,
        "",
        "Where clicks come in by https; needs acme.email, or redirect.tls_certificate.",
    ),
    Setting("redirect.tls_certificate", FILE, "", "PEM file with the certificate chain."),
    Setting("redirect.tls_key", FILE, "", "PEM file with the certificate's private key."),
    *ACME_SETTINGS,
    Setting(
        "redirect.trusted_proxies",
        NETWORKS,
        "",
        "Networks of your own proxies: only their X-Forwarded-For or Forwarded is believed.",
    ),
    Setting(
        "redirect.domains",
        HOSTS,
        "",
        "More domains that lead here, beside those of tracking.host and of the configuration sets:"
        " new ones before they are used, old ones whose links shall go on working.",
    ),
    Setting(
        "redirect.app_links",
        FILE,
        "",
        "Folder with a folder for each domain, which holds its apple-app-site-association and"
        " assetlinks.json: they are served to phones, so that apps may open links.",
    ),
    Setting(
        "redirect.home",
        WEB_PAGE,
        "",
        "URL of your own site: / leads there, and so does a link on the page of a link that is"
        " none, or is blocked.",
    ),
    Setting(
        "redirect.pages",
        FILE,
        "",
        "Folder with files for the pages that people see, in the place of those that are built in:"
        " not-found.html, blocked.html, unsubscribe.html …, and not-found.de.html for readers of"
        " one language.",
    ),
    Setting(
        "node.name",
        TEXT,
        "",
        "What this node is called among several; if empty, its host name and data folder.",
    ),
    Setting(
        "journal.url",
        JOURNAL,
        "",
        "Where clicks are logged: nats://[user:password@]host:port[,host:port] for a stream of NATS"
        " JetStream that several nodes share; if empty, a file in the data folder.",
        secret=True,
    ),
    Setting(
        "journal.stream",
        STREAM_NAME,
        "clicktrail",
        "Name of the JetStream stream; it is made where there is none.",
    ),
    Setting(
        "journal.replicas",
        whole(1, 5),
        "1",
        "On how many NATS servers the stream is kept, when it is made; 3 outlives the loss of one.",
    ),
    Setting(
        "journal.timeout",
        seconds(0.01, 60),
        "0.25",
        "How long a click may wait for the journal before it goes to the local spool.",
    ),
    Setting(
        "journal.queue",
        whole(1, 1_000_000),
        "20000",
        "How many clicks may wait for the journal at once; more go to the local spool.",
    ),
    Setting(
        "api.listen",
        LISTEN,
        "127.0.0.1:8482",
        "Where the HTTP API listens (the built-in stream is read there).",
    ),
    Setting(
        "api.token",
        TEXT,
        "",
        "Bearer token of the HTTP API; if empty, one is made in the data folder (api-token).",
        secret=True,
    ),
    *API_LIMITS,
    Setting(
        "api.escape_templates",
        choice("no", "yes"),
        "no",
        "Whether values that templates of SendEmail show in HTML are escaped, as in Handlebars;"
        " Amazon SES does not escape them.",
    ),
    Setting(
        "console.listen",
        LISTEN,
        "127.0.0.1:8484",
        "Where the console listens, in plain http: end TLS in front of it for other machines.",
    ),
    *CONSOLE_LIMITS,
    Setting(
        "metrics.listen",
        LISTEN_OR_NONE,
        "127.0.0.1:8483",
        "Where /metrics (Prometheus), /healthz and /readyz are answered; nowhere if empty.",
    ),
    Setting(
        "privacy.ip",
        choice("full", "truncate", "none"),
        "full",
        "How much of a clicking person's address is kept and told: all of it, its network (/24, or"
        " /48 of IPv6), or nothing.",
    ),
    Setting(
        "privacy.user_agent",
        choice("full", "family", "none"),
        "full",
        "How much of a User-Agent is kept and told: all of it, the browser's family, or nothing.",
    ),
    Setting(
        "retention.messages",
        DAYS,
        "60",
        "How long addresses, headers and links of emails are kept. Links work for ever.",
    ),
    Setting(
        "retention.clicks",
        DAYS,
        "60",
        "How long single clicks are kept. What was counted stays.",
    ),
    Setting(
        "retention.events",
        DAYS,
        "60",
        "How long events of built-in streams, and dead letters, are kept.",
    ),
    Setting(
        "retention.origins",
        DAYS,
        "0",
        "How long it is known where an email belongs and which of its links were clicked: never"
        " shorter than emails and clicks themselves. Later clicks are redirected and counted, but"
        " for no configuration set, and tell nobody.",
    ),
    Setting(
        "machine.networks_file",
        FILE,
        "",
        "File with networks of machines that look at links, one (CIDR) a line, # begins a comment:"
        " clicks from there are a machine's; with the word cloud behind it, suspect. They are added"
        " to those that Clicktrail knows.",
    ),
    Setting(
        "machine.honeypot",
        SETS,
        "",
        "Configuration sets whose emails get a hidden link: who follows it is a machine.",
    ),
    Setting(
        "publish.retry_for",
        seconds(0, 30 * 86400),
        "86400",
        "How long a notification is retried before it becomes a dead letter.",
    ),
    Setting(
        "publish.retry_first",
        seconds(0.01, 3600),
        "1",
        "Wait before the first retry; it doubles with each one, with jitter.",
    ),
    Setting(
        "publish.retry_most", seconds(0.01, 86400), "3600", "The longest wait between retries."
    ),
    Setting(
        "publish.suppress_unsubscribed",
        choice("no", "yes"),
        "no",
        "Whether who unsubscribes from a contact list as a whole, by the link of an email, is put"
        " on the suppression list too: then they get no email at all.",
    ),
    Setting(
        "webhook.secret",
        TEXT,
        "",
        "Signing secret (whsec_…) of webhooks; if empty, one is made in the data folder"
        " (webhook-secret).",
        secret=True,
    ),
    Setting(
        "webhook.timeout",
        seconds(0.1, 300),
        "10",
        "How long a webhook may take to answer, or a data stream to take a batch.",
    ),
    Setting(
        "webhook.allow",
        NETWORKS,
        "",
        "Loopback, private and link-local networks that webhooks, and endpoints of arn:yc:yds, may"
        " be in, then also without TLS. All others of that kind are refused.",
    ),
    *STREAM_SETTINGS,
    Setting(
        "log.level",
        choice("debug", "info", "warning", "error"),
        "info",
        "The least level that is logged.",
    ),
    Setting(
        "log.format",
        choice("auto", "json", "text"),
        "auto",
        "Log lines as JSON or as text; auto: text on a terminal, JSON elsewhere.",
    ),
    Setting(
        "log.addresses",
        choice("yes", "no"),
        "no",
        "Whether the lines of emails name sender and recipients; no other line ever holds an"
        " address.",
    ),
)

SETTINGS = tuple(each for row in _ROWS for each in with_file(row))
