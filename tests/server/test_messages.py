"""test_messages.py - Anthropic's Messages API: the shape of answers, streams and errors."""
import json
import threading

from server import TOOLS, main, serving, thinking

USER = [{"role": "user", "content": "Where is the key?"}]
SETTINGS = {"max_tokens": 30, "seed": 3, "temperature": 0.7}


def ask(s, body, status=200, **more):
    answer = s.post("/v1/messages", {**SETTINGS, **body}, **more)
    assert answer.status == status, answer.body
    return answer.json()


def chat(s, body):
    answer = s.post("/v1/chat/completions", {**SETTINGS, **body})
    assert answer.status == 200, answer.body
    return answer.json()


def same_text(command):
    """Equal content and options give the text of /v1/chat/completions."""
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, *USER]
    blocks = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]},
              {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "redacted_thinking", "data": "x"},
                                                {"type": "text", "text": "Hello.", "citations": None}]},
              {"role": "user", "content": [{"type": "text", "text": "Where is", "cache_control": {"type": "ephemeral"}},
                                           {"type": "text", "text": " the key?"}]}]
    system = [{"role": "system", "content": "Be brief."}]
    with thinking(command) as (s, thoughts):
        for own, other in (({"messages": USER}, {"messages": USER}), ({"messages": said}, {"messages": said}),
                           ({"messages": blocks}, {"messages": said}),
                           ({"messages": USER, "system": "Be brief."}, {"messages": system + USER}),
                           ({"messages": USER, "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
                            {"messages": system + USER}),
                           ({"messages": USER, "system": None, "tools": [], "metadata": {"user_id": "a"}}, {"messages": USER}),
                           ({"messages": USER + [{"role": "assistant", "content": "The"}]}, {"messages": USER + [{"role": "assistant", "content": "The"}]}),
                           ({"messages": USER, "stop_sequences": ["e"]}, {"messages": USER, "stop": "e"}),
                           ({"messages": USER, "top_k": 5, "top_p": 0.5, "min_p": 0.1, "frequency_penalty": 1},
                            {"messages": USER, "top_k": 5, "top_p": 0.5, "min_p": 0.1, "frequency_penalty": 1}),
                           ({"messages": USER, "thinking": {"type": "enabled", "budget_tokens": 1024}},
                            {"messages": USER, "chat_template_kwargs": {"enable_thinking": True}}),
                           ({**thoughts, "output_config": {"effort": "high"}}, {**thoughts, "reasoning_effort": "high"}),
                           ({"messages": USER, "thinking": {"type": "disabled"}}, {"messages": USER, "chat_template_kwargs": {"enable_thinking": False}}),
                           ({"messages": USER, "output_config": {"effort": "low"}}, {"messages": USER, "reasoning_effort": "low"}),
                           ({"messages": USER, "output_config": {"format": {"type": "json_schema", "schema": {"enum": ["red", "green"]}}}},
                            {"messages": USER, "response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": ["red", "green"]}}}})):
            got, want = ask(s, own), chat(s, other)
            message = want["choices"][0]["message"]
            texts = {b["type"]: b[b["type"]] for b in got["content"]}
            assert texts.get("text", "") == message["content"] and texts.get("thinking", "") == message.get("reasoning_content", ""), (got, message)
            assert [b["type"] for b in got["content"]] in (["text"], ["thinking"], ["thinking", "text"])
            usage = got["usage"]
            assert usage["input_tokens"] + usage["cache_read_input_tokens"] == want["usage"]["prompt_tokens"]
            assert usage["output_tokens"] == want["usage"]["completion_tokens"]
            counted = s.post("/v1/messages/count_tokens", {**own, "model": "x"})
            assert counted.json() == {"input_tokens": want["usage"]["prompt_tokens"]}, counted.body


