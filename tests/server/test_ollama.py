"""test_ollama.py - Ollama's API: the shape of answers, streams and errors."""
import datetime
import json
import re

from server import TOOLS, main, serving, thinking

USER = [{"role": "user", "content": "Where is the key?"}]
OPTIONS = {"seed": 3, "temperature": 0.7, "num_predict": 30}
SETTINGS = {"seed": 3, "temperature": 0.7, "max_tokens": 30}
COLOURS = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"], "additionalProperties": False}
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def ask(s, path, body, status=200):
    answer = s.post(path, {"stream": False, **body, "options": {**OPTIONS, **body.get("options", {})}})
    assert answer.status == status, answer.body
    return answer.json()


def chat(s, body, path="/v1/chat/completions"):
    answer = s.post(path, {**SETTINGS, **body})
    assert answer.status == 200, answer.body
    return answer.json()


def check_time(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", text), text
    datetime.datetime.fromisoformat(text[:26])


def check_end(got, usage, length):
    check_time(got["created_at"])
    assert got["model"] == "rwkv7-demo" and got["done"] is True and got["done_reason"] == ("length" if length else "stop")
    assert got["prompt_eval_count"] == usage["prompt_tokens"] and got["eval_count"] == usage["completion_tokens"]
    for name in DURATIONS:
        assert isinstance(got[name], int) and got[name] >= 0, got
    assert got["total_duration"] >= got["prompt_eval_duration"] + got["eval_duration"] > 0


def same_text(command):
    """Equal content and options give the text of /v1/chat/completions and /v1/completions."""
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello.", "thinking": "hm"}, *USER]
    with thinking(command) as (s, thoughts):
        effort = {"messages": thoughts["messages"], "think": "high", "logit_bias": thoughts["logit_bias"],
                  "options": {"seed": thoughts["seed"], "temperature": thoughts["temperature"], "num_predict": thoughts["max_tokens"]}}
        for own, other in (({"messages": USER, "keep_alive": "5m", "tools": []}, {"messages": USER}), ({"messages": said}, {"messages": said}),
                           ({"messages": USER, "options": {"top_k": 5, "top_p": 0.5, "min_p": 0.1, "frequency_penalty": 1, "presence_penalty": 1,
                                                           "stop": ["e"], "num_ctx": 4096, "repeat_penalty": 1, "mirostat": 0}},
                            {"messages": USER, "top_k": 5, "top_p": 0.5, "min_p": 0.1, "frequency_penalty": 1, "presence_penalty": 1, "stop": "e"}),
                           ({"messages": USER, "options": {"num_predict": -1, "stop": ["e"]}}, {"messages": USER, "max_tokens": 4096, "stop": "e"}),
                           ({"messages": USER, "max_tokens": 5, "options": {"num_predict": None}}, {"messages": USER, "max_tokens": 5}),
                           ({"messages": USER, "format": "json"}, {"messages": USER, "response_format": {"type": "json_object"}}),
                           ({"messages": USER, "format": COLOURS},
                            {"messages": USER, "response_format": {"type": "json_schema", "json_schema": {"schema": COLOURS}}}),
                           ({"messages": USER, "format": ""}, {"messages": USER}), ({"messages": USER, "think": None}, {"messages": USER}),
                           ({"messages": USER, "think": False}, {"messages": USER, "chat_template_kwargs": {"enable_thinking": False}}),
                           ({"messages": USER, "think": True}, {"messages": USER, "chat_template_kwargs": {"enable_thinking": True}}),
                           (effort, {**thoughts, "reasoning_effort": "high"})):
            got, want = ask(s, "/api/chat", own), chat(s, other)["choices"][0]
            message = {"role": "assistant", "content": want["message"]["content"]}
            if want["message"].get("reasoning_content"):
                message["thinking"] = want["message"]["reasoning_content"]
            assert got["message"] == message, (got, want)
            check_end(got, chat(s, other)["usage"], want["finish_reason"] == "length")
            if own["messages"] is said:
                continue
            own = {**own, "prompt": own["messages"][0]["content"]}
            del own["messages"]
            again = ask(s, "/api/generate", own)
            assert again["context"][0] == 0
            assert again["response"] == message["content"] and again.get("thinking", "") == message.get("thinking", ""), (again, message)
            check_end(again, chat(s, other)["usage"], want["finish_reason"] == "length")
        got = ask(s, "/api/generate", {"prompt": "Hi", "system": "Be brief."})
        want = chat(s, {"messages": [said[0], {"role": "user", "content": "Hi"}]})
        assert got["response"] == want["choices"][0]["message"]["content"]
        for more, other in (({}, {}), ({"format": "json"}, {"response_format": {"type": "json_object"}})):
            got = ask(s, "/api/generate", {"prompt": "Once upon a time", "raw": True, **more})
            want = chat(s, {"prompt": "Once upon a time", **other}, "/v1/completions")
            assert got["response"] == want["choices"][0]["text"]
            check_end(got, want["usage"], want["choices"][0]["finish_reason"] == "length")


def streams(command):
    with thinking(command) as (s, thoughts):
        effort = {"messages": thoughts["messages"], "think": "high", "logit_bias": thoughts["logit_bias"],
                  "options": {"seed": thoughts["seed"], "temperature": thoughts["temperature"], "num_predict": thoughts["max_tokens"]}}
        for path, body in (("/api/chat", {"messages": USER}), ("/api/chat", {"messages": USER, "options": {"stop": ["e"]}}), ("/api/chat", effort),
                           ("/api/chat", {"messages": USER, "logit_bias": {"0": 100}}), ("/api/generate", {"prompt": "Hi"}),
                           ("/api/generate", {"prompt": "Hi", "raw": True})):
            body = {**body, "options": {**OPTIONS, **body.get("options", {})}}
            whole = ask(s, path, body)
            answer = s.post(path, body)  # a stream by default
            assert answer.headers["content-type"] == "application/x-ndjson" and answer.whole
            assert s.post(path, {**body, "stream": True}).lines()[-1]["done"]
            lines = answer.lines()
            assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
            for line in lines:
                check_time(line["created_at"])
                assert line["model"] == "rwkv7-demo"
                assert "message" not in line or line["message"]["role"] == "assistant"
            def texts(x):
                own = x["message"] if path == "/api/chat" else x
                return own.get("thinking", ""), own["content" if path == "/api/chat" else "response"]

            for i in range(2):
                assert "".join(texts(x)[i] for x in lines) == texts(whole)[i], (lines, whole)
            members = {"model", "created_at", "done", "message" if path == "/api/chat" else "response"}
            for line in lines[:-1]:
                assert set(line) - {"thinking"} == members and any(texts(line)), line
            last = lines[-1]
            if path == "/api/generate" and "raw" not in body:
                assert last.pop("context") == whole["context"]
            assert texts(last) == ("", "") and set(last) == members | {"done_reason", "prompt_eval_count", "eval_count", *DURATIONS}
            for name in ("done_reason", "prompt_eval_count", "eval_count"):
                assert last[name] == whole[name]


def context(command):
    """An answer with the context of earlier ones is that of /api/chat with the same messages."""
    with serving(command) as s:
        for more in ({}, {"think": True}, {"regex": " x \\n"}):
            for stream in (False, True):
                messages, sent = [{"role": "system", "content": "Be brief."}], {"system": "Be brief."}
                for question in ("Hi", "Where\nis the key?", "And the hat?"):
                    messages.append({"role": "user", "content": question})
                    want = ask(s, "/api/chat", {"messages": messages, **more})
                    body = {"prompt": question, **sent, **more, "options": OPTIONS}
                    lines = s.post("/api/generate", {**body, "stream": stream}).lines() if stream else [ask(s, "/api/generate", body)]
                    text = "".join(line["response"] for line in lines)
                    assert text == want["message"]["content"] and lines[-1]["prompt_eval_count"] == want["prompt_eval_count"], (text, want)
                    messages.append({"role": "assistant", "content": text})
                    sent = {"context": lines[-1]["context"]}
        # the tokens that the model has read and written, without the opening of a thought
        ids = s.post("/tokenize", {"prompt": "System: Be brief.\n\nUser: Hi\n\nAssistant:"}).json()["tokens"]
        got = ask(s, "/api/generate", {"prompt": "Hi", "system": "Be brief."})
        assert got["context"][:1] == [0] and s.post("/detokenize", {"tokens": got["context"][1:]}).json()["prompt"] == s.post(
            "/detokenize", {"tokens": ids}).json()["prompt"] + " " * bool(got["response"]) + got["response"]
        assert "context" not in ask(s, "/api/generate", {"prompt": "Hi", "raw": True})


def tools(command):
    """Calls of tools are those of /v1/chat/completions, as are prompts with earlier calls."""
    said = USER + [{"role": "assistant", "content": "Wait.", "tool_calls": [{"function": {"name": "zone", "arguments": {"zone": "utc"}}}]},
                   {"role": "tool", "tool_name": "zone", "content": "done"}]
    chats = USER + [{"role": "assistant", "content": "Wait.", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "zone", "arguments": '{"zone":"utc"}'}}]}, {"role": "tool", "tool_call_id": "1", "content": "done"}]
    with serving(command) as s:
        for seed in range(6):
            for more in ({}, {"tool_choice": "required"}):
                body = {"messages": said, "tools": TOOLS, **more, "options": {"seed": seed, "temperature": 2, "num_predict": 80}}
                got = ask(s, "/api/chat", body)
                want = chat(s, {"messages": chats, "tools": TOOLS, **more, "seed": seed, "temperature": 2, "max_tokens": 80})["choices"][0]
                wanted = []
                for call in want["message"].get("tool_calls", []):
                    try:
                        wanted.append((call["function"]["name"], json.loads(call["function"]["arguments"])))
                    except ValueError:  # truncated
                        assert want["finish_reason"] == "length"
                calls = got["message"].get("tool_calls", [])
                assert [(c["function"]["name"], c["function"]["arguments"]) for c in calls] == wanted, (calls, want)
                assert [c["function"]["index"] for c in calls] == list(range(len(calls))) and got["message"]["content"] == (want["message"]["content"] or "")
                lines = s.post("/api/chat", body).lines()
                pieces = [c for line in lines for c in line["message"].get("tool_calls", [])]
                assert [c["function"] for c in pieces] == [c["function"] for c in calls]
                assert "".join(line["message"]["content"] for line in lines) == got["message"]["content"]


