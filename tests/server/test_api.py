"""test_api.py - compares the endpoints with `rwkv7 run`, `logits` and `eval`, under any load."""
import json
import math
import os
import random
import re
import struct
import subprocess
import tempfile
import threading

from server import main, serving

EOS = "<|rwkv_tokenizer_end_of_text|>"
STORY = "Once upon a time"


def rwkv7(command, *arguments):
    environment = dict(os.environ, XDG_CONFIG_HOME="/nonexistent")
    return subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                          env=environment).stdout


def logits(command, ids):
    """Rows of log probabilities after each token."""
    data = rwkv7(command, "logits", "--tokens", ",".join(map(str, ids)), "-o", "-")
    size = struct.unpack("<H", data[8:10])[0]
    head = data[10:10 + size].decode()
    rows, vocab = (int(x) for x in head[head.index("(") + 1:head.index(")")].split(","))
    values = struct.unpack(f"<{rows * vocab}f", data[10 + size:])
    found = []
    for i in range(rows):
        row = values[i * vocab:(i + 1) * vocab]
        top = max(row)
        total = top + math.log(math.fsum(math.exp(x - top) for x in row))
        found.append([x - total for x in row])
    return found


def text(command):
    """The text equals that of `rwkv7 run` for every form of the prompt."""
    want = rwkv7(command, "run", "--temp", "0.9", "--top-p", "0.8", "--seed", "7", "-n", "24", STORY).decode().removesuffix("\n")
    with serving(command) as s:
        def ask(prompt, **more):
            answer = s.post("/v1/completions", {"prompt": prompt, "temperature": 0.9, "top_p": 0.8, "seed": 7, "max_tokens": 24, **more})
            assert answer.status == 200, answer.body
            return answer.json()

        whole = ask(STORY)
        assert whole["object"] == "text_completion" and whole["id"].startswith("cmpl-") and whole["seed"] == 7
        assert whole["model"] == "rwkv7-demo" and whole["choices"][0]["index"] == 0
        assert whole["choices"][0]["text"].removesuffix("\n") == want, (whole["choices"][0]["text"], want)
        ids = s.post("/tokenize", {"prompt": STORY}).json()["tokens"]
        assert whole["usage"]["prompt_tokens"] == len(ids) + 1
        assert ask([STORY])["choices"] == whole["choices"]
        assert ask([0] + ids)["choices"] == whole["choices"]
        assert ask([[0] + ids])["choices"] == whole["choices"]
        assert ask(EOS + STORY)["choices"] == whole["choices"]
        bare = ask(ids)["choices"][0]["text"]
        assert bare.removesuffix("\n") == rwkv7(command, "run", "--no-bos", "--temp", "0.9", "--top-p", "0.8", "--seed", "7", "-n", "24",
                                                STORY).decode().removesuffix("\n")
        assert ask(STORY, add_special_tokens=False)["choices"][0]["text"] == bare
        several = ask([STORY, [0] + ids] if False else [STORY, "List: a: b.", STORY])["choices"]
        assert [c["index"] for c in several] == [0, 1, 2]
        assert several[0]["text"] == several[2]["text"] == whole["choices"][0]["text"]
        start = ask([])
        assert start["usage"]["prompt_tokens"] == 1 and ask([[]])["choices"] == start["choices"] == ask("")["choices"] == ask([0])["choices"]
        # n: one reading of the prompt; seeds count up
        four = ask(STORY, n=4)
        for i, choice in enumerate(four["choices"]):
            assert choice["text"] == ask(STORY, seed=7 + i)["choices"][0]["text"] and choice["index"] == i
        assert four["usage"]["prompt_tokens"] == len(ids) + 1
        assert four["choices"] == ask([0] + ids, n=4)["choices"]
        one = ask([0], n=3)["choices"]  # a prompt of one token
        assert [c["text"] for c in one] == [ask([0], seed=7 + i)["choices"][0]["text"] for i in range(3)]
        two = ask([STORY, "List:"], n=2)["choices"]
        assert [c["text"] for c in two] == [ask(p, seed=7 + i)["choices"][0]["text"] for p in (STORY, "List:") for i in range(2)]