def shape(command):
    with serving(command) as s:
        got = ask(s, {"messages": USER, "model": "claude"})
        assert got["id"].startswith("msg_") and got["type"] == "message" and got["role"] == "assistant" and got["model"] == "rwkv7-demo"
        assert got["stop_reason"] == "max_tokens" and got["stop_sequence"] is None and set(got) == {
            "id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"}
        text = got["content"][0]["text"]
        got = ask(s, {"messages": USER, "stop_sequences": ["never in it", text[5:8]]})
        assert got["stop_reason"] == "stop_sequence" and got["stop_sequence"] == text[5:8] and got["content"][0]["text"] == text[:text.index(text[5:8])]
        got = ask(s, {"messages": USER, "stop_sequences": [text[:2]]})  # an empty text is a block, too
        assert got["content"] == [{"type": "text", "text": ""}]
        end = ask(s, {"messages": USER, "logit_bias": {"0": 100}})
        assert end["stop_reason"] == "end_turn"
        assert s.post("/messages", {"messages": USER, "max_tokens": 2}).status == 200
        # the protocol requires a limit; clients cannot know ours
        assert ask(s, {"messages": USER, "max_tokens": 128000, "stop_sequences": [text[:2]]})["stop_reason"] == "stop_sequence"
        assert s.post("/v1/messages", {"messages": USER, "stop_sequences": [text[:2]], "seed": 3, "temperature": 0.7}).json()["content"] == got["content"]


def streams(command):
    with thinking(command) as (s, thoughts):
        for body in ({"messages": USER}, {"messages": USER, "thinking": {"type": "enabled", "budget_tokens": 2000}},
                     {"messages": USER, "stop_sequences": ["e"]}, {"messages": USER, "logit_bias": {"0": 100}},
                     {**thoughts, "output_config": {"effort": "high"}}):
            whole = ask(s, body)
            answer = s.post("/v1/messages", {**SETTINGS, **body, "stream": True})
            assert answer.headers["content-type"] == "text/event-stream" and answer.whole
            events = answer.typed_events()
            start = events[0]["message"]
            assert events[0]["type"] == "message_start" and start["content"] == [] and start["stop_reason"] is None and start["usage"]["output_tokens"] <= 1
            assert set(start) == set(whole) and start["role"] == "assistant" and start["id"].startswith("msg_")
            assert [e["type"] for e in events[-2:]] == ["message_delta", "message_stop"] and events[2] == {"type": "ping"}
            delta = events[-2]
            assert delta["delta"] == {name: whole[name] for name in ("stop_reason", "stop_sequence")}
            assert delta["usage"]["output_tokens"] == whole["usage"]["output_tokens"]
            content, opened = [], None
            for e in events[1:-2]:
                if e["type"] == "content_block_start":
                    assert opened is None and e["index"] == len(content)
                    opened = e["index"]
                    content.append(e["content_block"])
                elif e["type"] == "content_block_stop":
                    assert e["index"] == opened
                    opened = None
                elif e["type"] == "content_block_delta":
                    kind = content[-1]["type"]
                    assert e["index"] == opened and e["delta"]["type"] == kind + "_delta" and e["delta"][kind]
                    content[-1][kind] += e["delta"][kind]
                else:
                    assert e == {"type": "ping"}
            if "seed" in body:
                assert [b["type"] for b in content] == ["thinking", "text"], content
            assert opened is None and content == whole["content"], (content, whole)


def blocks(answer):
    """The content of a stream. Checks the order of its events."""
    content, opened = [], None
    for e in answer.typed_events():
        if e["type"] == "content_block_start":
            assert opened is None and e["index"] == len(content)
            opened = e["index"]
            content.append(e["content_block"])
            assert content[-1].get("input", {}) == {}
        elif e["type"] == "content_block_stop":
            assert e["index"] == opened
            opened = None
            if "json" in content[-1]:
                content[-1]["input"] = json.loads(content[-1].pop("json"))
        elif e["type"] == "content_block_delta" and e["delta"]["type"] == "input_json_delta":
            content[opened]["json"] = content[opened].get("json", "") + e["delta"]["partial_json"]
        elif e["type"] == "content_block_delta":
            kind = content[opened]["type"]
            content[opened][kind] += e["delta"][kind]
    assert opened is None
    return content