def shapes(command):
    with serving(command, "--name", "mine") as s:
        model = s.get("/api/tags").json()["models"]
        assert len(model) == 1 and model[0]["name"] == model[0]["model"] == "mine" and model[0]["size"] > 0 and model[0]["digest"]
        check_time(model[0]["modified_at"])
        details = model[0]["details"]
        assert details["family"] == "rwkv7" and details["families"] == ["rwkv7"] and re.fullmatch(r"[\d.]+[KMB]?", details["parameter_size"]), details
        running = s.get("/api/ps").json()["models"]
        assert running[0]["name"] == "mine" and running[0]["size_vram"] == 0 and running[0]["details"] == details
        check_time(running[0]["expires_at"])
        shown = s.post("/api/show", {"model": "mine"}).json()
        assert shown["details"] == details and shown["capabilities"] == ["completion", "tools", "thinking"] and shown["model_info"]["general.architecture"] == "rwkv7"
        assert shown["model_info"]["general.parameter_count"] > 100000
        version = [int(x) for x in s.get("/api/version").json()["version"].split(".")]
        assert version >= [0, 6, 4]
        for path, name, empty in (("/api/generate", "response", {}), ("/api/chat", "message", {"messages": []})):
            for body, reason in ((empty, "load"), ({**empty, "keep_alive": 0}, "unload"), ({**empty, "keep_alive": "0"}, "unload")):
                got = s.post(path, {"model": "mine", **body}).json()
                assert got["done"] is True and got["done_reason"] == reason and name in got and set(got) == {"model", "created_at", name, "done", "done_reason"}


