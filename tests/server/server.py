"""server.py - starts `rwkv7 serve` for a test and talks to it over raw sockets.

A test is a Python program: it takes the command that starts rwkv7 as its arguments and calls
main() with its cases, functions that take a Server. Nothing here depends on how fast the machine
is; time limits only end a program that hangs.
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback

PATIENCE = 300  # seconds


class Answer:
    """An HTTP answer: status, headers with lower-case names, body without chunks."""

    def __init__(self, status, headers, body, whole=True):
        self.status, self.headers, self.body, self.whole = status, headers, body, whole

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The data of the server-sent events, without [DONE]; checks the form of every line."""
        found = []
        for block in self.body.decode().split("\n\n"):
            if block in ("", ": ping"):
                continue
            assert block.startswith("data: ") and "\n" not in block, block
            found.append(block[6:])
        if found and found[-1] == "[DONE]":
            found.pop()
        return [json.loads(one) for one in found]

    def typed_events(self):
        """The data of events that have a type; the type is also a member of the data."""
        found = []
        for block in self.body.decode().split("\n\n"):
            if block in ("", ": ping"):
                continue
            name, data = block.split("\n")
            assert name.startswith("event: ") and data.startswith("data: "), block
            found.append(json.loads(data[6:]))
            assert found[-1]["type"] == name[7:], block
        return found

    def lines(self):
        """The values of lines of JSON."""
        assert self.body.endswith(b"\n"), self.body[-100:]
        return [json.loads(line) for line in self.body.decode().split("\n")[:-1]]


def is_whole(data):
    """Whether the bytes are a complete answer; None: the answer ends when the connection closes."""
    head, mark, body = data.partition(b"\r\n\r\n")
    if not mark:
        return False
    lower = head.lower()
    if lower.startswith(b"http/1.1 100"):
        return is_whole(body)
    if b"\r\ntransfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    for line in lower.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    return b" 204 " in lower.split(b"\r\n")[0] + b" " or None


def parse(data):
    head, _, body = data.partition(b"\r\n\r\n")
    if head.lower().startswith(b"http/1.1 100"):
        return parse(body)
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    whole = is_whole(data)
    if headers.get("transfer-encoding") == "chunked":
        pieces, at = [], 0
        while (end := body.find(b"\r\n", at)) > at and (count := int(body[at:end], 16)) > 0:
            pieces.append(body[end + 2:end + 2 + count])
            at = end + 4 + count
        body = b"".join(pieces)
    return Answer(int(lines[0].split()[1]), headers, body, whole)


class Server:
    def __init__(self, command, options=(), host="127.0.0.1"):
        self.log = tempfile.TemporaryFile("w+")
        environment = dict(os.environ, XDG_CONFIG_HOME=os.path.join(tempfile.gettempdir(), "no such folder"))
        environment.pop("RWKV7_MODEL", None)
        self.address = host
        self.process = subprocess.Popen([*command, "serve", "--host", host, "--port", "0", *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
        self.messages = []
        for line in self.process.stderr:
            self.messages.append(line.rstrip("\n"))
            if " at http://" in line or " at unix:" in line:
                break
        else:
            raise AssertionError(f"the server did not start: {self.messages}")
        self.url = line.split(" at ")[1].strip()
        self.port = int(self.url.rsplit(":", 1)[1]) if self.url.startswith("http") else None
        # later output of the server must not fill the pipe
        self.reader = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=self.log)

    def connect(self):
        if self.port is None:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(PATIENCE)
            s.connect(self.address)
            return s
        return socket.create_connection((self.address, self.port), timeout=PATIENCE)

    def raw(self, data, s=None):
        """Sends bytes; returns the answer, or None if the connection is closed without one."""
        own = s is None
        s = s or self.connect()
        got = b""
        try:
            try:
                s.sendall(data)
            except ConnectionError:  # the server may have answered a part, and closed
                pass
            while not is_whole(got):
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except ConnectionError:
            pass
        finally:
            if own:
                s.close()
        return parse(got) if b"\r\n\r\n" in got else None

    def request(self, method, path, body=None, headers=None, s=None):
        head = {"Host": f"127.0.0.1:{self.port or 80}", **(headers or {})}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            head.setdefault("Content-Length", str(len(body)))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items() if value is not None)]
        return self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""), s)

    def begin(self, path, body, buffer=None):
        """Sends a POST request and returns the connection, whose answer is not read yet. buffer: bytes that the kernel may receive."""
        data = json.dumps(body).encode()
        s = socket.socket()
        s.settimeout(PATIENCE)
        if buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        s.connect((self.address, self.port))
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        return s

    def cut_stream(self, path, body, mark):
        """Ends the server when a stream has sent `mark`; returns all bytes of the answer."""
        with self.begin(path, body) as s:
            got = b""
            while mark not in got:
                more = s.recv(1000)
                assert more, got
                got += more
            self.process.terminate()
            while more := s.recv(65536):
                got += more
        assert self.process.wait(PATIENCE) == 0
        return got

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, body, **more):
        return self.request("POST", path, body, **more)

    def metric(self, name):
        for line in self.get("/metrics").body.decode().split("\n"):
            if line.startswith(f"rwkv7_{name} "):
                return float(line.split()[1])
        raise AssertionError(f"no metric {name}")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE)
        self.reader.wait(PATIENCE)
        self.log.seek(0)
        self.messages += self.log.read().splitlines()
        return code


