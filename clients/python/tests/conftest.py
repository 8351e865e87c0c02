"""A vault that is served for the tests, ways to disturb it, and both kinds of client behind one face."""

import asyncio
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import pytest

# Vaults are started while clients are open; the handlers that gRPC has for forks end the child in old Pythons.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from tokenvault import AsyncClient, CallContext, Client, ClientConfig

CARD = "4111111111111111"
EMAIL = "ada.lovelace@example.org"
PUT = CallContext("eu", "payments", "bulk_load", "order-1")
SEE = CallContext("eu", "payments", "settlement", "order-1")

_START_SECONDS = 60


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Vault:
    """A served vault of the binary TOKENVAULT_BINARY, in a folder that outlives it."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self._said = folder.with_name(f"{folder.name}.txt")
        self._process = None

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.port}"

    def start(self):
        self.folder.mkdir(exist_ok=True)
        command = [os.environ["TOKENVAULT_BINARY"], "dev", "--serve", "--directory", str(self.folder)]
        with self._said.open("ab") as said:
            self._process = subprocess.Popen([*command, "--port", str(self.port)], stdout=said, stderr=said)
        ends = time.monotonic() + _START_SECONDS
        while not (self.folder / "client.env").exists():
            is_late = self._process.poll() is not None or time.monotonic() > ends
            assert not is_late, f"the vault does not start:\n{self._said.read_text()}"
            time.sleep(0.05)
        return self

    def kill(self):
        self._process.kill()
        self._process.wait()
        (self.folder / "client.env").unlink(missing_ok=True)

    def stop(self):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()

    def config(self, name, endpoint=None, **more):
        """The configuration of an account."""
        clients = self.folder / "clients"
        files = (self.folder / "ca.pem", clients / f"{name}.pem", clients / f"{name}.key")
        return ClientConfig.from_files(endpoint or self.endpoint, *files, **more)


@pytest.fixture(scope="session")
def vault(tmp_path_factory):
    """A vault that nobody disturbs."""
    served = Vault(tmp_path_factory.mktemp("vault")).start()
    yield served
    served.stop()


@pytest.fixture
def own_vault(tmp_path):
    """A vault that a test may kill."""
    served = Vault(tmp_path / "own").start()
    yield served
    served.stop()


@pytest.fixture
def copy_of_vault(vault, tmp_path):
    """Serves vaults like the first one and of its authority, each without its data and with one text replaced."""
    with contextlib.ExitStack() as served:

        def copy(name, file, old, new):
            folder = tmp_path / name
            shutil.copytree(vault.folder, folder, ignore=shutil.ignore_patterns("vault-data*", "client.env"))
            text = (folder / file).read_text()
            assert old in text, f"{file} does not hold {old}"
            (folder / file).write_text(text.replace(old, new))
            copied = Vault(folder).start()
            served.callback(copied.stop)
            return copied

        yield copy


class Wire:
    """A TCP relay between client and vault that can lose what it carries."""

    def __init__(self, port):
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs = []
        # The connections on which answers are lost.
        self._deaf = set()
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self):
        return f"https://127.0.0.1:{self.port}"

    def cut(self):
        """Cuts all connections."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for end in [end for pair in pairs for end in pair]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.cuts += 1

    def hold(self):
        """Loses all answers on the connections that there are, and keeps the connections."""
        with self._lock:
            self._deaf.update(near for near, _ in self._pairs)

    def lose(self, seconds=0.2):
        """Loses all answers for a while, then cuts all connections; those made after that are whole."""
        self.hold()
        threading.Timer(seconds, self.cut).start()

    def close(self):
        self._listening.close()
        self.cut()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    near.close()
                    continue
                with self._lock:
                    self._pairs.append((near, far))
                threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, source, sink, is_answer):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_answer and sink in self._deaf:
                    continue
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            if end is source:
                end.close()


@pytest.fixture
def wire(vault):
    relay = Wire(vault.port)
    yield relay
    relay.close()


class OnLoop:
    """An AsyncClient with the face of a Client: a loop of its own runs while it is asked for something."""

    def __init__(self, config):
        self._loop = asyncio.new_event_loop()
        self._client = self._run(self._made(config))

    def connect(self):
        self._run(self._client.connect())
        return self

    def close(self):
        self._run(self._client.close())
        self._run(self._loop.shutdown_default_executor())
        self._loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return repr(self._client)

    def __getattr__(self, name):
        method = getattr(self._client, name)
        if name.endswith("_stream"):
            return lambda *args, **more: StreamOnLoop(self._loop, method(*args, **more))
        if name in ("access_log", "tail_access_log"):
            return lambda *args, **more: StreamOnLoop(self._loop, method(*args, **more))
        if name == "export_access_log":
            return lambda *args, **more: StreamOnLoop(self._loop, self._run(method(*args, **more)))
        return lambda *args, **more: self._run(method(*args, **more))

    def _run(self, task):
        return self._loop.run_until_complete(task)

    async def _made(self, config):
        return AsyncClient(config)


class StreamOnLoop:
    def __init__(self, loop, stream):
        self._loop, self._stream = loop, stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def save(self, path):
        return self._loop.run_until_complete(self._stream.save(path))

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self._loop.run_until_complete(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self):
        self._loop.run_until_complete(self._stream.aclose())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture(params=["threads", "tasks"])
def client_of(request):
    """Makes clients of either kind, which are closed at the end."""
    with contextlib.ExitStack() as opened:
        kind = {"threads": Client, "tasks": OnLoop}[request.param]
        yield lambda config: opened.enter_context(kind(config))


@pytest.fixture(scope="session")
def root():
    """The root of the repository."""
    return pathlib.Path(os.environ.get("TOKENVAULT_REPOSITORY", pathlib.Path(__file__).parents[3]))
