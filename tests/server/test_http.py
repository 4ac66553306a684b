"""test_http.py - framing, hostile requests, keys, origins, limits, slow clients, shutdown."""
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from server import PATIENCE, main, parse, serving

TEXT = {"prompt": "Once upon a time", "max_tokens": 4, "temperature": 0}
LONG = {"prompt": "Once upon a time", "max_tokens": 4000, "ignore_eos": True, "seed": 1}


def paths(command):
    with serving(command) as s:
        for path in ("/health", "/v1/health", "/v1/models", "/models", "/v1/models/rwkv7-demo", "/tokenizer_info", "/metrics"):
            answer = s.get(path)
            assert answer.status == 200, path
            assert len(answer.headers["x-request-id"]) == 16, answer.headers
        assert s.get("/health").json() == {"status": "ok"}
        assert s.get("/v1/models").json()["data"][0]["id"] == "rwkv7-demo"
        for path in ("/v1", "/v1/", "/v2/models", "/v1/completions/", "/v1/models/", "/../etc/passwd", "/v1/models%00",
                     "/" + "a" * 5000):
            answer = s.get(path)
            assert answer.status == 404 and answer.json()["error"]["type"] == "invalid_request_error", path
        assert s.get("/v1/models/other").json()["error"]["code"] == "model_not_found"
        for method, path, allow in (("GET", "/v1/completions", "POST, OPTIONS"), ("POST", "/v1/models", "GET, HEAD, OPTIONS"),
                                    ("DELETE", "/health", "GET, HEAD, OPTIONS"), ("PUT", "/v1/chat/completions", "POST, OPTIONS")):
            answer = s.request(method, path, b"{}" if method != "GET" else None)
            assert answer.status == 405 and answer.headers["allow"] == allow, (method, path)
        head = s.connect()
        head.sendall(b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = head.makefile("rb").read()
        assert data.startswith(b"HTTP/1.1 200") and data.endswith(b"\r\n\r\n"), data
        # several requests on one connection, errors among them
        with s.connect() as c:
            for _ in range(3):
                assert s.get("/health", s=c).status == 200
                assert s.get("/nowhere", s=c).status == 404
                assert s.get("/v1/completions", s=c).status == 405
                assert s.post("/v1/completions", {"prompt": 5}, s=c).status == 400
                assert s.post("/v1/completions", TEXT, s=c).status == 200
        answer = s.get("/health", headers={"X-Request-Id": "abc-1.2_3"})
        assert answer.headers["x-request-id"] == "abc-1.2_3"
        for unsafe in ("a" * 65, "a b", "<script>", "\u00e9"):
            answer = s.get("/health", headers={"X-Request-Id": unsafe})
            assert len(answer.headers["x-request-id"]) == 16, unsafe


def framing(command):
    body = b'{"prompt":"hi","max_tokens":1}'
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
    with serving(command) as s:
        def refused(data, *statuses):
            answer = s.raw(data)
            assert (answer.status if answer else None) in statuses, (data[:200], answer and (answer.status, answer.body))
            assert s.get("/health").status == 200

        length = b"Content-Length: %d\r\n" % len(body)
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        assert s.raw(head + length + b"\r\n" + body).status == 200
        assert s.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks).status == 200
        small = b"".join(b"1\r\n%c\r\n" % c for c in body)
        assert s.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + small + b"0\r\n\r\n").status == 200
        # libmicrohttpd 0.9 ignores the extension of a chunk, 1.0 refuses it
        extended = chunks.replace(b"\r\n", b";ext=1\r\n", 1)
        assert s.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + extended).status in (200, 400)
        assert s.raw(head + b"Expect: 100-continue\r\n" + length + b"\r\n" + body).status == 200
        refused(head + length + length + b"\r\n" + body, 400)
        refused(head + length + b"Content-Length: 5\r\n\r\n" + body, 400)
        refused(head + length + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, 400)
        refused(head + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, 400)
        refused(head + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks, 400)
        refused(head + b"Transfer-Encoding: identity\r\n\r\n" + body, 400)
        refused(head + b"Host: localhost\r\n" + length + b"\r\n" + body, 400)
        refused(b"POST /v1/completions HTTP/1.1\r\n" + length + b"\r\n" + body, 400)
        # a proxy may read these as the length of the body: the rest must not become a request
        for name in (b"Content-Length :", b"Content-Length\t:", b"Content Length:", b"X: a\rContent-Length:"):
            hidden = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
            with s.connect() as c:
                c.sendall(head + name + b" %d\r\n\r\n" % len(hidden) + hidden)
                got = b""
                while more := c.recv(65536):
                    got += more
                assert got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1") == 1, (name, got)
        # the library would drop what follows a NUL byte, and the second line of a header
        for bad in (b"X: a\0b\r\nY: c", b"X: a\0\r\nY: c", b"X: a\0Content-Length: 5", b"X: a\0", b"X\0: a", b"X: a\r\n b", b"X: a\r\n\tb\r\nY: c",
                    b"X: \0", b"X:\0a"):
            refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + bad + b"\r\n\r\n", 400, None)
        refused(b"GET /health\0x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, None)
        for good in (b"X:", b"X:a", b"X:  \t a b \t\r\nCookie: a=b; c=d"):
            for path in (b"/health", b"/health?a=b%20c&d=+&e"):
                assert s.raw(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + good + b"\r\n\r\n").status == 200, good
        for bad in (b"-1", b"+5", b"5 5", b"0x10", b"abc", b"99999999999999999999"):
            refused(head + b"Content-Length: " + bad + b"\r\n\r\n" + body, 400, 413, None)
        refused(head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, None)
        refused(head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400, 413, None)
        refused(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200000 + b"\r\n\r\n", 431, 400, None)
        refused(b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, 431, None)
        refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", 400, None)  # TLS
        refused(b"GET /health\r\n\r\n", 400, None)
        # two requests at once, and one byte at a time
        with s.connect() as c:
            c.sendall((head + length + b"\r\n" + body) * 2)
            got = b""
            while got.count(b'"finish_reason"') < 2:
                more = c.recv(65536)
                assert more, got
                got += more
        with s.connect() as c:
            for byte in head + length + b"\r\n" + body[:-1]:
                c.sendall(bytes([byte]))
            assert s.raw(body[-1:], c).status == 200
        # an incomplete request, then silence
        for cut in (10, len(head), len(head + length) + 10):
            with s.connect() as c:
                c.sendall((head + length + b"\r\n" + body)[:cut])


def odd_requests(command):
    """Requests that few clients send. None of them may disturb the server or become two requests."""
    body = b'{"prompt":"hi","max_tokens":1}'
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(body), body)
    line = b"Host: localhost\r\n\r\n"
    with serving(command) as s:
        for data, *statuses in (
                (chunked + b"X-Trailer: 1\r\n\r\n", 200),
                (chunked + b"Content-Length: 5\r\n\r\n", 200, 400, None),
                (head + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * (1 << 20) + b"\r\n", 400, 413, 431, 500, None),  # the library's own
                (head + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", 400, 413, None),
                (head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", 400, None),
                (head + b"Expect: something\r\nContent-Length: %d\r\n\r\n" % len(body) + body, 200, 417),
                (b"GET /health HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(5000)) + line, 431, 400, None),
                (b"GET /health HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(50)) + line, 200),
                (b"TRACE /health HTTP/1.1\r\n" + line, 405),
                (b"CONNECT example.org:80 HTTP/1.1\r\n" + line, 404, 400, 405),
                (b"get /health HTTP/1.1\r\n" + line, 405, 400),
                (b"A" * 5000 + b" /health HTTP/1.1\r\n" + line, 400, 405, 501),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 404, 405, 505, None),
                (b"GET /health HTTP/1.1 \r\n" + line, 200, 400, None),
                (b"GET /health HTTP/9.9\r\n" + line, 200, 400, 403, 505, None),
                (b"GET /health HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + line, 200),
                (b"GET http://localhost/health HTTP/1.1\r\n" + line, 200, 404),
                (b"GET //health HTTP/1.1\r\n" + line, 404),
                (b"GET /%68ealth HTTP/1.1\r\n" + line, 200),
                (b"GET /health%2f.. HTTP/1.1\r\n" + line, 404),
                (b"GET /v1/models/%ff%fe HTTP/1.1\r\n" + line, 404),
                (b"\r\n\r\nGET /health HTTP/1.1\r\n" + line, 200, 400, None)):
            answer = s.raw(data)
            assert (answer.status if answer else None) in statuses, (data[:100], answer and (answer.status, answer.body))
            assert s.get("/health").status == 200, data[:100]


def pipelines(command):
    """The answers to requests that are sent at once come in their order."""
    kinds = [("POST", "/v1/completions", TEXT, 200), ("GET", "/health", None, 200), ("POST", "/v1/completions", {**TEXT, "stream": True}, 200),
             ("GET", "/nowhere", None, 404), ("POST", "/tokenize", {"prompt": "a b c"}, 200), ("POST", "/v1/completions", {"prompt": 1}, 400)]
    with serving(command) as s, s.connect() as c:
        data = b""
        for i in range(60):
            method, path, body, _ = kinds[i % len(kinds)]
            body = b"" if body is None else json.dumps(body).encode()
            data += f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: r{i}\r\n".encode()
            data += (b"Content-Length: %d\r\n\r\n" % len(body) if body else b"\r\n") + body
        data += b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        sender = threading.Thread(target=c.sendall, args=(data,))
        sender.start()
        got = b"".join(iter(lambda: c.recv(65536), b""))
        sender.join()
        found = re.findall(rb"HTTP/1\.1 (\d+) .*?X-Request-Id: (\S+)", got, re.S)
        assert len(found) == 61, got[-1000:]
        for i, (status, name) in enumerate(found[:60]):
            assert name == b"r%d" % i and int(status) == kinds[i % len(kinds)][3], (i, status, name)


def bodies(command):
    with serving(command, "--max-body", "1") as s:
        for body in (b"", b"{", b"[]", b"null", b'"x"', b"{}{}", b'{"prompt":"a","prompt":"b"}', b'{"prompt":"\\u0000"}', b'{"prompt":"\xff"}',
                     b'{"prompt":"\\ud800"}', b'{"prompt":"a",}', b"{'prompt':1}", b'{"prompt":01}', b'{"a":' * 70 + b"1" + b"}" * 70,
                     b'{"a":' + b"[" * 100000, b"\xef\xbb\xbf{}", b'{"prompt":"a","max_tokens":1e999}', b'{"prompt":"\n"}', b'{"x":1e}'):
            answer = s.post("/v1/completions", body)
            assert answer.status == 400, (body[:60], answer.status)
            error = answer.json()["error"]
            assert error["type"] == "invalid_request_error" and error["message"], error
        nested = b'{"prompt":"a","max_tokens":1,"user":' + b"[" * 60 + b"]" * 60 + b"}"
        assert s.post("/v1/completions", nested).status == 200
        large = b'{"prompt":"' + b"a" * 1100000 + b'"}'
        with s.connect() as c:  # refused by its length, before the body
            c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1100000\r\n\r\n")
            assert c.recv(12) == b"HTTP/1.1 413"
        chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large)
        answer = s.raw(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
        assert answer.status == 413
        assert s.get("/health").status == 200


def keys(command):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("second\n\r\nthird\r\n")
        file.flush()
        with serving(command, "--api-key", "first", "--api-key-file", file.name) as s:
            assert s.get("/health").status == 200
            for key in ("first", "second", "third"):
                assert s.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status == 200
                assert s.get("/v1/models", headers={"X-Api-Key": key}).status == 200
            for head in ({}, {"Authorization": "Bearer "}, {"Authorization": "first"}, {"Authorization": "Bearer firs"},
                         {"Authorization": "Bearer first "}, {"Authorization": "Bearer firstfirst"}, {"X-Api-Key": ""}, {"X-Api-Key": "f"},
                         {"Authorization": "Basic first"}):
                answer = s.get("/v1/models", headers=head)
                # trailing white space is not part of a header's value
                if head.get("Authorization") == "Bearer first ":
                    assert answer.status in (200, 401)
                    continue
                assert answer.status == 401 and answer.json()["error"]["code"] == "invalid_api_key", head
                assert s.post("/v1/completions", TEXT, headers=head).status == 401
            assert s.get("/unknown").status == 401
            assert s.request("OPTIONS", "/v1/models", headers={"Origin": "http://localhost"}).status == 204
    with serving(command) as s:
        assert s.post("/v1/completions", TEXT, headers={"Authorization": "Bearer "}).status == 200


def origins(command):
    with serving(command, "--cors", "https://example.org,https://chat.example.com") as s:
        good = ("http://localhost", "http://localhost:3000", "https://127.0.0.1:1", "http://[::1]:5", "app://x", "tauri://localhost",
                "https://example.org", "https://chat.example.com")
        for origin in good:
            answer = s.get("/v1/models", headers={"Origin": origin})
            assert answer.status == 200 and answer.headers["access-control-allow-origin"] == origin, origin
            assert "access-control-allow-credentials" not in answer.headers
            answer = s.request("OPTIONS", "/v1/chat/completions", headers={
                "Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, x-y"})
            assert answer.status == 204 and answer.headers["access-control-allow-headers"] == "content-type, x-y", origin
            assert "POST" in answer.headers["access-control-allow-methods"]
        for origin in ("http://example.org", "https://example.org.evil", "http://localhost.evil.com", "http://127.0.0.1.evil", "null",
                       "https://evil.example.com", "http://localhost:80a", ""):
            answer = s.get("/v1/models", headers={"Origin": origin})
            assert answer.status == 403 and "access-control-allow-origin" not in answer.headers, origin
            assert s.post("/v1/completions", TEXT, headers={"Origin": origin, "Content-Type": "text/plain"}).status == 403
        for host in ("evil.com", "127.0.0.1.evil.com", "localhost.evil.com", "127.0.0.1:80@evil.com", ""):
            assert s.get("/v1/models", headers={"Host": host}).status in (400, 403), host
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9"):
            assert s.get("/v1/models", headers={"Host": host}).status == 200, host
    with serving(command, "--cors", "*") as s:
        assert s.get("/health", headers={"Origin": "https://any.where"}).headers["access-control-allow-origin"] == "https://any.where"


def slow_requests(command):
    """The largest requests take a second to read. Meanwhile others are answered."""
    with serving(command) as s:
        for _ in range(5):  # on a busy machine, a small one may be late once
            with s.connect() as c, s.connect() as other:
                body = json.dumps({"prompt": "a", "choices": [str(i) for i in range(300000)] + [5]}).encode()
                c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-1])
                for _ in range(len(body) // 8192):  # until the server has read it: at least so much in each of its rounds
                    assert s.get("/health", s=other).status == 200
                c.sendall(body[-1:])
                assert s.post("/v1/completions", TEXT, s=other).status == 200
                if not select.select([c], [], [], 0)[0]:
                    break
        else:
            raise AssertionError("a slow request delays the others")


def queue(command):
    """With one slot and one place in the queue, other requests get 429; every answer is right."""
    with serving(command, "--parallel", "1", "--queue", "1") as s:
        want = s.post("/v1/completions", TEXT).json()["choices"]
        first = s.connect()
        data = b'{"prompt":"a","max_tokens":4000,"ignore_eos":true,"stream":true}'
        first.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        assert first.recv(12) == b"HTTP/1.1 200"  # from here on this client does not read
        while s.metric("sessions_running") < 1:
            pass
        statuses = []

        def ask():
            answer = s.post("/v1/completions", TEXT)
            statuses.append(answer.status)
            if answer.status == 429:
                assert answer.headers["retry-after"] == "1" and answer.json()["error"]["code"] == "queue_full"
                assert answer.json()["error"]["type"] == "rate_limit_error"
            else:
                assert answer.json()["choices"] == want

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert set(statuses) <= {200, 429} and len(statuses) == 12, statuses
        first.close()
        wait_idle(s)
        assert s.post("/v1/completions", TEXT).json()["choices"] == want


def wait_idle(s):
    end = time.monotonic() + PATIENCE
    while s.metric("sessions_running") > 0:
        assert time.monotonic() < end, "texts are still running"
        time.sleep(0.01)


def clients_that_leave(command):
    with serving(command, "--parallel", "2") as s:
        want = s.post("/v1/completions", TEXT).json()["choices"]
        data = b'{"prompt":"a","max_tokens":4096,"ignore_eos":true%s}'
        for more in (b"", b',"stream":true'):
            body = data % more
            for _ in range(4):  # more than there are slots
                with s.connect() as c:
                    c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    if more:
                        assert c.recv(12) == b"HTTP/1.1 200"
            assert s.post("/v1/completions", TEXT).json()["choices"] == want
            wait_idle(s)
        assert s.metric("cancelled_total") > 0
        assert s.metric("generated_tokens_total") < 8 * 4096


def places_of_clients_that_left(command):
    """A connection that its client closes frees its place at once, not after a time-out."""
    with serving(command) as s:
        data = b'{"prompt":"a","max_tokens":4096,"ignore_eos":true,"stream":true}'
        request = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data
        for cut in (20, len(request) - 5, len(request)):
            for _ in range(20):
                with s.connect() as c:
                    c.sendall(request[:cut])
                    if cut == len(request):
                        assert c.recv(12) == b"HTTP/1.1 200"
            wait_idle(s)
            for _ in range(2000):
                if s.metric("connections") == 1:
                    break
            assert s.metric("connections") == 1, (cut, s.metric("connections"))


def connect_and_leave(command):
    """Clients that leave at once, or after a part of a request: nothing is left of them."""
    data = json.dumps({"prompt": "a", "max_tokens": 4096, "ignore_eos": True, "stream": True}).encode()
    request = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    with serving(command) as s:
        for i in range(10000 if "RWKV7_TEST_SOAK" in os.environ else 1000):
            with socket.create_connection((s.address, s.port), timeout=PATIENCE) as c:
                if i % 4 == 1:
                    c.sendall(request[:i % len(request)])
                elif i % 4 == 2:
                    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets the connection
                elif i % 100 == 3:
                    c.sendall(request)
        wait_idle(s)
        end = time.monotonic() + PATIENCE
        while s.metric("connections") > 1 or s.metric("sessions_waiting") > 0:
            assert time.monotonic() < end, s.get("/metrics").body
            time.sleep(0.01)
        assert s.post("/v1/completions", TEXT).status == 200


def clients_that_do_not_read(command):
    """Slow clients pause, free their slots, and get the complete text when they read again."""
    with serving(command, "--parallel", "2") as s:
        want = s.post("/v1/completions", TEXT).json()["choices"]
        body = {"prompt": "Once", "max_tokens": 900, "ignore_eos": True, "seed": 3, "stream": True, "logprobs": 20}
        slow = [s.begin("/v1/completions", body, buffer=4096) for _ in range(3)]
        for _ in range(20):
            assert s.post("/v1/completions", TEXT).json()["choices"] == want
        # both slots are free, although three texts are unfinished
        texts = {}

        def read(c):
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            data = b"".join(iter(lambda: c.recv(1 << 20), b""))
            answer = parse(data)
            assert answer.body.endswith(b"data: [DONE]\n\n"), answer.body[-300:]
            texts[c] = "".join(e["choices"][0]["text"] for e in answer.events())

        threads = [threading.Thread(target=read, args=(c,)) for c in slow]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(texts) == 3 and len(set(texts.values())) == 1 and len(texts[slow[0]]) > 900
        for c in slow:
            c.close()


def many_clients_that_do_not_read(command):
    """Their texts, more than there may be, leave the slots to others. Those that are kept go on when their clients read."""
    with serving(command, "--parallel", "2", "--queue", "12") as s:
        want = s.post("/v1/completions", TEXT).json()["choices"]
        body = {"prompt": "Once", "max_tokens": 60, "ignore_eos": True, "seed": 3, "stream": True, "logprobs": 20, "n": 16}
        silent = [s.begin("/v1/completions", body, buffer=4096) for _ in range(12)]
        end = time.monotonic() + PATIENCE
        while s.metric("slow_clients_total") < 1 or s.metric("sessions_paused") < 8:
            assert time.monotonic() < end, s.get("/metrics").body
            time.sleep(0.01)
        answer = s.post("/v1/completions", TEXT)
        assert answer.json()["choices"] == want, answer.body
        ends, texts = [], []

        def read(c):
            c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            answer = parse(b"".join(iter(lambda: c.recv(1 << 20), b"")))
            if answer.body.endswith(b"data: [DONE]\n\n"):
                chosen = [""] * 16
                for e in answer.events():
                    chosen[e["choices"][0]["index"]] += e["choices"][0]["text"]
                texts.append(chosen)
            else:
                ends.append(answer.events()[-1])

        threads = [threading.Thread(target=read, args=(c,)) for c in silent]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert ends and all(e["error"]["message"].startswith("the client did not read") for e in ends), ends
        assert texts and all(t == texts[0] for t in texts) and all(len(one) > 60 for one in texts[0])
        for c in silent:
            c.close()


def many_connections(command):
    with serving(command, "--max-connections", "20") as s:
        idle = [s.connect() for _ in range(19)]
        for c in idle:
            assert s.get("/health", s=c).status == 200
        assert s.get("/health").status == 200
        for c in idle:
            c.close()


def the_end(command):
    """After SIGTERM, running requests continue, new ones get 503, and the exit code is 0."""
    with serving(command) as s:
        kept = s.connect()
        assert s.get("/health", s=kept).status == 200
        with s.connect() as c:
            data = b'{"prompt":"a","max_tokens":4096,"ignore_eos":true,"seed":2,"stream":true}'
            c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            got = c.recv(4096)
            s.process.send_signal(signal.SIGTERM)
            while True:  # until the signal has arrived
                answer = s.post("/v1/completions", TEXT, s=kept)
                if answer is None or answer.status == 503:
                    break
            if answer:
                assert answer.headers["retry-after"] == "1" and answer.headers["connection"] == "close"
            while not got.endswith(b"0\r\n\r\n"):
                more = c.recv(65536)
                assert more, "the stream was cut"
                got += more
            assert b"data: [DONE]" in got, got[-500:]
        assert s.process.wait(PATIENCE) == 0
    # --grace is over: the stream ends with an error event, the plain request with an error
    with serving(command, "--grace", "0", "--max-tokens", "1000000") as s:
        stream, whole = s.connect(), s.connect()
        for c, more in ((stream, b',"stream":true'), (whole, b"")):
            data = b'{"prompt":"a","max_tokens":1000000,"ignore_eos":true%s}' % more
            c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        assert stream.recv(12) == b"HTTP/1.1 200"
        while s.metric("sessions_running") < 2:
            pass
        s.process.send_signal(signal.SIGTERM)
        answer = s.raw(b"", whole)
        assert answer.status == 503 and answer.json()["error"]["code"] == "shutting_down"
        got = b""
        while more := stream.recv(65536):
            got += more
        assert b'data: {"error":{' in got and b"[DONE]" not in got, got[-300:]
        assert s.process.wait(PATIENCE) == 0


def addresses(command):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s.sock")
        with serving(command, host=path) as s:
            assert s.url == "unix:" + path
            assert os.stat(path).st_mode & 0o777 == 0o600
            assert s.post("/v1/completions", TEXT).status == 200
        assert not os.path.exists(path)
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        with serving(command, host=path) as s:
            assert s.get("/health").status == 200
            try:
                with serving(command, host=path):
                    raise RuntimeError("two servers on one socket")
            except AssertionError as error:
                assert "cannot listen on" in str(error), error
            assert s.get("/health").status == 200
    with serving(command) as s:
        try:
            with serving(command, "--port", str(s.port)):
                raise RuntimeError("two servers on one port")
        except AssertionError as error:
            assert "cannot listen on 127.0.0.1, port" in str(error), error
    for host, options, warned in (("0.0.0.0", (), True), ("0.0.0.0", ("--api-key", "k"), False), ("127.0.0.2", (), False)):
        with serving(command, *options, host=host) as s:
            warnings = [line for line in s.messages if line.startswith("rwkv7: warning: anyone who can reach this computer")]
            assert len(warnings) == warned, (host, s.messages)
    version = subprocess.run([*command, "version"], check=True, capture_output=True, text=True).stdout
    assert "\nserver: libmicrohttpd " in version, version


if __name__ == "__main__":
    main([paths, framing, odd_requests, pipelines, bodies, keys, origins, slow_requests, queue, clients_that_leave, places_of_clients_that_left, connect_and_leave, clients_that_do_not_read,
          many_clients_that_do_not_read, many_connections, the_end, addresses])