def vectors(command):
    """The vectors of /v1/embeddings in both forms."""
    texts = ["Dora was in the mill.", "x" * 3000, "Dora"]
    with serving(command, "--name", "mine", "--max-prompt", "5000") as s:
        want = s.post("/v1/embeddings", {"input": texts}).json()
        wanted = [one["embedding"] for one in want["data"]]
        got = s.post("/api/embed", {"model": "mine", "input": texts, "truncate": True, "keep_alive": "5m", "options": {"num_ctx": 512}}).json()
        assert set(got) == {"model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"}
        assert got["embeddings"] == wanted and got["model"] == "mine" and got["prompt_eval_count"] == want["usage"]["prompt_tokens"]
        assert got["total_duration"] >= got["load_duration"] >= 0
        assert s.post("/api/embed", {"input": texts[0], "encoding_format": "base64", "dimensions": len(wanted[0])}).json()["embeddings"] == wanted[:1]
        assert s.post("/api/embeddings", {"model": "mine", "prompt": texts[2]}).json() == {"embedding": wanted[2]}
        for body in ({}, {"input": 5}, {"input": []}, {"input": "a b" * 3000}, {"prompt": "a"}):
            error(s.post("/api/embed", body), 400, "input")
        error(s.post("/api/embed", {"input": "a", "dimensions": 5}), 400, "dimensions")
        for body in ({}, {"prompt": 5}, {"prompt": ["a"]}, {"prompt": "a b" * 3000}, {"input": "a"}):
            error(s.post("/api/embeddings", body), 400, "prompt")


