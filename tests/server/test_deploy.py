"""test_deploy.py - what service managers and proxies see: sd_notify, the unit file, two replicas behind nginx.

nginx runs with RWKV7_TEST_CLIENTS=all only.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from server import PATIENCE, main, parse, serving

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEXT = {"prompt": "Once upon a time", "max_tokens": 4, "temperature": 0}


def notify(command):
    """READY=1 when requests are answered, STOPPING=1 after SIGTERM; a wrong socket is no error."""
    with tempfile.TemporaryDirectory() as folder:
        names = [os.path.join(folder, "notify"), os.path.join(folder, "absent"), "x" * 200, ""]
        if os.path.exists("/proc/self"):
            names.append("@rwkv7-test-" + os.path.basename(folder))  # abstract
        for name in names:
            os.environ["NOTIFY_SOCKET"] = name
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.settimeout(PATIENCE)
                heard = name.endswith("/notify") or name.startswith("@")
                if heard:
                    manager.bind(name.replace("@", "\0"))
                with serving(command) as s:
                    if heard:
                        assert manager.recv(100) == b"READY=1"
                    assert s.get("/health").status == 200
                if heard:
                    assert manager.recv(100) == b"STOPPING=1"
        del os.environ["NOTIFY_SOCKET"]


def unit(command):
    """systemd accepts the unit file, without a warning."""
    if not shutil.which("systemd-analyze"):
        print("SKIP: the unit file: no systemd-analyze")
        return
    with open(os.path.join(ROOT, "packaging", "rwkv7.service.in"), encoding="utf-8") as file:
        text = file.read()
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "rwkv7")  # its path may have spaces
        os.symlink(os.path.abspath(command[0]), program)
        path = os.path.join(folder, "rwkv7.service")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace("@CMAKE_INSTALL_FULL_BINDIR@/rwkv7", program))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "rwkv7.service" not in done.stderr, done


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    """nginx with packaging/nginx.conf, whose addresses and certificate are replaced."""

    def __init__(self, folder, replicas):
        self.port = free_port()
        certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=models.example.org",
                        "-addext", "subjectAltName=DNS:models.example.org", "-out", certificate, "-keyout", key], check=True,
                       capture_output=True)
        with open(os.path.join(ROOT, "packaging", "nginx.conf"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"), ("/etc/ssl/certs/models.example.org.pem", certificate),
                         ("/etc/ssl/private/models.example.org.key", key), ("127.0.0.1:8081", f"127.0.0.1:{replicas[0].port}"),
                         ("127.0.0.1:8082", f"127.0.0.1:{replicas[1].port}")):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.file = os.path.join(folder, "nginx.conf")
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\nevents {{}}\n"
                       f"http {{\naccess_log off;\n{paths}{text}}}\n")
        self.log = os.path.join(folder, "error.log")
        self.process = subprocess.Popen(["nginx", "-e", self.log, "-p", folder, "-c", self.file], stdin=subprocess.DEVNULL)
        self.context = ssl.create_default_context(cafile=certificate)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect().close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < end and self.process.poll() is None, "nginx did not start"
                time.sleep(0.05)

    def connect(self):
        return self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE),
                                        server_hostname="models.example.org")

    def send(self, c, path, body, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "Host: models.example.org", "Connection: close",
                 f"Content-Length: {len(data)}", *headers]
        c.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    def ask(self, path, body=None, headers=()):
        with self.connect() as c:
            self.send(c, path, body, headers)
            return parse(b"".join(iter(lambda: c.recv(65536), b"")))

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def two_replicas(command):
    with tempfile.TemporaryDirectory() as folder, serving(command, "--parallel", "2", "--queue", "2") as a, serving(command) as b:
        os.chmod(folder, 0o755)  # nginx's workers have another user
        proxy = Proxy(folder, (a, b))
        try:
            yield proxy, a, b
        finally:
            proxy.stop()


def answers(proxy, a):
    want = a.post("/v1/completions", TEXT).json()["choices"]
    assert proxy.ask("/health").json() == {"status": "ok"}
    assert proxy.ask("/metrics").status == 404
    for _ in range(10):
        answer = proxy.ask("/v1/completions", TEXT)
        assert answer.status == 200 and answer.json()["choices"] == want, answer.body
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"]), answer.headers
    stream = proxy.ask("/v1/completions", {**TEXT, "stream": True})
    assert "".join(e["choices"][0]["text"] for e in stream.events()) == want[0]["text"], stream.body
    assert proxy.ask("/v1/completions", {**TEXT, "prompt": 5}).status == 400
    assert proxy.ask("/v1/completions", {**TEXT, "user": "x" * (17 << 20)}).status == 413


def buffering(proxy):
    """The first events arrive one after the other, before there is enough text to fill a buffer."""
    found = []
    for _ in range(20):  # on a busy machine, several events may come together
        with proxy.connect() as c:
            proxy.send(c, "/v1/completions", {"prompt": "a", "max_tokens": 4000, "ignore_eos": True, "stream": True})
            sizes = [len(c.recv(65536)) for _ in range(6)]
            if max(sizes) < 2000:
                return
            found.append(sizes)
    raise AssertionError(f"nginx collects events: {found}")


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def sessions(proxy, a):
    """The requests of one session go to one replica, those of many to both."""
    first = set()  # whether the first replica was used
    for session in range(20):
        used, texts = [], []
        for _ in range(2):
            before = a.metric("prompt_tokens_total")
            answer = proxy.ask("/v1/completions", TEXT, (f"X-Rwkv7-Session: s{session}",))
            assert answer.status == 200, answer.body
            used.append(a.metric("prompt_tokens_total") > before)
            texts.append(answer.json()["usage"]["prompt_tokens"])
        assert used[0] == used[1] and texts[1] > texts[0], (session, used, texts)  # it continued
        first.add(used[0])
    assert first == {True, False}, first


def clients_that_leave(proxy, a, b):
    before = a.metric("cancelled_total") + b.metric("cancelled_total")
    with proxy.connect() as c:
        proxy.send(c, "/v1/completions", {"prompt": "a", "max_tokens": 4000, "ignore_eos": True, "stream": True})
        c.recv(100)
    wait_for(lambda: a.metric("cancelled_total") + b.metric("cancelled_total") > before, "the replica does not see that the client left")
    wait_for(lambda: a.metric("sessions_running") + b.metric("sessions_running") == 0, "a text of a client that left")


def full_queues(proxy, a):
    """The requests that one replica refuses go to the other, but not those of its sessions. Returns the status of session 0."""
    busy = []
    for _ in range(4):  # its slots and its queue
        c = a.connect()
        data = json.dumps({"prompt": "a", "max_tokens": 4096, "ignore_eos": True, "n": 16}).encode()
        c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        busy.append(c)
    wait_for(lambda: a.post("/v1/completions", TEXT).status == 429, "the queue is not full")
    for _ in range(10):
        assert proxy.ask("/v1/completions", TEXT).status == 200
    statuses = [proxy.ask("/v1/completions", TEXT, (f"X-Rwkv7-Session: s{i}",)).status for i in range(20)]
    assert set(statuses) == {200, 429}, statuses
    # nginx takes "0" for false
    zero = proxy.ask("/v1/completions", TEXT, ("X-Rwkv7-Session: 0",)).status
    for c in busy:
        c.close()
    return zero


def nginx(command):
    if os.environ.get("RWKV7_TEST_CLIENTS") != "all":
        print("SKIP: nginx: RWKV7_TEST_CLIENTS is not 'all'")
        return
    missing = [name for name in ("nginx", "openssl") if not shutil.which(name)]
    if missing:
        print(f"SKIP: nginx: no {' and no '.join(missing)}")
        return
    with two_replicas(command) as (proxy, a, b):
        answers(proxy, a)
        buffering(proxy)
        clients_that_leave(proxy, a, b)
        sessions(proxy, a)
        zero = full_queues(proxy, a)
        # one replica ends: the other answers everything but the sessions of the first
        b.process.send_signal(signal.SIGTERM)
        b.process.wait(PATIENCE)
        for _ in range(10):
            assert proxy.ask("/v1/completions", TEXT).status == 200
        statuses = [proxy.ask("/v1/completions", TEXT, (f"X-Rwkv7-Session: s{i}",)).status for i in range(20)]
        assert set(statuses) == {200, 502}, statuses
        assert (zero, proxy.ask("/v1/completions", TEXT, ("X-Rwkv7-Session: 0",)).status) in ((429, 200), (200, 502)), zero


if __name__ == "__main__":
    main([notify, unit, nginx])