def streams(command):
    with serving(command) as s:
        for path, body in (
                ("/v1/completions", {"prompt": STORY, "n": 2, "logprobs": 2, "echo": True}),
                ("/v1/completions", {"prompt": [STORY, "List: a: b.\nQ: a\nA:"], "stop": ["\n", "zz"]}),
                ("/v1/completions", {"prompt": STORY, "echo": True}),
                ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "logprobs": True, "top_logprobs": 2}),
                ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "low", "n": 2})):
            body = {**body, "seed": 5, "max_tokens": 40}
            whole = s.post(path, body).json()
            answer = s.post(path, {**body, "stream": True, "stream_options": {"include_usage": True}})
            assert answer.headers["content-type"] == "text/event-stream" and answer.headers["cache-control"] == "no-cache"
            assert answer.body.endswith(b"data: [DONE]\n\n") and answer.whole
            events = answer.events()
            assert len({e["id"] for e in events}) == 1 and events[-1]["choices"] == [] and events[-1]["usage"] == {
                **whole["usage"], "prompt_tokens_details": events[-1]["usage"]["prompt_tokens_details"]}
            chat = "chat" in path
            for choice in whole["choices"]:
                own = [e["choices"][0] for e in events[:-1] if e["choices"][0]["index"] == choice["index"]]
                assert [c["finish_reason"] for c in own] == [None] * (len(own) - 1) + [choice["finish_reason"]]
                if chat:
                    message = choice["message"]
                    assert own[0]["delta"] == {"role": "assistant", "content": ""} and own[-1]["delta"] == {}
                    for name in ("content", "reasoning_content"):
                        assert "".join(c["delta"].get(name, "") for c in own) == message.get(name, ""), (name, own, message)
                else:
                    assert "".join(c["text"] for c in own) == choice["text"]
                if choice["logprobs"]:
                    joined = {}
                    for c in own:
                        for name, values in (c["logprobs"] or {}).items():
                            joined.setdefault(name, []).extend(values)
                    assert joined == choice["logprobs"], (joined, choice["logprobs"])
        answer = s.post("/v1/completions", {"prompt": STORY, "max_tokens": 0, "echo": True, "stream": True})
        assert "".join(e["choices"][0]["text"] for e in answer.events()) == STORY


