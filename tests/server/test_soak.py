"""test_soak.py - a server at full load, with clients that leave, read slowly or send half requests.

Every client that waits for its answer must get it, whole and right. Between the rounds of load, the
memory, the open files and the threads of the server must be what they were after the first rounds.

RWKV7_TEST_SOAK=SECONDS lets it run longer than the few rounds of a test run.
"""
import json
import os
import random
import re
import socket
import struct
import threading
import time

from server import PATIENCE, main, parse, serving

SECONDS = float(os.environ.get("RWKV7_TEST_SOAK", "0"))
BRIEF = "RWKV7_TEST_BRIEF" in os.environ
WARM_UP, ROUNDS = 3, 3  # at least
REQUESTS = 20 if BRIEF else 100  # of the patient clients, in each round
PATIENT, RUDE = 12, 8  # clients at once; more than there are slots
GROWTH = 4 << 10  # KB of memory that may be added by chance: fragments, stacks


def requests():
    """(path, body) of different kinds. All have a seed, so each has one right answer."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}, "required": ["a", "b"]}
    kinds = [
        ("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 30}),
        ("/v1/completions", {"prompt": ["The cat", "A dog", "In the garden"], "max_tokens": 10}),
        ("/v1/completions", {"prompt": "Dora ", "max_tokens": 12, "n": 4, "logprobs": 3}),
        ("/v1/completions", {"prompt": "It was a dark night. " * 30, "max_tokens": 5, "echo": True, "logprobs": 1}),
        ("/v1/completions", {"prompt": "x", "max_tokens": 40, "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Tell me a story"}], "max_tokens": 40}),
        ("/v1/chat/completions", {"messages": [{"role": "system", "content": "Be brief. " * 20}, {"role": "user", "content": "Hi"}],
                                  "max_tokens": 8, "stop": ["."]}),
    ]
    found = []
    for i, (path, body) in enumerate(kinds):
        for stream in (False, True):
            for seed in (1, 2):
                found.append((path, {**body, "seed": 10 * i + seed, "ignore_eos": "response_format" not in body, "stream": stream}))
    return found


def texts(answer, stream):
    """What a client sees of the choices: {index: [text, reason]}."""
    choices = {}
    for event in answer.events() if stream else [answer.json()]:
        for choice in event["choices"]:
            part = choice.get("message") or choice.get("delta") or choice
            seen = choices.setdefault(choice["index"], ["", None])
            seen[0] += (part.get("reasoning_content") or "") + (part.get("content") or part.get("text") or "")
            seen[1] = choice.get("finish_reason") or seen[1]
    return choices


class Load:
    """One round: patient clients with all their requests, while rude ones disturb."""

    def __init__(self, server, kinds, want, seed):
        self.server, self.kinds, self.want = server, kinds, want
        self.random = random.Random(seed)
        self.left = REQUESTS
        self.answers = self.refused = self.rude = 0
        self.lock = threading.Lock()
        self.errors = []

    def message(self, i):
        path, body = self.kinds[i]
        data = json.dumps(body).encode()
        return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data

    def check(self, i, answer):
        assert answer and answer.whole and answer.status == 200, (self.kinds[i], answer and (answer.status, answer.body[:300]))
        found = texts(answer, self.kinds[i][1]["stream"])
        assert found == self.want[i], (self.kinds[i], found, self.want[i])

    def patient(self, rng):
        connection = self.server.connect()
        while True:
            with self.lock:
                if self.left == 0 or self.errors:
                    break
                self.left -= 1
            i = rng.randrange(len(self.kinds))
            while True:
                answer = self.server.raw(self.message(i), connection)
                if not answer or answer.status != 429:
                    break
                self.refused += 1
                time.sleep(rng.random() / 20)
            self.check(i, answer)
            self.answers += 1
            if rng.random() < 0.3 or answer.headers.get("connection") == "close":
                connection.close()
                connection = self.server.connect()
        connection.close()

    def disturb(self, rng):
        i = rng.randrange(len(self.kinds))
        message = self.message(i)
        with socket.socket() as c:
            c.settimeout(PATIENCE)
            if rng.random() < 0.5:
                c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.connect((self.server.address, self.server.port))
            what = rng.randrange(6)
            if what == 0:  # half a request
                c.sendall(message[:rng.randrange(len(message))])
            elif what == 1:  # nonsense
                c.sendall(rng.randbytes(rng.randrange(1, 500)) + b"\r\n\r\n")
                c.shutdown(socket.SHUT_WR)
                c.recv(100)
            elif what == 2:  # leaves at once, or in the middle of the answer
                c.sendall(message)
                if rng.random() < 0.7:
                    c.recv(rng.randrange(1, 3000))
            elif what == 3:  # resets the connection
                c.sendall(message)
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif what == 4:  # sends two requests and does not read
                c.sendall(message * 2)
                time.sleep(rng.random() / 10)
            else:  # sends and reads slowly, but to the end
                for at in range(0, len(message), 50):
                    c.sendall(message[at:at + 50])
                got = b""
                while b"\r\n\r\n" not in got or parse(got).whole is False:
                    more = c.recv(rng.randrange(1, 400))
                    if not more:
                        break
                    got += more
                answer = parse(got)
                if answer.status != 429:
                    self.check(i, answer)
        self.rude += 1

    def disturb_until_done(self, rng):
        while self.left > 0 and not self.errors:
            try:
                self.disturb(rng)
            except ConnectionError:
                pass  # the server closed it first
            time.sleep(rng.random() / 100)

    def guarded(self, work, rng):
        try:
            work(rng)
        except BaseException as error:  # pylint: disable=broad-except
            self.errors.append(error)

    def run(self):
        works = [self.patient] * PATIENT + [self.disturb_until_done] * RUDE
        threads = [threading.Thread(target=self.guarded, args=(work, random.Random(self.random.random()))) for work in works]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self.errors:
            raise self.errors[0]


def resources(server):
    """(resident KB, open files, threads) of the server."""
    folder = f"/proc/{server.process.pid}"
    with open(folder + "/status", encoding="utf-8") as file:
        status = file.read()
    return (int(re.search(r"VmRSS:\s*(\d+)", status)[1]), len(os.listdir(folder + "/fd")), int(re.search(r"Threads:\s*(\d+)", status)[1]))


def wait_idle(server, files):
    """Waits until all texts have ended and all connections are closed."""
    end = time.monotonic() + PATIENCE
    while (server.metric("sessions_running") > 0 or server.metric("sessions_waiting") > 0 or server.metric("connections") > 1
           or resources(server)[1] > files):
        assert time.monotonic() < end, (resources(server), server.get("/metrics").body.decode())
        time.sleep(0.01)


def soak(command):
    kinds = requests()
    # no cache: it would fill up slowly, and its hits are tested elsewhere
    with serving(command, "--parallel", "6", "--queue", "8", "--cache-size", "1") as s:
        want = [texts(s.post(path, body), body["stream"]) for path, body in kinds]
        for i in range(0, len(kinds), 4):
            assert want[i] == want[i + 2], "a stream differs from the whole answer"
        begin, rounds, seen = time.monotonic(), 0, []
        answers = refused = rude = 0
        idle = resources(s) if os.path.exists("/proc/self/status") else None
        while rounds < WARM_UP + ROUNDS or time.monotonic() - begin < SECONDS:
            load = Load(s, kinds, want, rounds)
            load.run()
            answers, refused, rude, rounds = answers + load.answers, refused + load.refused, rude + load.rude, rounds + 1
            if idle:
                wait_idle(s, idle[1])
                seen.append(resources(s))
            if SECONDS > 0 and rounds % 10 == 0:
                print(f"{time.monotonic() - begin:.0f} s: {answers} answers, {rude} disturbances, {seen[-1:]}", flush=True)
        print(f"{rounds} rounds, {answers} answers, {refused} refusals of a full queue, {rude} disturbances; ended for not reading: "
              f"{s.metric('slow_clients_total'):.0f}, left: {s.metric('cancelled_total'):.0f}")
    if not seen:
        print("SKIP: memory, files and threads: no /proc")
        return
    print("KB, files, threads after each round:", *seen[:WARM_UP], "...", *seen[-4:])
    warm, rest = seen[:WARM_UP], seen[WARM_UP:]
    assert {one[2] for one in seen} == {idle[2]}, ("threads", idle, seen)
    if "RWKV7_TEST_SANITIZED" in os.environ:
        print("SKIP: memory: sanitizers keep what was freed")
        return
    assert rest[-1][0] <= max(one[0] for one in warm) + GROWTH, ("memory in KB", seen)


if __name__ == "__main__":
    main([soak])