def tools(command):
    """Calls of tools are those of /v1/chat/completions, as are prompts with earlier calls."""
    own = [{"name": t["function"]["name"], "input_schema": t["function"]["parameters"]} for t in TOOLS]
    own[0]["description"] = "the zone"
    call = {"id": "toolu_1", "name": "zone", "input": {"zone": "utc"}}
    said = USER + [{"role": "assistant", "content": [{"type": "text", "text": "Wait."}, {"type": "tool_use", **call}]},
                   {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "done"}]},
                                                {"type": "text", "text": "And now?"}]}]
    chats = USER + [{"role": "assistant", "content": "Wait.", "tool_calls": [
        {"id": "toolu_1", "type": "function", "function": {"name": "zone", "arguments": "{\"zone\":\"utc\"}"}}]},
                    {"role": "tool", "tool_call_id": "toolu_1", "content": "done"}, {"role": "user", "content": "And now?"}]
    with serving(command) as s:
        for seed in range(4):
            for choice, other in ((None, None), ({"type": "auto"}, "auto"), ({"type": "any"}, "required"), ({"type": "none"}, "none"),
                                  ({"type": "tool", "name": "zone"}, {"type": "function", "function": {"name": "zone"}}),
                                  ({"type": "any", "disable_parallel_tool_use": True}, "required")):
                settings = {"seed": seed, "temperature": 2, "max_tokens": 60}
                single = {"parallel_tool_calls": False} if choice and "disable_parallel_tool_use" in choice else {}
                body = {**settings, "messages": said, "tools": own, **({"tool_choice": choice} if choice else {})}
                got = ask(s, body)
                want = chat(s, {**settings, "messages": chats, "tools": TOOLS, **single, **({"tool_choice": other} if other else {})})["choices"][0]
                calls = [b for b in got["content"] if b["type"] == "tool_use"]
                wanted = want["message"].get("tool_calls", [])
                assert len({b["id"] for b in calls}) == len(calls) and all(b["id"].startswith("toolu_") for b in calls)
                for b, w in zip(calls, wanted):
                    assert b["name"] == w["function"]["name"]
                    assert b is calls[-1] and want["finish_reason"] == "length" or b["input"] == json.loads(w["function"]["arguments"])
                assert len(calls) == len(wanted)
                assert "".join(b["text"] for b in got["content"] if b["type"] == "text") == (want["message"]["content"] or "")
                assert {"tool_calls": "tool_use", "stop": "end_turn", "length": "max_tokens"}[want["finish_reason"]] == got["stop_reason"]
                if want["finish_reason"] != "length":
                    pieces = blocks(s.post("/v1/messages", {**body, "stream": True}))
                    for b in pieces + got["content"]:
                        b.pop("id", None)
                    assert pieces == got["content"], (pieces, got)
                if choice and choice["type"] in ("any", "tool"):
                    assert calls and "text" not in {b["type"] for b in got["content"]}
        assert s.post("/v1/messages/count_tokens", {"messages": said, "tools": own}).json()["input_tokens"] > s.post(
            "/v1/messages/count_tokens", {"messages": said}).json()["input_tokens"]


def error(answer, status, kind):
    assert answer.status == status, answer.body
    body = answer.json()
    assert body["type"] == "error" and body["error"]["type"] == kind and body["error"]["message"], body
    assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"], (body, answer.headers)
    return body["error"]["message"]