def scores(command):
    """Checks the arrays of log probabilities that lm-evaluation-harness reads."""
    with serving(command) as s:
        for ids in ([0, 458, 476], [458], [0] + s.post("/tokenize", {"prompt": STORY * 12}).json()["tokens"], [0xe4 + 1, 0xbd + 1, 5]):
            body = {"prompt": [ids], "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
            rows = logits(command, ids)
            choice = s.post("/v1/completions", body).json()["choices"][0]
            found = choice["logprobs"]
            assert {len(found[name]) for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")} == {len(ids) + 1}
            assert found["token_logprobs"][0] is None and found["top_logprobs"][0] is None
            for i, token in enumerate(ids[1:]):
                want = rows[i][token]
                assert abs(found["token_logprobs"][i + 1] - want) < 1e-4, (i, want)
                top = found["top_logprobs"][i + 1]
                assert top[found["tokens"][i + 1]] == found["token_logprobs"][i + 1] and 1 <= len(top) <= 2
                assert abs(max(top.values()) - max(rows[i])) < 1e-4
                assert (found["token_logprobs"][i + 1] == max(top.values())) == (want == max(rows[i]))
            best = max(range(len(rows[-1])), key=rows[-1].__getitem__)
            assert abs(found["token_logprobs"][-1] - rows[-1][best]) < 1e-4
            zero = s.post("/v1/completions", {**body, "max_tokens": 0}).json()["choices"][0]
            assert zero["finish_reason"] == "length"
            for name in found:
                assert zero["logprobs"][name] == found[name][:-1]
            none = s.post("/v1/completions", {**body, "logprobs": 0}).json()["choices"][0]["logprobs"]
            assert none["token_logprobs"] == found["token_logprobs"] and set(none["top_logprobs"]) == {None}
            cached = s.post("/v1/completions", {**body, "echo": False, "logprobs": 3, "max_tokens": 3}).json()["choices"][0]["logprobs"]
            assert cached["token_logprobs"][0] == found["token_logprobs"][-1] and all(3 <= len(t) <= 4 for t in cached["top_logprobs"])
        # several prompts, shorter than a piece and longer
        long = s.post("/tokenize", {"prompt": STORY * 80}).json()["tokens"]
        assert len(long) > 300
        prompts = [long, long[:5], long[:128], long[:129], long[:130], long[7:]]
        body = {"temperature": 0, "max_tokens": 1, "logprobs": 1, "echo": True}
        together = s.post("/v1/completions", {**body, "prompt": prompts}).json()["choices"]
        for prompt, choice in zip(prompts, together):
            alone = s.post("/v1/completions", {**body, "prompt": prompt}).json()["choices"][0]
            assert {**alone, "index": choice["index"]} == choice
        assert together[2]["logprobs"]["token_logprobs"][:-1] == together[0]["logprobs"]["token_logprobs"][:128]
        # the end of the text has an entry, too
        ends = s.post("/v1/completions", {**body, "prompt": [85, 105, 300], "logit_bias": {"0": 100}}).json()["choices"][0]
        assert ends["finish_reason"] == "stop" and ends["logprobs"]["tokens"][-1] == EOS and len(ends["logprobs"]["tokens"]) == 4
        # parts of characters: by their bytes, and offsets in characters
        prompt = "a\u4f60b"
        found = s.post("/v1/completions", {**body, "prompt": prompt, "max_tokens": 0}).json()["choices"][0]
        assert found["text"] == prompt
        assert found["logprobs"]["tokens"] == ["a", "bytes:\\xe4", "bytes:\\xbd", "bytes:\\xa0", "b"], found
        assert found["logprobs"]["text_offset"] == [0, 1, 1, 1, 2]


def tokens(command):
    with serving(command) as s:
        assert s.get("/tokenizer_info").json()["eos_token"] == EOS and s.get("/tokenizer_info").json()["bos_token"] is None
        assert s.post("/tokenize", {"prompt": EOS, "add_special_tokens": False}).json()["tokens"] == [0]
        assert s.post("/tokenize", {"prompt": EOS + "The cat"}).json()["tokens"][0] == 0
        inner = s.post("/tokenize", {"prompt": "The" + EOS}).json()["tokens"]
        assert 0 not in inner
        assert s.post("/detokenize", {"tokens": inner}).json()["prompt"] == "The" + EOS
        assert s.post("/detokenize", {"tokens": [0, 458, 476]}).json() == {"prompt": EOS + "The cat", "content": EOS + "The cat"}
        for sample in ("", "The cat", "\u4f60\u597d \U0001f600\n\ttab \"quoted\" \\", "x" * 100000):
            answer = s.post("/tokenize", {"content": sample}).json()
            assert answer["count"] == len(answer["tokens"])
            assert s.post("/detokenize", {"tokens": answer["tokens"]}).json()["content"] == sample
        assert s.post("/tokenize", {"content": "The \u00e9", "with_pieces": True}).json()["tokens"] == [
            {"id": 458, "piece": "The"}, {"id": 33, "piece": " "}, {"id": 0xc3 + 1, "piece": [0xc3]}, {"id": 0xa9 + 1, "piece": [0xa9]}]
        assert s.post("/detokenize", {"tokens": [0xe4 + 1]}).json()["prompt"] == "\ufffd"
        assert s.post("/detokenize", {"tokens": [1]}).json()["prompt"] == "\0"
        for body in ({}, {"prompt": 5}, {"prompt": None}):
            assert s.post("/tokenize", body).json()["error"]["param"] == "prompt"
        for body in ({}, {"tokens": "1"}, {"tokens": [-1]}, {"tokens": [1.5]}, {"tokens": [800]}, {"tokens": [1, "x"]}):
            assert s.post("/detokenize", body).json()["error"]["param"] == "tokens"


def stops(command):
    with serving(command) as s:
        full = s.post("/v1/completions", {"prompt": STORY, "temperature": 0, "max_tokens": 60}).json()["choices"][0]["text"]
        for stop in ("cellar", "was", ". She", full[20:40], full[:3]):
            choice = s.post("/v1/completions", {"prompt": STORY, "temperature": 0, "max_tokens": 60, "stop": stop}).json()["choices"][0]
            assert choice["text"] == full[:full.index(stop)] and choice["finish_reason"] == "stop", (stop, choice)
        for stop in (None, [], [None], [""], "", ["never in it", EOS]):
            choice = s.post("/v1/completions", {"prompt": STORY, "temperature": 0, "max_tokens": 60, "stop": stop}).json()["choices"][0]
            assert choice["text"] == full, stop


def fields(command):
    """Invalid values get status 400 with the name of the field; all valid kinds are accepted."""
    with serving(command, "--max-tokens", "100", "--max-prompt", "1000") as s:
        wrong = {
            "temperature": (-1, 1001, "1", True, []), "top_p": (-0.1, 1.1, "x"), "top_k": (-2, 1.5, 1e10), "min_p": (2,),
            "presence_penalty": (-3, 3), "frequency_penalty": (2.5,), "penalty_decay": (-1, 2), "seed": (1.5, "1", 1e300),
            "max_tokens": (-1, 101, 1.5, "5"), "n": (0, 17, 1.5), "stop": (5, [5], {}, ["a"] * 17, "x" * 1025), "stream": (1, "true"),
            "logit_bias": ([], {"x": 1}, {"-1": 1}, {"800": 1}, {"1": 101}, {"1": "a"}, {" 1": 1}, {"1x": 1}, {"": 1}),
            "logprobs": (-1, 21, True), "echo": (1,), "prompt": (None, 5, {}, [{}], [1, "a"], [[1], "a", 5], [-1], [800], [[1.5]], "a" * 5000,
                                                                [["a"]]),
            "stream_options": (5,), "best_of": (2,), "suffix": ("x",), "tools": ([{}],),
            "response_format": (5, {}, {"type": "xml"}, {"type": 1}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}},
                                {"type": "json_schema", "json_schema": {"schema": False}},
                                {"type": "json_schema", "json_schema": {"schema": {"uniqueItems": True}}}),
            "json_schema": ({"type": "word"}, 5, [], "{"), "grammar": ("root", 5, {}), "regex": ("(", "a(?<!b)", 5, ["a"]), "choices": ([], "a", ["a", 5], {}),
            "stop_token_ids": ([5],), "min_tokens": (1,), "repetition_penalty": (1.1,), "session": ("a b", 5),
            "guided_json": ({"$ref": "#/no"}, "{", ""), "guided_regex": ("[",), "guided_choice": ([],), "guided_grammar": ("x",), "guided_json_object": (1,),
            "structured_outputs": (5, {"structural_tag": "x"}, {"regex": "["}, {"regex": "a", "choice": ["a"]}, {"json": False}), "model": (5,),
        }
        for name, values in wrong.items():
            for value in values:
                answer = s.post("/v1/completions", {"prompt": "a", "max_tokens": 2, name: value})
                assert answer.status == 400 and answer.json()["error"]["param"] == name, (name, value, answer.status, answer.body)
        right = {
            "temperature": (0, 2, None), "top_p": (0, 1), "top_k": (-1, 0, 5), "min_p": (0, 1), "seed": (0, -1, 2**53), "n": (1, None),
            "logit_bias": ({}, {"5": -100, "6": 100, "007": 1}), "logprobs": (0, 20, None), "best_of": (1,), "suffix": (None, ""), "tools": (None, []),
            "response_format": ({"type": "text"}, {"type": "text", "strict": True}, {"type": "json_object"}, None), "regex": ("a*", "", None), "grammar": ("", "root ::= \"a\""),
            "choices": (["a"], None), "guided_json": ({}, True, {"type": "object"}, '{"type": "object"}'), "guided_json_object": (True, False),
            "structured_outputs": ({}, None, {"choice": ["a"], "regex": None, "disable_fallback": False}, {"json": {}}, {"json_object": True}), "model": ("gpt-4", None), "user": ("x",), "metadata": ({"a": [1]},), "stop_token_ids": ([],),
            "repetition_penalty": (1, 1.0), "stream_options": (None, {}), "unknown_field": ({"a": 1},),
        }
        for name, values in right.items():
            for value in values:
                answer = s.post("/v1/completions", {"prompt": "a", "max_tokens": 2, name: value})
                assert answer.status == 200, (name, value, answer.body)
        assert s.post("/v1/completions", {"prompt": "a", "max_tokens": 0}).json()["error"]["param"] == "max_tokens"
        message = s.post("/v1/completions", {"prompt": "a", "max_tokens": 50000}).json()["error"]["message"]
        assert message.startswith("max_tokens: expected a whole number from 0 to ") and message.endswith(", found 50000"), message
        assert s.post("/v1/completions", {"prompt": "a", "temperature": 0, "top_p": 0}).status == 200
        user = [{"role": "user", "content": "a"}]
        for body, param in (
                ({}, "messages"), ({"messages": []}, "messages"), ({"messages": 5}, "messages"), ({"messages": [5]}, "messages[0]"),
                ({"messages": [{"role": "system", "content": "x"}]}, "messages"), ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]"),
                ({"messages": user + [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[1]"),
                ({"messages": [{"role": "user"}]}, "messages[0]"), ({"messages": [{"role": "system", "content": None}, *user]}, "messages[0]"),
                ({"messages": [{"role": "user", "content": 5}]}, "messages[0]"), ({"messages": user, "logprobs": 1}, "logprobs"),
                ({"messages": [{"role": "assistant", "content": None, "tool_calls": [{}]}]}, "messages[0]"),
                ({"messages": user, "top_logprobs": 2}, "top_logprobs"), ({"messages": user, "max_tokens": 0}, "max_tokens"),
                ({"messages": user, "reasoning_effort": "much"}, "reasoning_effort"), ({"messages": user, "tools": [1]}, "tools[0]"),
                ({"messages": user, "chat_template_kwargs": {"enable_thinking": 1}}, "enable_thinking"),
                ({"messages": [{"role": "user", "content": "a b" * 3000}]}, "messages")):
            answer = s.post("/v1/chat/completions", body)
            assert answer.status == 400 and answer.json()["error"]["param"] == param, (str(body)[:100], answer.body)
    name = "n" * 100 + "/" + "m" * 26  # the longest
    with serving(command, "--name", name) as s:
        assert s.get("/v1/models/" + name).json()["id"] == s.get("/v1/models").json()["data"][0]["id"] == name
    with serving(command, "--strict-model", "--name", "mine") as s:
        assert s.post("/v1/completions", {"prompt": "a", "model": "other"}).json()["error"]["code"] == "model_not_found"
        assert s.post("/v1/completions", {"prompt": "a", "model": "mine"}).json()["model"] == "mine"


def chats(command):
    """An answer of a chat is the completion of the text that the template produces."""
    with serving(command, "--cache-size", "0") as s:
        def same(prompt, **body):
            settings = {"seed": 3, "max_tokens": 30, "temperature": 0.7}
            want = s.post("/v1/completions", {"prompt": prompt, "stop": ["\n\nUser:", "\nUser:"], **settings}).json()["choices"][0]["text"]
            message = s.post("/v1/chat/completions", {**settings, **body}).json()["choices"][0]["message"]
            assert message["role"] == "assistant"
            assert message["content"] == want.strip(" \t\r\n\v\f").removesuffix("\n") or body.get("loose"), (message, want)
            return want, message

        user = {"role": "user", "content": "Where is\r\n\n\nthe key? "}
        same("User: Where is\nthe key?\n\nAssistant:", messages=[user])
        same("User: Where is\nthe key?\n\nAssistant:", messages=[{"role": "user", "content": [
            {"type": "text", "text": "Where is"}, {"type": "text", "text": "\nthe key?"}]}])
        same("System: Be brief.\nBe kind.\n\nUser: Where is\nthe key?\n\nAssistant:", messages=[
            {"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}, user])
        same("User: Hi\n\nAssistant: Hello.\n\nUser: Where is\nthe key?\n\nAssistant:", messages=[
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": " Hello.\n"}, user])
        same("User: a\nb\n\nAssistant:", messages=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
        same("User: Hi\n\nAssistant:", messages=[{"role": "user", "content": "Hi"}], reasoning_effort=None)
        same("User: Hi (think a bit)\n\nAssistant: <think", messages=[{"role": "user", "content": "Hi"}], reasoning_effort="low", loose=1)
        want, message = same("User: Hi\n\nAssistant: <think>\n</think", messages=[{"role": "user", "content": "Hi"}],
                             chat_template_kwargs={"enable_thinking": False}, loose=1)
        assert "reasoning_content" not in message or not want.startswith(">")
        # the beginning of the answer is the client's
        want = s.post("/v1/completions", {"prompt": "User: Hi\n\nAssistant: The", "temperature": 0, "max_tokens": 9}).json()["choices"][0]["text"]
        got = s.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The"}],
                                              "temperature": 0, "max_tokens": 9}).json()["choices"][0]["message"]["content"]
        assert got == want.rstrip("\n"), (got, want)
        # thoughts, with a model that is made to write the tags
        ids = s.post("/tokenize", {"prompt": ">ab</think>\n\ncd"}).json()["tokens"]
        assert len(ids) > 5


FIELDS = {"type": "object", "properties": {"who": {"type": "string", "pattern": "^[A-Z][a-z]+$", "maxLength": 9},
                                           "old": {"type": "integer", "minimum": 3, "maximum": 99},
                                           "seen": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 2}},
          "required": ["who", "old", "seen"], "additionalProperties": False}
LIST = 'root ::= item{2}\nitem ::= "- " [a-z]{1,5} "\\n"'


def check_fields(answer):
    found = json.loads(answer)
    assert list(found) == ["who", "old", "seen"] and re.fullmatch("[A-Z][a-z]{1,8}", found["who"]) and 3 <= found["old"] <= 99, found
    assert isinstance(found["old"], int) and len(found["seen"]) <= 2 and set(found["seen"]) <= {"red", "green"}, found


def check_object(answer):
    assert isinstance(json.loads(answer), dict), answer


FORMS = (
    (check_fields, [{"response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": FIELDS, "strict": True}}},
                    {"response_format": {"type": "json_object", "schema": FIELDS}}, {"json_schema": FIELDS}, {"guided_json": FIELDS},
                    {"guided_json": json.dumps(FIELDS)}, {"structured_outputs": {"json": FIELDS}}]),
    (check_object, [{"response_format": {"type": "json_object"}}, {"structured_outputs": {"json_object": True}}, {"guided_json_object": True}]),
    (lambda x: re.fullmatch("(- [a-z]{1,5}\n){2}", x).group(), [{"grammar": LIST}, {"guided_grammar": LIST}, {"structured_outputs": {"grammar": LIST}}]),
    (lambda x: re.fullmatch(r" (yes|no), [a-z ]{1,20}\.", x).group(), [{name: r" (yes|no), [a-z ]{1,20}\."} for name in ("regex", "guided_regex")]),
    (["red", "green", " blue\n"].index, [{name: ["red", "green", " blue\n"]} for name in ("choices", "guided_choice")]))


def constraints(command):
    """A constrained text that is not truncated is valid and equals that of `rwkv7 run`.

    It is the same for every form of the request.
    """
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(json.dumps(FIELDS))
        file.flush()
        want = rwkv7(command, "run", "--temp", "1.2", "--top-p", "1", "--seed", "4", "-n", "80", "-N", "--schema", file.name, STORY).decode()
    with serving(command, "--think", "on") as s:
        def ask(path, body):
            answer = s.post(path, body)
            assert answer.status == 200, (body, answer.body)
            choices = answer.json()["choices"]
            events = s.post(path, {**body, "stream": True}).events()
            for choice in choices:
                name = "delta" if "chat" in path else "text"
                pieces = [e["choices"][0][name] for e in events if e["choices"][0]["index"] == choice["index"]]
                own = choice["message"]["content"] if "chat" in path else choice["text"]
                assert "".join(p.get("content", "") if "chat" in path else p for p in pieces) == own, (own, pieces)
                yield own, choice["finish_reason"]

        ended = {}
        for kind, (check, bodies) in enumerate(FORMS):
            for path, prompt in (("/v1/completions", {"prompt": [STORY, "JSON:"]}), ("/v1/chat/completions", {
                    "messages": [{"role": "user", "content": "Hi"}]}), ("/v1/chat/completions", {
                        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The"}]})):
                settings = {"seed": 4, "temperature": 1.2, "max_tokens": 80, "n": 4, **prompt}
                answers = [list(ask(path, {**settings, **body})) for body in bodies]
                assert all(a == answers[0] for a in answers), (bodies, answers)
                for text_of, reason in answers[0]:
                    if reason == "stop":
                        check(text_of)
                        ended[kind] = ended.get(kind, 0) + 1
                if path == "/v1/completions" and kind == 0:
                    assert answers[0][0][0] == want, (answers[0][0], want)
        assert set(ended) == set(range(len(FORMS))), ended
        for body, param in (({"regex": "a", "choices": ["a"]}, "choices"), ({"response_format": {"type": "json_object"}, "grammar": LIST}, "grammar"),
                            ({"guided_json": {}, "structured_outputs": {"json": {}}}, "structured_outputs"),
                            ({"regex": "a", "reasoning_effort": "low"}, "reasoning_effort"),
                            ({"regex": "a", "chat_template_kwargs": {"enable_thinking": True}}, "enable_thinking"),
                            ({"guided_json": {"properties": {"tags": {"uniqueItems": True}}}}, "guided_json")):
            error = s.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], **body}).json()["error"]
            assert error["param"] == param and param in error["message"], error
        assert "#/properties/tags/uniqueItems" in error["message"], error
        for effort in ("none", None):
            answer = s.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "regex": "a", "reasoning_effort": effort})
            assert answer.json()["choices"][0]["message"]["content"] == "a", answer.body
            without = s.post("/v1/completions", {"prompt": "User: Hi\n\nAssistant:", "max_tokens": 1}).json()["usage"]["prompt_tokens"]
            assert answer.json()["usage"]["prompt_tokens"] == without, answer.body  # nothing begins a thought


# a chat in each protocol; those of other APIs have one answer, and no empty prompt
CHATS = (
    lambda body, prompt: ("/v1/chat/completions", {**body, "messages": [{"role": "user", "content": prompt}]}),
    lambda body, prompt: ("/v1/messages", {**body, "n": 1, "messages": [{"role": "user", "content": prompt}]}),
    lambda body, prompt: ("/v1/responses", {**body, "n": 1, "input": prompt}),
    lambda body, prompt: ("/api/chat", {**body, "n": 1, "stream": False, "messages": [{"role": "user", "content": prompt}]}),
    lambda body, prompt: ("/api/generate", {**body, "n": 1, "stream": False, "prompt": prompt or "Hi"}))


def make_request(rng, ids):
    """Returns a random request with a seed."""
    prompt = rng.choice([STORY, "List: broom: crow, Emma: candle.\nQ: Emma\nA:", "Sort: d a c b.\nQ: row\nA:", ""]) + rng.choice(
        ["", " The cat", " x" * rng.randrange(200)])
    body = {"seed": rng.randrange(1000), "max_tokens": rng.choice([1, 5, 30, 80]), "temperature": rng.choice([0, 0.7, 1.3])}
    if rng.random() < 0.3:
        body["n"] = rng.randrange(1, 4)
    if rng.random() < 0.3:
        body["stop"] = ["\n", " the"]
    if rng.random() < 0.3:
        body["frequency_penalty"] = 0.5
    if rng.random() < 0.4:
        body.update(rng.choice(rng.choice(FORMS)[1]))
    if rng.random() < 0.4:
        return rng.choice(CHATS)(body, prompt)
    body["prompt"] = rng.choice([prompt, [prompt, STORY], [ids[:rng.randrange(1, len(ids))]]])
    if rng.random() < 0.4:
        body.update(logprobs=rng.randrange(4), echo=rng.random() < 0.5)
    return "/v1/completions", body


def comparable(answer):
    assert answer.status == 200, answer.body
    body = answer.json()
    usage = body.get("usage", {})
    if "cache_read_input_tokens" in usage:  # what was cached depends on the order
        usage["input_tokens"] += usage.pop("cache_read_input_tokens")

    def same(value):
        if isinstance(value, dict):
            return {name: same(one) for name, one in value.items() if name not in ("id", "created", "created_at", "prompt_tokens_details",
                                                                                   "input_tokens_details") and not name.endswith("_duration")}
        return [same(one) for one in value] if isinstance(value, list) else value

    return same(body)


def same_bytes(command):
    """100 requests in random order give the same bytes with 1, 8 and 64 at once.

    Other clients leave meanwhile; with and without the cache.
    """
    rng = random.Random(5)
    with serving(command, "--parallel", "8", "--queue", "1000") as cached, serving(command, "--parallel", "3", "--queue", "1000",
                                                                                  "--cache-size", "0") as plain:
        ids = cached.post("/tokenize", {"prompt": STORY * 60}).json()["tokens"]
        requests = [make_request(rng, ids) for _ in range(100)]
        want = [comparable(plain.post(path, body)) for path, body in requests]
        for s, together in ((cached, 1), (cached, 8), (cached, 64), (plain, 8)):
            order = list(range(100))
            rng.shuffle(order)
            lock = threading.Lock()
            wrong = []

            def work():
                while True:
                    with lock:
                        if not order:
                            return
                        index = order.pop()
                        leaves, whole = rng.random() < 0.3, rng.random() < 0.5
                    path, body = requests[index]
                    if leaves:  # another client requests a long text and disconnects
                        data = json.dumps({"prompt": STORY, "max_tokens": 4000, "ignore_eos": True, "stream": whole}).encode()
                        with s.connect() as c:
                            c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
                    got = comparable(s.post(path, body))
                    if got != want[index]:
                        wrong.append((index, requests[index], got, want[index]))

            threads = [threading.Thread(target=work) for _ in range(together)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert not wrong, (together, len(wrong), wrong[0])
        assert cached.metric("cached_prompt_tokens_total") > 0 and plain.metric("cached_prompt_tokens_total") == 0


def choose(command):
    """Choices are ranked by their log probability, which is that of an echoed prompt."""
    with serving(command) as s, serving(command, "--parallel", "1", "--cache-size", "0") as other:
        long = "Ben was in the park. Anna sat in the mill. " * 30
        for prompt in ("List: broom: crow, Emma: candle, key: hat.\nQ: Emma\nA:", "", "a", long + "\nQ: Where is Anna?\nA:"):
            choices = [" candle", " crow", " hat", " a longer one \u00e9", " candle"] + [f" {i}" for i in range(20)]
            got = s.post("/v1/choose", {"prompt": prompt, "choices": choices}).json()
            data = got["data"]
            assert got["object"] == "list" and sorted(d["index"] for d in data) == list(range(len(choices)))
            assert all(d["choice"] == choices[d["index"]] and d["object"] == "choice" for d in data)
            assert [(-d["logprob"], d["index"]) for d in data] == sorted((-d["logprob"], d["index"]) for d in data)
            assert abs(sum(d["probability"] for d in data) - 1) < 1e-6
            context = ([0] if prompt else []) + s.post("/tokenize", {"content": prompt}).json()["tokens"] or [0]
            total = len(context)
            for d in data[:6]:
                own = s.post("/tokenize", {"content": d["choice"]}).json()["tokens"]
                scores = s.post("/v1/completions", {"prompt": context + own, "max_tokens": 0, "echo": True, "logprobs": 0}).json()["choices"][0]["logprobs"]
                want = math.fsum(scores["token_logprobs"][len(context):])
                assert abs(d["logprob"] - want) < 1e-6 and d["tokens"] == len(own), (d, want)
                assert abs(d["perplexity"] - math.exp(-want / len(own))) < 1e-6 * d["perplexity"]
            for choice in choices:
                total += len(s.post("/tokenize", {"content": choice}).json()["tokens"])
            assert got["usage"]["prompt_tokens"] == total
            for again in (s, other):
                assert again.post("/choose", {"input": [prompt], "choices": choices}).json()["data"] == data
        assert data[0]["choice"] is not None and s.post("/v1/choose", {"prompt": [458, 476], "choices": [" a"]}).json()["data"][0]["probability"] == 1
        before = s.metric("step_tokens_total")
        assert len(s.post("/v1/choose", {"prompt": long, "choices": [f" {i}" for i in range(100)]}).json()["data"]) == 100
        shared = len(s.post("/tokenize", {"content": long}).json()["tokens"])
        assert s.metric("step_tokens_total") - before < shared + 100 * 5  # the prompt is read once
        for body, param in (({"choices": ["a"]}, "prompt"), ({"prompt": "a"}, "choices"), ({"prompt": "a", "choices": []}, "choices"),
                            ({"prompt": "a", "choices": [5]}, "choices"), ({"prompt": "a", "choices": [""]}, "choices"),
                            ({"prompt": ["a", "b"], "choices": ["a"]}, "prompt"), ({"prompt": "a", "choices": ["a"] * 257}, "choices"),
                            ({"prompt": "a", "choices": ["a"], "session": "x"}, "session"),
                            ({"prompt": "a", "choices": ["a"], "stream": True}, "stream")):
            answer = s.post("/v1/choose", body)
            assert answer.status == 400 and answer.json()["error"]["param"] == param, (body, answer.body)


def llama(command):
    """What clients of llama.cpp's server ask; /apply-template gives the prompt of a chat."""
    with serving(command, "--parallel", "3") as s:
        tools = [{"type": "function", "function": {"name": "now"}}]
        for more in ({}, {"reasoning_effort": "low"}, {"tools": tools}, {"tools": tools, "tool_choice": "none"}):
            body = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "A"},
                                 {"role": "user", "content": "The \u00e9t\u00e9 "}], "temperature": 0, "max_tokens": 3, "ignore_eos": True, **more}
            prompt = s.post("/apply-template", body).json()["prompt"]
            assert prompt.startswith("System: Be brief.") and ("<tools>" in prompt) == (list(more) == ["tools"]), prompt
            chat = s.post("/v1/chat/completions", body).json()["usage"]
            text = s.post("/v1/completions", {"prompt": prompt, "max_tokens": 1}).json()["usage"]
            assert chat["prompt_tokens"] == text["prompt_tokens"], (prompt, chat, text)
        assert s.post("/apply-template", {"messages": body["messages"][:2]}).json() == {"prompt": "System: Be brief.\n\nUser: Hi\n\nAssistant:"}
        started = {"messages": body["messages"][:2] + [{"role": "assistant", "content": "The"}]}
        assert s.post("/apply-template", started).json()["prompt"].endswith("Assistant: The")
        assert s.post("/apply-template", {"messages": []}).json()["error"]["param"] == "messages"
        props = s.get("/props").json()
        assert props["total_slots"] == 3 and props["default_generation_settings"]["params"]["temperature"] == 1 and props["eos_token"] == EOS
        assert "/" not in props["model_path"]
        slots = s.get("/slots").json()
        assert [slot["id"] for slot in slots] == [0, 1, 2] and not any(slot["is_processing"] for slot in slots)


def metrics(command):
    with serving(command) as s:
        s.post("/v1/completions", {"prompt": STORY, "max_tokens": 5, "ignore_eos": True})
        assert s.metric("generated_tokens_total") == 5 and s.metric("prompt_tokens_total") == 7
        body = s.get("/metrics").body.decode()
        assert 'rwkv7_requests_total{endpoint="/completions",status="200"} 1' in body and "rwkv7_token_seconds_bucket" in body
        tag = s.get("/openapi.json").headers["etag"]
        assert s.get("/openapi.json", headers={"If-None-Match": tag}).status == 304
        assert 'endpoint="/openapi.json",status="304"} 1' in s.get("/metrics").body.decode()
        for line in body.splitlines():
            assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0, line
    with serving(command, "--no-metrics") as s:
        assert s.get("/metrics").status == 404


if __name__ == "__main__":
    chosen = os.environ.get("CASES")
    cases = [text, streams, scores, tokens, stops, fields, chats, constraints, same_bytes, choose, llama, metrics]
    main([c for c in cases if not chosen or c.__name__ in chosen.split(",")])
