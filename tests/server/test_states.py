"""test_states.py - sessions, named states, the cache of prompts and embeddings of `rwkv7 serve`.

A session must give the bytes of one request with the whole text, so most cases compare the two.
Costs are checked as numbers of tokens, never as times.
"""
import base64
import json
import os
import shutil
import struct
import subprocess
import tempfile
import threading

from server import main, serving

STORY = "Once upon a time"
BYTES = 101376  # of a state of the model that ships


def program(command, *arguments, stdin=None):
    environment = dict(os.environ, XDG_CONFIG_HOME="/nonexistent")
    return subprocess.run([*command, *arguments], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True, env=environment).stdout.decode()


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


class Client:
    """Requests at temperature 0, which must succeed."""

    def __init__(self, server):
        self.server = server

    def post(self, path, body, status=200, **more):
        answer = self.server.post(path, body, **more)
        assert answer.status == status, (path, answer.status, answer.body)
        return answer.json()

    def write(self, prompt, **more):
        return self.post("/v1/completions", {"prompt": prompt, "temperature": 0, "max_tokens": 12, **more})

    def text(self, prompt, **more):
        return self.write(prompt, **more)["choices"][0]["text"]

    def chat(self, *messages, **more):
        return self.post("/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 40, **more})

    def answer(self, *messages, **more):
        return self.chat(*messages, **more)["choices"][0]["message"]

    def ids(self, text):
        return self.post("/tokenize", {"prompt": text})["tokens"]

    def drawn(self, choice):
        """The ids of the tokens of a choice with log probabilities."""
        return [i for token in choice["logprobs"]["tokens"] for i in self.ids(token)]

    def states(self):
        return {one["id"]: one for one in self.server.get("/v1/states").json()["data"]}

    def get(self, name):
        answer = self.server.get("/v1/states/" + name)
        assert answer.status == 200 and answer.headers["content-type"] == "application/octet-stream", answer.body
        return answer.body

    def put(self, name, data, status=200, more=""):
        answer = self.server.request("PUT", f"/v1/states/{name}{more}", data)
        assert answer.status == status, (answer.status, answer.body)
        return answer.json()

    def delete(self, name, status=200):
        answer = self.server.request("DELETE", "/v1/states/" + name)
        assert answer.status == status, answer.body


def cached(answer):
    return answer["usage"]["prompt_tokens_details"]["cached_tokens"]


def evaluated(answer):
    """Tokens of the prompt that this request has evaluated."""
    return answer["usage"]["prompt_tokens"] - cached(answer)


def texts(command):
    """A text in parts equals one request with all its tokens, however the parts end."""
    with serving(command, "--cache-size", "0") as s:
        c = Client(s)
        whole = c.text(STORY, max_tokens=48)
        parts = [c.text(STORY, session="parts", max_tokens=12)] + [c.text("", session="parts", max_tokens=n) for n in (1, 2, 9, 24)]
        assert "".join(parts) == whole, (parts, whole)
        # a new prompt, as text and as ids, after each kind of end
        for more in ({"max_tokens": 12}, {"max_tokens": 1}, {"stop": [" cellar"]}, {"stop": ["ellar"]}, {"stop": [" the"]}, {"stop": ["was in"]},
                     {"max_tokens": 12, "logit_bias": {"0": 100}}):
            c.delete("s", status=404)
            first = c.write(STORY, session="s", logprobs=0, **more)
            shown = first["choices"][0]["text"]
            drawn = c.drawn(first["choices"][0]) if "stop" not in more else c.ids(shown)
            drawn = [i for i in drawn if c.post("/detokenize", {"tokens": [i]})["prompt"] != "<|rwkv_tokenizer_end_of_text|>"]
            known = [0] + c.ids(STORY) + drawn
            for prompt in (" Then she went to", "\nQ: Where is Dora?\nA:", [458, 476]):
                want = c.text([known + (c.ids(prompt) if isinstance(prompt, str) else prompt)])
                got = c.write(prompt, session="s", fork="f")
                assert got["choices"][0]["text"] == want, (more, prompt, got, want)
                assert got["usage"]["prompt_tokens"] == len(known) + (len(c.ids(prompt)) if isinstance(prompt, str) else 2), (more, got, known)
                c.delete("f")
            c.delete("s")
        # seeds and penalties as in any request; the header; streams
        sampled = {"temperature": 1, "seed": 11, "presence_penalty": 0.5}
        c.text(STORY, session="h")
        want = c.text(" And", session="h", fork="h2", **sampled)
        assert s.post("/v1/completions", {"prompt": " And", "max_tokens": 12, **sampled, "fork": "h3"}, headers={"X-Rwkv7-Session": "h"}).json()[
            "choices"][0]["text"] == want
        stream = s.post("/v1/completions", {"prompt": " And", "max_tokens": 12, **sampled, "stream": True, "return_state": True, "session": "h"})
        assert "".join(e["choices"][0]["text"] for e in stream.events() if e["choices"]) == want
        assert stream.events()[-1]["state"] == {"id": "h", "tokens": c.states()["h2"]["tokens"], "bytes": BYTES}
        assert c.text("", session="h") == c.text("", session="h2") == c.text("", session="h3")
        assert s.metric("sessions_stored") == len(c.states()) and s.metric("state_bytes") >= BYTES * len(c.states())


def characters(command):
    """A text that ends within a character or a stop string holds what was shown."""
    with serving(command) as s:
        c = Client(s)
        bias = {str(0xe4 + 1): 100}
        half = c.write("x", session="half", max_tokens=2, logit_bias=bias)["choices"][0]["text"]
        assert half == "\ufffd\ufffd"
        bytes_ids = [0] + c.ids("x") + [0xe4 + 1] * 2
        assert c.text("yz", session="half") == c.text([bytes_ids + c.ids("yz")])
        # the beginning of a stop string is shown at the end, and is part of the text
        full = c.text(STORY, max_tokens=8)
        for n in range(1, 8):
            part = c.text(STORY, session=f"part{n}", max_tokens=n, stop=[full[-3:] + "never"])
            assert full.startswith(part)
            rest = c.text("", session=f"part{n}", max_tokens=8 - n)
            assert part + rest == full, (n, part, rest, full)
        # nothing can follow the end of a text without a prompt
        c.write(STORY, session="end", logit_bias={"0": 100})
        error = c.post("/v1/completions", {"prompt": "", "session": "end"}, status=400)["error"]
        assert error["param"] == "prompt" and "has ended" in error["message"]


def chats(command):
    """New messages follow the session; a whole conversation finds its place in it."""
    first, second, third = user("Where is Dora?"), user("Where is the lamp?"), user("Who has it?")
    with serving(command, "--cache-size", "0") as s:
        c = Client(s)
        for effort in (None, "low", "high"):
            # the model that ships does not think; a bias makes it close the tag and write a thought
            more = {"reasoning_effort": effort} if effort else {}
            thought = {"logit_bias": {str(c.ids(">")[0]): 100}, "max_tokens": 6} if effort else {}
            name = f"c-{effort}"
            one = c.answer(first, session=name, **more, **thought)
            assert not effort or (one["content"], one["reasoning_content"]) == ("", ">>>>>"), one
            # what the model has read, with thoughts, as a completion
            manner = {None: ("", ""), "low": (" (think a bit)", " <think"), "high": (" (think a lot)", " <think")}[effort]
            prompt = f"User: Where is Dora?{manner[0]}\n\nAssistant:{manner[1]}"
            stop = ["\n\nUser:", "\nUser:"]
            raw = c.write(prompt, **{"max_tokens": 40, "stop": stop, **thought})["choices"][0]
            assert one["content"] in raw["text"], (one, raw)
            rest = f"\n\nUser: Where is the lamp?{manner[0]}\n\nAssistant:{manner[1]}"
            kept = raw["text"].rstrip("\n")
            want = c.text([[0] + c.ids(prompt) + c.ids(kept) + c.ids(rest)], max_tokens=40, stop=stop)
            two = c.chat(second, session=name, fork=name + ".new", **more)
            message = two["choices"][0]["message"]
            assert (message["content"].removeprefix("<think"), message.get("reasoning_content")) == (want.strip() if not effort else want, None), (message, want)
            # the whole conversation without thoughts: the same position, nothing is read again
            whole = c.chat(first, assistant(one["content"]), second, session=name, fork=name + ".whole", **more)
            assert whole["choices"] == two["choices"] and whole["usage"] == two["usage"], (whole, two)
            assert evaluated(two) <= len(c.ids(rest)) + 8
            # and the third turn after it
            c.chat(first, assistant(one["content"]), second, session=name, **more)
            three = c.chat(first, assistant(one["content"]), second, assistant(message["content"]), third, session=name, fork=name + ".3", **more)
            assert three["choices"] == c.chat(third, session=name, **more)["choices"]
            assert three["usage"]["prompt_tokens"] > two["usage"]["prompt_tokens"] and evaluated(three) < 60
            assert c.states()[name]["turns"] == 3
            # an edited message and a regenerated answer continue from before them
            edited = c.chat(first, assistant(one["content"]), user("Who is Dora?"), session=name, fork=name + ".edit", **more)
            assert cached(edited) == cached(two) and c.states()[name + ".edit"]["turns"] == 2
            again = c.chat(first, assistant(one["content"]), second, session=name, fork=name + ".again", **more)
            assert again["choices"] == two["choices"] and again["usage"] == two["usage"]
            # another conversation starts again
            other = c.chat(user("Hello"), assistant("Hi"), second, session=name, fork=name + ".other", **more)
            plain = c.chat(user("Hello"), assistant("Hi"), second, **more)
            assert other["choices"] == plain["choices"] and other["usage"] == plain["usage"]
        # without thoughts, a session equals the request with the whole conversation
        history, messages = [], [user(q) for q in ("Where is Felix?", "Why?", "Who is Felix?")]
        for m in messages:
            history.append(m)
            plain, kept = c.answer(*history), c.answer(m, session="plain")
            assert plain == kept, (history, plain, kept)
            history.append(assistant(plain["content"]))
        # system prompts, several user messages, a prefilled answer
        system = {"role": "system", "content": "Answer in one word."}
        assert c.answer(system, first, session="sys") == c.answer(system, first)
        one = c.answer(system, first)["content"]
        assert c.answer(system, first, assistant(one), second, session="sys", fork="sys2") == c.answer(system, first, assistant(one), second)
        assert c.answer(second, session="sys", fork="sys3") == c.answer(system, first, assistant(one), second)
        assert c.answer(second, third, session="sys", fork="sys4") == c.answer(system, first, assistant(one), second, third)
        prefilled = c.chat(system, first, assistant(one), second, assistant("the"), session="sys", fork="sys5")
        plain = c.chat(system, first, assistant(one), second, assistant("the"))
        assert prefilled["choices"] == plain["choices"] and prefilled["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"]
        full = "the" + prefilled["choices"][0]["message"]["content"]
        after = c.chat(system, first, assistant(one), second, assistant(full), third, session="sys5")
        assert cached(after) >= prefilled["usage"]["prompt_tokens"]
        # chat after a text, and from a state without its conversation
        c.text("A story.", session="mixed")
        mixed = c.answer(first, session="mixed", fork="mixed2")
        assert mixed == c.answer(first, state="mixed")


def turns(command):
    """fork and undo give the same bytes as before, also where the states before turns were dropped."""
    with serving(command) as s:
        c = Client(s)
        prompts = [STORY] + [f" And then {i}" for i in range(12)]
        at = []
        for p in prompts:
            c.text(p, session="t", max_tokens=5)
            c.post("/v1/states/t/fork", {"to": f"t{len(at)}"})
            at.append((c.text(" So", session="t", fork="x"), c.get("t")))
            c.delete("x")
        for i in range(len(prompts) - 2, -1, -1):
            assert c.post("/v1/states/t/undo", {})["turns"] == i + 1
            answer = c.write(" So", session="t", fork="x")
            assert answer["choices"][0]["text"] == at[i][0] == c.text(" So", session=f"t{i}"), i
            c.delete("x")
            if i >= len(prompts) - 8:
                assert evaluated(answer) <= 4, (i, answer["usage"])
        assert c.post("/v1/states/t12/undo", {"turns": 10})["turns"] == 3
        assert c.text(" So", session="t12", fork="x") == at[2][0]
        c.delete("x")
        assert c.post("/v1/states/t/undo", {"turns": 2}, status=400)["error"]["param"] == "turns"
        assert c.post("/v1/states/t/undo", {"turns": 1})["tokens"] == 0
        assert c.text(STORY, session="t", max_tokens=5) + at[0][0] == c.text(STORY, session="u", max_tokens=5) + c.text(" So", session="u")
        for body in ({"turns": 0}, {"turns": -1}, {"turns": 1.5}, {"turns": "1"}):
            assert c.post("/v1/states/t/undo", body, status=400)["error"]["param"] == "turns"
        for body in ({}, {"to": 5}, {"to": "t0"}, {"to": "a/b"}, {"to": ""}):
            c.post("/v1/states/t/fork", body, status=400)
        c.post("/v1/states/none/fork", {"to": "z"}, status=404)
        c.post("/v1/states/none/undo", {}, status=404)
        c.post("/v1/states/t/grow", {}, status=404)


def positions(command):
    """undo returns to everything that was at a position; a conversation that was only read is found."""
    first, second, third = user("Where is Dora?"), user("Where is the lamp?"), user("Who has it?")
    system = {"role": "system", "content": "Answer in one word."}
    with serving(command, "--cache-size", "0") as s:
        c = Client(s)
        # before the first turn of a chat nothing precedes the user's message
        c.answer(first, session="chat")
        assert c.post("/v1/states/chat/undo", {})["turns"] == 0
        assert c.answer(second, session="chat") == c.answer(second)
        # shown text that no evaluated token contains: the last token had the stop string in it, too
        assert c.text(STORY, session="cut", stop=["ellar"]).endswith(" c")
        want = c.text(" Then", session="cut", fork="before")
        c.text(" And", session="cut")
        c.post("/v1/states/cut/undo", {})
        assert c.text(" Then", session="cut") == want
        # a conversation that was only read is found, too
        read = [system, first, assistant("In the mill.")]
        tokens = c.post("/v1/states", {"id": "read", "messages": read})["tokens"]
        got = c.chat(*read, third, session="read", fork="went")
        assert got["choices"] == c.chat(*read, third)["choices"] and cached(got) >= tokens - 1, (got["usage"], tokens)


def named(command):
    """Texts that are read once, and what a request with a state gives."""
    with serving(command, "--cache-size", "0") as s:
        c = Client(s)
        made = c.post("/v1/states", {"id": "doc", "prompt": STORY})
        assert made["tokens"] == len(c.ids(STORY)) + 1 and made["object"] == "state"
        want = c.text(STORY)
        for _ in range(2):  # it does not change
            answer = c.write("", state="doc")
            assert answer["choices"][0]["text"] == want and evaluated(answer) == 1
        four = c.write(["", " in", [458]], state="doc", n=2)["choices"]
        plain = c.write([STORY, STORY + " in", [0] + c.ids(STORY) + [458]], n=2)["choices"]
        assert four == plain
        echoed = c.write(" in", state="doc", echo=True, logprobs=1)["choices"][0]
        assert echoed["text"] == " in" + c.text(STORY + " in") and len(echoed["logprobs"]["tokens"]) == 12 + len(c.ids(" in"))
        assert c.text("", state="doc", session="from") == want and c.text("", state="gone", session="from")
        c.post("/v1/states", {"id": "ids", "tokens": [0] + c.ids(STORY)})
        assert c.text("", state="ids") == want
        made = c.post("/v1/states", {"prompt": " in", "state": "doc"})
        assert made["id"].startswith("state-") and c.text("", state=made["id"]) == c.text(STORY + " in")
        c.post("/v1/states", {"id": "doc", "prompt": "x"}, status=400)
        system, question = {"role": "system", "content": "Be brief."}, user("Where is Dora?")
        c.post("/v1/states", {"id": "sys", "messages": [system]})
        assert c.answer(question, state="sys") == c.answer(system, question)
        c.post("/v1/states", {"id": "talk", "messages": [system, question, assistant("In the mill.")]})
        assert c.answer(user("Why?"), state="talk") == c.answer(system, question, assistant("In the mill."), user("Why?"))
        for body in ({}, {"prompt": "a", "tokens": [1]}, {"tokens": 5}, {"tokens": []}, {"tokens": [800]}, {"messages": [question]}, {"prompt": 5},
                     {"prompt": "a", "id": "a/b"}, {"prompt": "a", "id": 5}):
            c.post("/v1/states", body, status=400)
        c.post("/v1/states", {"prompt": "a", "state": "gone"}, status=404)
        # return_state
        one = c.write(STORY, return_state=True)["state"]
        assert one["id"].startswith("state-") and one["tokens"] == len(c.ids(STORY)) + 13 and one["bytes"] == BYTES
        assert all(listed["bytes"] == BYTES for listed in c.states().values())
        assert c.text("", state=one["id"]) == c.text(STORY, max_tokens=24)[len(want):]
        image = base64.b64decode(c.write(STORY, return_state="base64")["state"]["data"], validate=True)
        assert image.startswith(b"RWKV7ST\0")
        c.put("copy", image)
        assert c.text("", session="copy") == c.text("", state=one["id"])
        events = s.post("/v1/completions", {"prompt": STORY, "temperature": 0, "max_tokens": 12, "stream": True, "return_state": "base64"}).events()
        assert base64.b64decode(events[-1]["state"]["data"]) == image and "usage" not in events[-1]


def exchange(command):
    """State files go from the program to the server and back."""
    with tempfile.TemporaryDirectory() as folder, serving(command) as s:
        c = Client(s)
        path = os.path.join(folder, "a.state")

        def run(*arguments):
            return program(command, "run", "--quiet", "--temp", "0", *arguments).removesuffix("\n")

        first = run("-n", "10", "--state-out", path, STORY)
        second = run("-n", "10", "--state-in", path, " Then")
        with open(path, "rb") as f:
            c.put("cli", f.read())
        assert c.text(" Then", session="cli", max_tokens=10) == second, (first, second)
        # a text that ended before a stop string
        run("-n", "20", "--stop", "ellar", "--state-out", path, STORY)
        with open(path, "rb") as f:
            c.put("cli", f.read())
        assert c.text(" Then", session="cli", max_tokens=10) == run("-n", "10", "--state-in", path, " Then")
        c.text(STORY, session="back", max_tokens=10)
        with open(path, "wb") as f:
            f.write(c.get("back"))
        whole = run("-n", "20", STORY)
        assert whole == first + run("-n", "10", "--state-in", path)
        assert run("-n", "10", "--state-in", path, " Then") == c.text(" Then", session="back", max_tokens=10)
        # a conversation, with its turns
        question = "Where is Dora?"
        one = c.answer(user(question), session="talk")["content"]
        with open(path, "wb") as f:
            f.write(c.get("talk"))
        two = c.answer(user("Why?"), session="talk")["content"]
        lines = f"Why?\n/undo\n/undo\n{question}\n"
        shown = program(command, "chat", "--quiet", "--temp", "0", "--no-history", "--state-in", path, stdin=lines.encode())
        assert [line for line in shown.splitlines() if line] == [two, one], (shown, two, one)
        program(command, "chat", "--quiet", "--temp", "0", "--no-history", "--state-out", path, stdin=f"{question}\nWhy?\n".encode())
        with open(path, "rb") as f:
            c.put("talk2", f.read())
        assert c.states()["talk2"]["turns"] == 2 and c.states()["talk2"]["tokens"] > 0
        assert c.answer(user("Who?"), session="talk2") == c.answer(user("Who?"), session="talk")
        c.post("/v1/states/talk2/undo", {"turns": 2})
        assert c.answer(user(question), session="talk2")["content"] == one
        # a conversation with more turns than a session keeps; its beginning is forgotten, also after it was saved again
        program(command, "chat", "--quiet", "-n", "1", "--no-history", "--state-out", path, stdin=b"a\n" * 1030)
        with open(path, "rb") as f:
            c.put("long", f.read())
        assert c.states()["long"]["turns"] == 1024
        c.answer(user("Who?"), session="long", max_tokens=1)
        assert c.states()["long"]["turns"] == 1024
        c.put("again", c.get("long"))
        whole = [user("Where is Dora?"), assistant("Here."), user("Why?")]
        assert c.answer(*whole, session="long") == c.answer(*whole, session="again") == c.answer(*whole)


def restart(command):
    """Sessions survive the server, with their turns; damaged files stay and are refused."""
    with tempfile.TemporaryDirectory() as base:
        folder = os.path.join(base, "states")
        with serving(command, "--state-dir", folder) as s:
            c = Client(s)
            assert os.stat(folder).st_mode & 0o777 == 0o700
            for i in range(3):
                c.text(STORY if i == 0 else f" {i}", session="a", max_tokens=6)
            one = c.answer(user("Where is Dora?"), session="b", reasoning_effort="low")
            c.text("", session="a", fork="c")
            at = [c.text(" So", session="a", fork="x")]
            c.delete("x")
            c.post("/v1/states/a/fork", {"to": "u"})
            c.post("/v1/states/u/undo", {"turns": 2})
            at.append(c.text(" So", session="u", fork="x"))
            c.delete("x")
            want_b = c.chat(user("Why?"), session="b", fork="x", reasoning_effort="low")
            c.delete("x")
            c.delete("u")
        assert sorted(os.listdir(folder)) == ["a.state", "b.state", "c.state"]
        assert os.stat(os.path.join(folder, "a.state")).st_mode & 0o077 == 0
        with serving(command, "--state-dir", folder) as s:
            c = Client(s)
            assert set(c.states()) == {"a", "b", "c"} and c.states()["a"]["stored"] == "disk"
            assert c.text(" So", session="a", fork="x") == at[0]
            c.post("/v1/states/a/undo", {"turns": 2})
            assert c.text(" So", session="a", fork="y") == at[1]
            # the conversation is recognised without its thoughts
            got = c.chat(user("Where is Dora?"), assistant(one["content"]), user("Why?"), session="b", reasoning_effort="low")
            assert got["choices"] == want_b["choices"] and cached(got) == cached(want_b)
            c.delete("x")
            c.delete("y")
            c.delete("c")
            assert not os.path.exists(os.path.join(folder, "c.state"))
        path = os.path.join(folder, "a.state")
        with open(path, "rb") as f:
            whole = f.read()
        for damage in (whole[:1000], whole[:-1], b"", b"junk", whole[:5000] + b"\xff" + whole[5001:]):
            with open(path, "wb") as f:
                f.write(damage)
            with serving(command, "--state-dir", folder) as s:
                c = Client(s)
                for body in ({"session": "a"}, {"state": "a"}, {"session": "a", "fork": "n"}):
                    error = c.post("/v1/completions", {"prompt": "a", "max_tokens": 1, **body}, status=400)["error"]
                    assert error["code"] == "invalid_state" and folder not in error["message"], error
                assert s.get("/v1/states/a").status == 400
            with open(path, "rb") as f:
                assert f.read() == damage
            assert any("'a' cannot be loaded" in line for line in s.messages), s.messages
        # not a file: neither read nor written
        os.remove(path)
        os.mkfifo(path)
        with serving(command, "--state-dir", folder) as s:
            assert s.post("/v1/completions", {"prompt": "a", "session": "a"}).status == 500
            assert s.post("/v1/completions", {"prompt": "a", "session": "b", "max_tokens": 1}).status == 200
            Client(s).put("a", s.get("/v1/states/b").body)
        assert any("'a' cannot be saved" in line for line in s.messages), s.messages
        # a folder that others may write to
        os.chmod(folder, 0o777)
        result = subprocess.run([*command, "serve", "--port", "0", "--state-dir", folder], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True, check=False)
        assert result.returncode == 1 and "other users may write to it" in result.stderr, result
        # no folder
        result = subprocess.run([*command, "serve", "--port", "0", "--state-dir", path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True, check=False)
        assert result.returncode == 1 and "it is not a folder" in result.stderr, result


def without_first_turn(image):
    """A state file that has forgotten the oldest turn, as those of sessions with more than 1024 turns."""
    begin = image.index(b'"turns":[', image.index(b'"server":')) + 9
    end = image.index(b"},", begin) + 2
    body = image[:begin] + b" " * (end - begin) + image[end:-8]
    low, high = 1, 0
    for (word,) in struct.iter_unpack("<I", body):
        low += word
        high += low
    return body + struct.pack("<Q", (high * 0x9E3779B97F4A7C15 ^ low) % (1 << 64))


def forgotten(command):
    """A whole conversation begins at the start of a document, also if the session's first turns were forgotten."""
    with serving(command) as s:
        c = Client(s)
        for _ in range(3):
            c.text(STORY, session="a", max_tokens=2)
        c.put("b", without_first_turn(c.get("a")))
        assert c.states()["a"]["turns"] == 3 and c.states()["b"]["turns"] == 2
        messages = {"role": "system", "content": "Answer briefly."}, user("Where is Dora?")
        want = c.chat(*messages)
        for name in "ab":
            got = c.chat(*messages, session=name)
            assert got["choices"] == want["choices"] and got["usage"] == want["usage"], (name, got, want)


def memory(command):
    """The least recently used sessions go to the folder, or are dropped; memory stays below its limit."""
    with tempfile.TemporaryDirectory() as folder:
        for where in ([], ["--state-dir", folder]):
            with serving(command, "--state-ram", "1", "--cache-size", "0", *where) as s:
                c = Client(s)
                first = c.text(STORY, session="s0", max_tokens=6)
                rest = c.text("", session="s0", max_tokens=6)
                c.text("", session="s0", max_tokens=1)
                for i in range(1, 30):
                    c.text(STORY, session=f"s{i}", max_tokens=6)
                    assert s.metric("state_bytes") <= 1 << 20
                assert s.metric("sessions_stored") <= 10
                if where:
                    assert len(c.states()) == 30 and c.states()["s1"]["stored"] == "disk"
                    for i in (1, 0, 2, 29):
                        c.post(f"/v1/states/s{i}/undo", {"turns": 1 if i else 2})
                        want = rest if i == 0 else first
                        assert c.text(STORY if i else "", session=f"s{i}", max_tokens=6) == want, i
                else:
                    error = c.post("/v1/completions", {"prompt": "a", "session": "s0"}, status=404)["error"]
                    assert error["code"] == "session_dropped"
                    c.delete("s0")
                    assert c.text(STORY, session="s0", max_tokens=6) + c.text("", session="s0", max_tokens=6) == first + rest
    with serving(command, "--state-ram", "1", "--cache-size", "0") as s:  # copies share a state, but are not free
        c = Client(s)
        c.post("/v1/states", {"id": "a", "prompt": "a"})
        for i in range(1100):
            c.post(f"/v1/states/a{i - 1 if i else ''}/fork", {"to": f"a{i}"})
        assert s.metric("sessions_stored") <= 1024 and s.metric("state_bytes") <= 1 << 20
    with serving(command, "--cache-size", "0") as s:  # refused requests keep nothing
        c = Client(s)
        c.post("/v1/states", {"id": "a", "prompt": "a"})
        for body in ({"id": "no name", "state": "a"}, {"id": "a", "state": "a"}, {"id": "b", "state": "a", "tokens": 1}):
            c.post("/v1/states", {"prompt": "b", **body}, status=400)
        c.delete("a")
        assert s.metric("state_bytes") == 0
    with serving(command, "--state-ram", "0") as s:
        for body in ({"session": "a"}, {"state": "a"}, {"return_state": True}):
            assert s.post("/v1/completions", {"prompt": "a", **body}).status == 400
        assert s.get("/v1/states").status == 404 and s.request("PUT", "/v1/states/a", b"x").status == 404


def races(command):
    """Of two requests for one session, one gets it; a client that leaves changes nothing."""
    with serving(command, "--parallel", "4") as s:
        c = Client(s)
        c.text(STORY, session="r", max_tokens=6)
        want = c.text("", session="r", fork="w")
        body = json.dumps({"prompt": "", "session": "r", "max_tokens": 4000, "ignore_eos": True, "stream": True}).encode()
        first = s.connect()
        first.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert first.recv(12) == b"HTTP/1.1 200"
        for _ in range(3):
            error = c.post("/v1/completions", {"prompt": "", "session": "r"}, status=409)["error"]
            assert error["code"] == "session_busy" and error["type"] == "invalid_request_error"
        c.post("/v1/states/r/undo", {}, status=409)
        c.delete("r", status=409)
        c.put("r", c.get("r"), status=409)
        assert 'endpoint="/states/",status="409"} 3' in s.get("/metrics").body.decode()
        assert c.text("", state="r") == c.text("", session="r", fork="busy") == want  # reading it is no conflict
        first.close()
        while s.metric("sessions_running") > 0:
            pass
        while c.states()["r"]["busy"]:
            pass
        assert c.text("", session="r") == want
        # many at once: those that succeed are in some order, each after the others
        statuses = []

        def ask():
            statuses.append(s.post("/v1/completions", {"prompt": " x", "session": "many", "max_tokens": 1, "ignore_eos": True}).status)

        for _ in range(3):
            threads = [threading.Thread(target=ask) for _ in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        assert set(statuses) <= {200, 409} and statuses.count(200) >= 3, statuses
        assert c.states()["many"]["turns"] == statuses.count(200)
        # an error before the answer leaves no session behind
        c.post("/v1/completions", {"prompt": "a", "session": "new", "n": 2}, status=400)
        c.post("/v1/completions", {"prompt": 5, "session": "new"}, status=400)
        assert "new" not in c.states()


def hostile(command):
    """Names, bodies and files that must be refused, with nothing changed."""
    with serving(command, "--max-body", "1") as s:
        c = Client(s)
        c.text(STORY, session="a", max_tokens=6)
        image, before = c.get("a"), c.text("", state="a")
        names = ("..", ".", "a/b", "../a", "a b", "", "\u00e9", "x" * 65, "a\\b", "a:b", "~", "a\n", "a\0")
        for name in names:
            for body in ({"session": name}, {"state": name}, {"session": "a", "fork": name}):
                answer = s.post("/v1/completions", json.dumps({"prompt": "a", "max_tokens": 1, **body}).encode())
                assert answer.status == 400, (name, body, answer.body)
        for path in ("..", ".", "%2e%2e", "..%2f..%2fetc%2fpasswd", "a%2fb", "%00", "a%00b", "x" * 65, "x" * 3000, "a%20b", "%c3%a9", "a/../b", "/a", "a//"):
            for method in ("GET", "PUT", "DELETE"):
                assert s.request(method, "/v1/states/" + path, image if method == "PUT" else None).status in (400, 404, 405), (method, path)
        assert set(c.states()) == {"a"}
        for ok in ("a.b", "-", "_", "...", "X" * 64, "a..b", ".a"):
            c.put(ok, image)
            assert c.text("", state=ok) == before
            c.delete(ok)
        for size in (*range(0, 64), *range(64, len(image), 1009), len(image) - 1):
            error = c.put("b", image[:size], status=400)["error"]
            assert error["message"] and error["param"] in (None, "order"), error
        for at in (0, 7, 8, 12, 16, 24, 40, 60, 5000, len(image) - 9, len(image) - 1):
            c.put("b", image[:at] + bytes([image[at] ^ 0x40]) + image[at + 1:], status=400)
        for junk in (b"", b"x", b"PK\x03\x04", b"RWKV7ST\0", bytes(1000), image + b"x" * 8, b"{}", struct.pack("<Q", 1 << 60)):
            error = c.put("b", junk, status=400)["error"]
            assert error["message"].startswith("not a state file") != junk.startswith(b"RWKV7ST\0") or error["param"] == "order", error
        assert s.request("PUT", "/v1/states/b", bytes(2 << 20)).status == 413
        # an upload that ends too early
        with s.connect() as raw:
            raw.sendall(b"PUT /v1/states/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(image) + image[:5000])
        assert set(c.states()) == {"a"} and c.text("", state="a") == before
        for method, path, allow in (("POST", "/v1/states/a", "GET, PUT, DELETE, HEAD, OPTIONS"), ("GET", "/v1/states/a/fork", "POST, OPTIONS"),
                                    ("PUT", "/v1/states", "GET, POST, HEAD, OPTIONS"), ("DELETE", "/v1/states/a/undo", "POST, OPTIONS"),
                                    ("PATCH", "/v1/states/a", "GET, PUT, DELETE, HEAD, OPTIONS")):
            answer = s.request(method, path, b"{}")
            assert answer.status == 405 and answer.headers["allow"] == allow, (method, path, answer.headers)
        for body in ({"session": 5}, {"session": ["a"]}, {"fork": "b"}, {"session": "a", "fork": "a"}, {"return_state": "yes"}, {"return_state": 1},
                     {"session": "a", "n": 2}, {"session": "a", "prompt": ["a", "b"]}, {"return_state": True, "n": 2}, {"cache_salt": 5},
                     {"cache_salt": "x" * 65}, {"session": "a", "max_tokens": 0, "echo": True}, {"session": "a", "fork": "b", "state": "a"}):
            answer = s.post("/v1/completions", {"prompt": "a", "max_tokens": 2, **body})
            assert answer.status == 400, (body, answer.body)
        c.post("/v1/completions", {"prompt": "a", "state": "none"}, status=404)
        c.post("/v1/completions", {"prompt": "a", "session": "none", "fork": "b"}, status=404)
        assert set(c.states()) == {"a"} and c.text("", state="a") == before
        # a refused name lets go of the state that the text would begin with
        held = s.metric("state_bytes")
        c.put("base", image)
        for name in ("a b", "a", "base"):
            c.post("/v1/states", {"id": name, "state": "base", "prompt": "x"}, status=400)
        c.delete("base")
        assert s.metric("state_bytes") == held


def foreign(command):
    """States of another model are refused; tuned states are accepted in both forms."""
    with tempfile.TemporaryDirectory() as folder:
        q8 = os.path.join(folder, "q8.safetensors")
        model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models", "rwkv7-demo.safetensors")
        program(command, "convert", "--quiet", model, q8, "--type", "q8")
        with serving(command, "-m", q8) as s:
            Client(s).text(STORY, session="a")
            image = Client(s).get("a")
        with serving(command) as s:
            c = Client(s)
            info = s.get("/v1/models").json()["data"][0]["meta"]
            error = c.put("q8", image, status=400)["error"]
            assert error["code"] == "invalid_state" and "of other weights" in error["message"] and "memory" not in error["message"], error
            # a tuned state: [H][N][N] floats for each layer
            layers, channels = info["n_layer"], info["n_embd"]
            heads = {16: 16}.get(channels, 0) or (info["state_bytes"] // 4 // layers - 2 * channels) // channels
            shape = [channels // heads, heads, heads]
            count = channels * heads
            tensors, data = {}, b""
            for i in range(layers):
                tensors[f"blocks.{i}.att.time_state"] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
                data += struct.pack(f"<{count}f", *(((j * 7 + i) % 11 - 5) / 50 for j in range(count)))
            head = json.dumps(tensors).encode()
            head += b" " * (-len(head) % 8)
            tuned = struct.pack("<Q", len(head)) + head + data
            assert c.put("tuned", tuned, status=400)["error"]["param"] == "order"
            c.put("tuned", tuned, status=400, more="?order=wrong")
            assert c.put("tuned", tuned, more="?order=value-key")["tokens"] == 0
            path = os.path.join(folder, "tuned.safetensors")
            with open(path, "wb") as f:
                f.write(tuned)
            for order in ("value-key", "key-value"):
                c.put("tuned", tuned, more="?order=" + order)
                want = program(command, "run", "--quiet", "--temp", "0", "-n", "12", "--state", path, "--state-order", order, STORY)
                assert c.text(STORY, state="tuned").removesuffix("\n") == want.removesuffix("\n")
                assert c.text(STORY, state="tuned", session="of-" + order).removesuffix("\n") == want.removesuffix("\n")
            c.put("of", c.get("tuned"))
            assert c.text(STORY, state="of") == c.text(STORY, state="tuned") != c.text(STORY)
            c.put("x", tuned[:-4], status=400, more="?order=value-key")
            c.put("x", tuned[:200], status=400, more="?order=value-key")


def long_prompts(command):
    """What the cache keeps, counted in tokens: the second turn of a long chat evaluates only what is new."""
    story = "Dora was in the mill. Felix took the lamp. " * 950
    story = story[:14000] if os.environ.get("RWKV7_TEST_BRIEF") else story
    with serving(command, "--max-prompt", "100000") as s:
        c = Client(s)
        first, second = user(story + "Where is Dora?"), user("Where is the lamp?")
        one = c.chat(first, session="long")
        tokens = one["usage"]["prompt_tokens"]
        assert tokens > 9000 or os.environ.get("RWKV7_TEST_BRIEF"), tokens
        two = c.chat(second, session="long", fork="new")
        assert evaluated(two) < 32 and cached(two) >= tokens, two["usage"]
        content = one["choices"][0]["message"]["content"]
        whole = c.chat(first, assistant(content), second, session="long")
        assert whole["usage"] == two["usage"] and whole["choices"] == two["choices"]
        # the same without a session: the cache knows the first message, and the answer if it is long
        plain = c.chat(first, assistant(content), second)
        assert plain["choices"] == two["choices"] and evaluated(plain) < 64 + 64, plain["usage"]
        edited = c.chat(first, assistant(content), user("Who is Felix?"))
        assert evaluated(edited) < 64 + 64, edited["usage"]
        again = c.chat(first)
        assert again["choices"] == one["choices"] and evaluated(again) < 64, again["usage"]
        # a salt separates prompts
        salted = [evaluated(c.chat(first, cache_salt=salt)) for salt in ("a", "b", "a")]
        assert salted[0] == salted[1] == tokens and salted[2] < 64, salted
        assert evaluated(c.chat(first, cache_prompt=False)) == tokens
        # texts with a common beginning share states at multiples of 512 tokens, or of more
        ids = c.ids(story)
        size = min(len(ids), 4000)
        c.write([[5] + ids[:size]], max_tokens=1)
        for same in (700, 1500, size - 100):
            assert cached(c.write([[5] + ids[:same] + [6] * 100], max_tokens=1)) >= same - 1024, same
        # a long answer is not read again
        told = c.chat(user("Tell me"), max_tokens=300, ignore_eos=True, logit_bias={str(i): -100 for i in c.ids("\n")})
        if told["usage"]["completion_tokens"] == 300:
            more = c.chat(user("Tell me"), assistant(told["choices"][0]["message"]["content"]), user("Go on"))
            assert evaluated(more) < 300, more["usage"]


def shared_cache(command):
    """--prompt-cache: the server and the program find each other's states."""
    story = "Dora was in the mill. Felix took the lamp. " * 60
    with tempfile.TemporaryDirectory() as base:
        folder = os.path.join(base, "cache")

        def run(prompt):
            return json.loads(program(command, "run", "--json", "--temp", "0", "-n", "8", "--prompt-cache", folder, prompt))

        assert run(story + "Q: Who?")["known_tokens"] == 0
        with serving(command, "--prompt-cache", folder) as s:
            c = Client(s)
            answer = c.write(story + "Q: Where?", max_tokens=8)
            assert cached(answer) > 100, answer["usage"]
            assert cached(c.write(story + "Q: Who?", max_tokens=8, cache_salt="x")) == 0
            system = {"role": "system", "content": story}
            c.chat(system, user("Where is Dora?"))
            c.write(story * 3 + "Q: Where?", max_tokens=8)
        assert run(story + "Q: Where?")["text"] == answer["choices"][0]["text"]
        assert run(story * 3 + "Q: Where is it?")["known_tokens"] > 300
        with serving(command, "--prompt-cache", folder) as s:
            c = Client(s)
            answer = c.chat(system, user("Who is Felix?"))
            assert cached(answer) > 200 and evaluated(answer) < 40, answer["usage"]
            assert c.chat(system, user("Who is Felix?"), cache_prompt=False)["choices"] == answer["choices"]
        # damaged entries are no error
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "r+b") as f:
                f.truncate(3000)
        with serving(command, "--prompt-cache", folder) as s:
            again = Client(s).chat(system, user("Who is Felix?"))
            assert again["choices"] == answer["choices"] and cached(again) == 0
        shutil.rmtree(folder)


def embeddings(command):
    with serving(command) as s:
        c = Client(s)

        def embed(body, status=200):
            return c.post("/v1/embeddings", body, status=status)

        width = s.get("/v1/models").json()["data"][0]["meta"]["n_embd"]
        one = embed({"input": "Dora was in the mill.", "model": "any"})
        vector = one["data"][0]["embedding"]
        assert len(vector) == width and abs(sum(x * x for x in vector) - 1) < 1e-5
        ids = c.ids("Dora was in the mill.")
        assert one["usage"] == {"prompt_tokens": len(ids) + 1, "total_tokens": len(ids) + 1} and one["object"] == "list"
        many = embed({"input": ["Dora was in the mill.", "x" * 3000, "Dora"]})
        assert [d["index"] for d in many["data"]] == [0, 1, 2] and many["data"][0]["embedding"] == vector
        assert embed({"input": [0] + ids})["data"] == embed({"input": [[0] + ids]})["data"] == one["data"]
        packed = base64.b64decode(embed({"input": "Dora was in the mill.", "encoding_format": "base64"})["data"][0]["embedding"])
        floats = struct.unpack(f"<{width}f", packed)
        assert all(abs(x - y) <= 1e-8 + 1e-6 * abs(y) for x, y in zip(floats, vector))
        assert embed({"input": "a", "dimensions": width})["data"][0]["embedding"] != vector
        for name, value in (("dimensions", width - 1), ("dimensions", "1"), ("encoding_format", "hex"), ("input", None), ("input", 5), ("input", []),
                            ("input", [[]]), ("input", ["a", 5]), ("input", ["a", [1]]), ("input", [1, "a"]), ("input", [-1]), ("input", [[800]])):
            assert embed({"input": "a", name: value}, status=400)["error"]["param"] == name, (name, value)


if __name__ == "__main__":
    main([texts, characters, chats, turns, positions, named, exchange, restart, forgotten, memory, races, hostile, foreign, long_prompts, shared_cache, embeddings])