def errors(command):
    """Every error has the form of this protocol, also one that is found before the request is read."""
    with serving(command, "--max-tokens", "100", "--max-prompt", "1000", "--max-body", "1") as s:
        for body, named in (
                ({}, "messages"), ({"messages": 5}, "messages"), ({"messages": []}, "messages"), ({"messages": [5]}, "messages[0]"),
                ({"messages": USER, "max_tokens": 0}, "max_tokens"), ({"messages": USER, "max_tokens": "5"}, "max_tokens"),
                ({"messages": USER, "temperature": -1}, "temperature"), ({"messages": USER, "stop_sequences": [5]}, "stop_sequences"),
                ({"messages": [{"role": "system", "content": "x"}]}, "messages[0]"), ({"messages": USER, "system": 5}, "system"),
                ({"messages": USER, "system": [{"type": "image"}]}, "system"), ({"messages": USER, "thinking": {"type": "much"}}, "thinking"),
                ({"messages": USER, "thinking": 5}, "thinking"), ({"messages": USER, "output_config": 5}, "output_config"),
                ({"messages": USER, "output_config": {"effort": "much"}}, "output_config.effort"),
                ({"messages": USER, "output_config": {"format": {"type": "xml"}}}, "output_config.format"),
                ({"messages": [{"role": "user", "content": 5}]}, "messages[0]"), ({"messages": USER + [{"role": "user"}]}, "messages[1]"),
                ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "messages[0]"),
                ({"messages": [{"role": "user", "content": [5]}]}, "messages[0]"), ({"messages": USER, "n": 2}, "n"),
                ({"messages": USER, "tool_choice": {"type": "some"}}, "tool_choice"), ({"messages": USER, "logprobs": True}, "logprobs"),
                ({"messages": [{"role": "user", "content": "a b" * 3000}]}, "messages"), ({"messages": USER, "stream": 1}, "stream"),
                ({"messages": USER, "tools": [5]}, "tools[0]"),
                ({"messages": USER, "tools": [{"name": "f", "input_schema": {"properties": {"a": {"uniqueItems": True}}}}]}, "tools[0].input_schema"),
                ({"messages": USER, "tool_choice": {"type": "any"}}, "tool_choice"),
                ({"messages": USER + [{"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": 5}]}]}, "messages[1]"),
                ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "tool_result", "content": "x"}]}]}, "messages[0]"),
                ({"messages": [{"role": "user", "content": [{"type": "tool_use", "name": "f", "input": {}}]}]}, "messages[0]")):
            for path in ("/v1/messages", "/v1/messages/count_tokens"):
                message = error(s.post(path, body), 400, "invalid_request_error")
                assert message.startswith(named + ":") or message.startswith(named + " "), (body, message)
        error(s.post("/v1/messages", b"{"), 400, "invalid_request_error")
        error(s.get("/v1/messages"), 405, "invalid_request_error")
        error(s.post("/v1/messages/batches", {}), 404, "not_found_error")
        error(s.post("/v1/messages", b"x" * 1100000), 413, "request_too_large")
        error(s.post("/v1/messages", {}, headers={"Origin": "https://evil.example"}), 403, "permission_error")
        assert "error" not in s.get("/v1/messagesx").json().get("type", "")
    with serving(command, "--api-key", "right", "--strict-model") as s:
        error(s.post("/v1/messages", {}), 401, "authentication_error")
        error(s.post("/v1/messages", {"messages": USER, "model": "other"}, headers={"X-Api-Key": "right"}), 404, "not_found_error")
    with serving(command, "--parallel", "1", "--queue", "1") as s:
        body = json.dumps({"messages": USER, "max_tokens": 4000, "ignore_eos": True, "stream": True}).encode()
        with s.connect() as busy:
            busy.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert busy.recv(12) == b"HTTP/1.1 200"
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(s.post("/v1/messages", {"messages": USER, "max_tokens": 2}))) for _ in range(12)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        full = [a for a in answers if a.status == 429]
        assert full and {a.status for a in answers} <= {200, 429}
        error(full[0], 429, "rate_limit_error")
    with serving(command, "--grace", "0", "--max-tokens", "1000000") as s:  # an error in a stream
        body = {"messages": USER, "max_tokens": 1000000, "ignore_eos": True, "stream": True}
        got = s.cut_stream("/v1/messages", body, b"text_delta")
        assert b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",' in got and b"message_stop" not in got, got[-300:]


if __name__ == "__main__":
    main([same_text, shape, streams, tools, errors])
