"""The settings of event destinations on data streams: Kinesis, Firehose, Kafka, NATS."""

from typing import Any

from clicktrail.settings.kinds import ENDPOINT, FILE, SERVERS, TEXT, Setting, choice

STREAM_SETTINGS: tuple[Setting[Any], ...] = (
    Setting(
        "kinesis.access_key_id",
        TEXT,
        "",
        "Access key for Kinesis, Yandex Data Streams and Firehose; if empty, the credentials are"
        " taken as AWS's own tools take them (environment, ~/.aws, the machine's role).",
    ),
    Setting("kinesis.secret_access_key", TEXT, "", "The access key's secret.", secret=True),
    Setting(
        "kinesis.endpoint",
        ENDPOINT,
        "",
        "URL to call for arn:aws:kinesis and arn:aws:firehose instead of AWS's own.",
    ),
    Setting(
        "kafka.servers",
        SERVERS,
        "",
        "Kafka servers that event destinations may name; all others are refused.",
    ),
    Setting(
        "kafka.security_protocol",
        choice("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"),
        "plaintext",
        "How the Kafka servers are spoken to: TLS with ssl, a user name and password with sasl.",
    ),
    Setting(
        "kafka.sasl_mechanism",
        choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        "PLAIN",
        "How the user name and password are given to the Kafka servers.",
    ),
    Setting("kafka.username", TEXT, "", "User name at the Kafka servers."),
    Setting("kafka.password", TEXT, "", "Password at the Kafka servers.", secret=True),
    Setting(
        "kafka.tls_ca",
        FILE,
        "",
        "PEM file with the authorities that the Kafka servers' certificates are checked against;"
        " the system's if empty.",
    ),
    Setting(
        "kafka.options_file",
        FILE,
        "",
        "File with more options of librdkafka, one name=value a line, # begins a comment.",
    ),
    Setting(
        "nats.servers",
        SERVERS,
        "",
        "NATS servers that event destinations may name; all others are refused.",
    ),
    Setting("nats.username", TEXT, "", "User name at the NATS servers."),
    Setting("nats.password", TEXT, "", "Password at the NATS servers.", secret=True),
    Setting("nats.token", TEXT, "", "Token for the NATS servers, instead of them.", secret=True),
    Setting(
        "nats.credentials_file",
        FILE,
        "",
        "Credentials file (.creds: JWT and NKey) for the NATS servers, instead of them.",
    ),
    Setting(
        "nats.tls",
        choice("if-offered", "first"),
        "if-offered",
        "TLS where the NATS servers ask for it, or before anything else is said (handshake_first"
        " there): with first nobody in between can talk it away.",
    ),
    Setting(
        "nats.tls_ca",
        FILE,
        "",
        "PEM file with the authorities that the NATS servers' certificates are checked against;"
        " the system's if empty.",
    ),
    Setting("nats.tls_certificate", FILE, "", "PEM file with a certificate for NATS servers."),
    Setting("nats.tls_key", FILE, "", "PEM file with the certificate's private key."),
)