@contextlib.contextmanager
def serving(command, *options, host="127.0.0.1"):
    server = Server(command, options, host)
    try:
        yield server
        code = server.stop()
        assert code == 0, f"exit code {code}: {server.messages}"
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
    noise = [line for line in server.messages if "Sanitizer" in line or "runtime error" in line]
    assert not noise, "\n".join(server.messages)


VOCAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "rwkv7-demo.vocab.txt")
THOUGHT_TOKENS = {796: ">hm ", 797: " so\n", 798: "\n</think>\n\nyes", 799: " or no"}


@contextlib.contextmanager
def with_tokens(command, tokens, *options):
    """A server in whose vocabulary some tokens have other texts."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        with open(VOCAB, encoding="utf-8") as own:
            lines = {int(line.split()[0]): line for line in own.read().splitlines()}
        lines.update((i, f"{i} {text!r} {len(text)}") for i, text in tokens.items())
        file.write("\n".join(lines[i] for i in sorted(lines)) + "\n")
        file.flush()
        with serving(command, "--vocab", file.name, *options) as s:
            yield s


@contextlib.contextmanager
def thinking(command, *options):
    """A server whose model thinks: some tokens have the texts of THOUGHT_TOKENS.

    Also yields a chat in which it writes a thought and then a text, in pieces, with high effort.
    """
    with with_tokens(command, THOUGHT_TOKENS, *options) as s:
        for seed in range(200):
            settings = {"seed": seed, "temperature": 4, "max_tokens": 9, "logit_bias": {str(i): 100 for i in THOUGHT_TOKENS},
                        "messages": [{"role": "user", "content": "Hi"}]}
            message = s.post("/v1/chat/completions", {**settings, "reasoning_effort": "high"})
            message = message.json()["choices"][0]["message"]
            if len(message.get("reasoning_content", "")) > 6 and len(message["content"]) > 6:
                break
        else:
            raise AssertionError("no seed gives a thought")
        yield s, settings


ZONE = {"type": "object", "properties": {"zone": {"enum": ["utc", "local"]}}, "required": ["zone"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "zone", "description": "the zone", "parameters": ZONE}},
         {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}}]


def main(cases):
    """Runs the cases, functions that take the command, in their order."""
    command = sys.argv[1:]
    failed = 0
    for case in cases:
        try:
            case(command)
        except BaseException as error:  # pylint: disable=broad-except
            failed += 1
            traceback.print_exc()
            print(f"FAIL {case.__name__}: {error}", flush=True)
            if not isinstance(error, Exception):
                raise
        else:
            print(f"ok   {case.__name__}", flush=True)
    sys.exit(1 if failed else 0)