def error(answer, status, named=""):
    assert answer.status == status, answer.body
    body = answer.json()
    assert set(body) == {"error"} and (body["error"].startswith(named + ":") or body["error"].startswith(named + " ") or not named), body


def errors(command):
    """Every error is {"error": "text"}, also one that is found before the request is read."""
    with serving(command, "--max-tokens", "100", "--max-prompt", "1000", "--max-body", "1") as s:
        for body, named in (
                ({"format": "xml"}, "format"), ({"format": 5}, "format"), ({"format": {"properties": {"a": {"uniqueItems": True}}}}, "format"),
                ({"think": 5}, "think"), ({"think": "much"}, "think"), ({"options": []}, "options"), ({"options": {"temperature": "x"}}, "temperature"),
                ({"options": {"num_predict": -3}}, "num_predict"), ({"options": {"num_predict": 0}}, "num_predict"),
                ({"options": {"num_predict": 101}}, "num_predict"), ({"options": {"repeat_penalty": 1.1}}, "repeat_penalty"),
                ({"options": {"mirostat": 2}}, "mirostat"), ({"options": {"stop": [5]}}, "stop"), ({"images": ["x"]}, "images"), ({"stream": 1}, "stream"),
                ({"n": 2}, "n")):
            error(s.post("/api/generate", {"prompt": "Hi", **body}), 400, named)
            error(s.post("/api/chat", {"messages": USER, **body}), 400, named)
        for body, named in (({"prompt": 5}, "prompt"), ({"prompt": "a", "system": 5}, "system"), ({"prompt": "a", "raw": 1}, "raw"),
                            ({"prompt": "a", "template": "x"}, "template"), ({"prompt": "a", "suffix": "x"}, "suffix"), ({"prompt": "a b" * 3000}, "prompt"),
                            ({"prompt": "a b" * 3000, "raw": True}, "prompt"), ({"prompt": "a", "raw": True, "options": {"num_predict": 101}}, "num_predict"),
                            ({"prompt": "a", "raw": True, "n": 2}, "n"), ({"prompt": "a", "tools": TOOLS}, "tools"),
                            ({"prompt": "a", "context": "x"}, "context"), ({"prompt": "a", "context": [-1]}, "context"), ({"prompt": "a", "context": [800]}, "context"),
                            ({"prompt": "a", "context": [458] * 2000}, "prompt")):
            error(s.post("/api/generate", body), 400, named)
        for body, named in (({"messages": 5}, "messages"), ({"messages": [5]}, "messages[0]"), ({"messages": USER + [{"role": "x"}]}, "messages[1]"),
                            ({"messages": [{"role": "user", "content": "x", "images": ["x"]}]}, "images"), ({"messages": USER, "logprobs": True}, "logprobs")):
            error(s.post("/api/chat", body), 400, named)
        for path in ("/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/api/show"):
            error(s.post(path, b"{"), 400)
            error(s.get(path), 405)
            error(s.post(path, b"x" * 1100000), 413)
        error(s.post("/api/pull", {"model": "x"}), 404)
        error(s.get("/api"), 404)
    with serving(command, "--api-key", "right", "--strict-model") as s:
        error(s.get("/api/tags"), 401)
        error(s.post("/api/chat", {"messages": USER}), 401)
        error(s.post("/api/chat", {"messages": USER, "model": "other"}, headers={"Authorization": "Bearer right"}), 404)
    with serving(command, "--grace", "0", "--max-tokens", "1000000") as s:  # an error in a stream
        got = s.cut_stream("/api/chat", {"messages": USER, "ignore_eos": True}, b'"done":false')
        assert got.endswith(b'{"error":"the server is shutting down"}\n\r\n0\r\n\r\n') and b'"done":true' not in got, got[-300:]


if __name__ == "__main__":
    main([same_text, streams, context, tools, shapes, vectors, errors])
