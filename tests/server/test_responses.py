"""test_responses.py - OpenAI's Responses API: the shape of answers, streams and errors."""
import json

from server import TOOLS, main, serving, thinking

USER = [{"role": "user", "content": "Where is the key?"}]
SETTINGS = {"seed": 3, "temperature": 0.7}
COLOURS = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"], "additionalProperties": False}


def ask(s, body, status=200):
    answer = s.post("/v1/responses", {"max_output_tokens": 30, **SETTINGS, **body})
    assert answer.status == status, answer.body
    return answer.json()


def chat(s, body):
    answer = s.post("/v1/chat/completions", {"max_tokens": 30, **SETTINGS, **body})
    assert answer.status == 200, answer.body
    return answer.json()


def same_text(command):
    """Equal content and options give the text of /v1/chat/completions."""
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, *USER]
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}, {"type": "reasoning", "id": "rs_1", "summary": []},
             {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                 {"type": "output_text", "text": "Hello.", "annotations": []}]},
             {"role": "user", "content": [{"type": "input_text", "text": "Where is"}, {"type": "input_text", "text": " the key?"}]}]
    system = [{"role": "system", "content": "Be brief."}]
    with thinking(command) as (s, thoughts):
        effort = {**{k: v for k, v in thoughts.items() if k not in ("messages", "max_tokens")}, "input": thoughts["messages"],
                  "max_output_tokens": thoughts["max_tokens"], "reasoning": {"effort": "high", "summary": "auto"}}
        for own, other in (({"input": "Where is the key?"}, {"messages": USER}), ({"input": USER}, {"messages": USER}),
                           ({"input": said}, {"messages": said}), ({"input": items}, {"messages": said}),
                           ({"input": USER, "instructions": "Be brief."}, {"messages": system + USER}),
                           ({"input": [{"role": "developer", "content": "Be brief."}] + USER}, {"messages": system + USER}),
                           ({"input": USER, "text": {}, "tools": [], "instructions": None, "store": True, "metadata": {"a": "b"}, "truncation": "auto",
                             "include": ["reasoning.encrypted_content"], "previous_response_id": None, "background": False}, {"messages": USER}),
                           ({"input": USER, "stop": ["e"], "top_p": 0.5, "min_p": 0.1}, {"messages": USER, "stop": "e", "top_p": 0.5, "min_p": 0.1}),
                           (effort, {**thoughts, "reasoning_effort": "high"}), ({"input": USER, "reasoning": {"effort": None}}, {"messages": USER}),
                           ({"input": USER, "text": {"format": {"type": "text"}, "verbosity": "low"}}, {"messages": USER}),
                           ({"input": USER, "text": {"format": {"type": "json_schema", "name": "c", "schema": COLOURS, "strict": True}}},
                            {"messages": USER, "response_format": {"type": "json_schema", "json_schema": {"schema": COLOURS}}}),
                           ({"input": USER, "text": {"format": {"type": "json_object"}}}, {"messages": USER, "response_format": {"type": "json_object"}})):
            got, want = ask(s, own), chat(s, other)
            message = want["choices"][0]["message"]
            texts = {item["type"]: item["content"][0]["text"] for item in got["output"]}
            assert texts.get("message", "") == message["content"] and texts.get("reasoning", "") == message.get("reasoning_content", ""), (got, message)
            usage = got["usage"]
            assert usage["input_tokens"] == want["usage"]["prompt_tokens"] and usage["output_tokens"] == want["usage"]["completion_tokens"]
            assert usage["total_tokens"] == want["usage"]["total_tokens"]
            assert (usage["output_tokens_details"]["reasoning_tokens"] > 0) == ("reasoning" in texts), usage


def shape(command):
    with serving(command) as s:
        got = ask(s, {"input": "Where is the key?", "model": "gpt"})
        assert got["id"].startswith("resp_") and got["object"] == "response" and got["model"] == "rwkv7-demo" and got["error"] is None
        assert got["status"] == "incomplete" and got["incomplete_details"] == {"reason": "max_output_tokens"} and got["seed"] == 3
        assert got["temperature"] == 0.7 or abs(got["temperature"] - 0.7) < 1e-6
        item = got["output"][0]
        assert item["id"].startswith("msg_") and item["status"] == "incomplete" and item["role"] == "assistant" and item["type"] == "message"
        text = item["content"][0]["text"]
        assert item["content"] == [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        got = ask(s, {"input": "Where is the key?", "stop": text[3:5]})
        assert got["status"] == "completed" and got["incomplete_details"] is None and got["output"][0]["status"] == "completed"
        got = ask(s, {"input": "Where is the key?", "stop": text[:2]})  # an empty text is an item, too
        assert got["output"][0]["content"][0]["text"] == "" and len(got["output"]) == 1
        assert ask(s, {"input": "Hi", "temperature": 0})["temperature"] == 0
        got = ask(s, {"input": "Hi", "text": {"format": {"type": "json_schema", "name": "c", "schema": COLOURS}}, "max_output_tokens": 1000})
        assert json.loads(got["output"][0]["content"][0]["text"])["colour"] in ("red", "green"), got


def streams(command):
    with thinking(command) as (s, thoughts):
        effort = {**{k: v for k, v in thoughts.items() if k != "messages"}, "input": thoughts["messages"], "reasoning": {"effort": "high"},
                  "max_output_tokens": thoughts["max_tokens"]}
        for body, items in (({"input": "Hi"}, ["message"]), ({"input": "Hi", "stop": ["e"]}, ["message"]), ({"input": "Hi", "logit_bias": {"0": 100}}, ["message"]),
                            (effort, ["reasoning", "message"])):
            whole = ask(s, body)
            answer = s.post("/v1/responses", {"max_output_tokens": 30, **SETTINGS, **body, "stream": True})
            assert answer.headers["content-type"] == "text/event-stream" and answer.whole
            events = answer.typed_events()
            assert [e["sequence_number"] for e in events] == list(range(len(events)))
            kinds = [e["type"].removeprefix("response.") for e in events]
            assert kinds[:2] == ["created", "in_progress"] and kinds[-1] == whole["status"], kinds
            for e in events[:2]:
                assert e["response"]["status"] == "in_progress" and e["response"]["output"] == [] and e["response"]["usage"] is None
            at = 2
            output = []
            for index, kind in enumerate(items):
                name = "reasoning_text" if kind == "reasoning" else "output_text"
                assert kinds[at:at + 2] == ["output_item.added", "content_part.added"], kinds
                item, part = events[at]["item"], events[at + 1]["part"]
                assert item["status"] == "in_progress" and item["content"] == [] and part["text"] == "" and part["type"] == name
                text, begin = "", at
                at += 2
                while kinds[at] == name + ".delta":
                    assert events[at]["delta"]
                    text += events[at]["delta"]
                    at += 1
                assert kinds[at:at + 3] == [name + ".done", "content_part.done", "output_item.done"], kinds
                assert events[at]["text"] == events[at + 1]["part"]["text"] == text
                done = events[at + 2]["item"]
                assert done["type"] == kind and done["content"] == [{**part, "text": text}] and done["id"] == item["id"]
                output.append(done)
                for e in events[begin:at + 3]:
                    assert e["output_index"] == index and e.get("item_id", item["id"]) == item["id"] and e.get("content_index", 0) == 0
                at += 3
            assert at == len(events) - 1
            final = events[-1]["response"]
            assert final["output"] == output
            for item in output + whole["output"]:
                del item["id"]
            assert output == whole["output"] and set(final) == set(whole)
            for name in set(whole) - {"id", "created_at", "usage", "output"}:
                assert final[name] == whole[name], name
            assert final["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


def tools(command):
    """Calls of tools are those of /v1/chat/completions, as are prompts with earlier calls."""
    own = [{"type": "function", **t["function"]} for t in TOOLS]
    said = USER + [{"role": "assistant", "content": "Wait."}, {"type": "function_call", "call_id": "c1", "name": "zone", "arguments": '{"zone":"utc"}'},
                   {"type": "function_call", "call_id": "c2", "name": "now", "arguments": "{}"},
                   {"type": "function_call_output", "call_id": "c1", "output": "done"},
                   {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "12"}]}]
    calls = [{"id": "c1", "type": "function", "function": {"name": "zone", "arguments": '{"zone":"utc"}'}},
             {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{}"}}]
    chats = USER + [{"role": "assistant", "content": "Wait.", "tool_calls": calls}, {"role": "tool", "tool_call_id": "c1", "content": "done"},
                    {"role": "tool", "tool_call_id": "c2", "content": "12"}]
    with serving(command) as s:
        for seed in range(4):
            for more in ({}, {"tool_choice": "auto"}, {"tool_choice": "required"}, {"tool_choice": "none"}, {"tool_choice": {"type": "function", "name": "zone"}},
                         {"tool_choice": "required", "parallel_tool_calls": False}):
                settings = {"seed": seed, "temperature": 2, **more}
                body = {**settings, "input": said, "tools": own, "max_output_tokens": 60}
                got = ask(s, body)
                want = chat(s, {**settings, "messages": chats, "tools": TOOLS, "max_tokens": 60})["choices"][0]
                found = [item for item in got["output"] if item["type"] == "function_call"]
                assert [(i["name"], i["arguments"]) for i in found] == [
                    (c["function"]["name"], c["function"]["arguments"]) for c in want["message"].get("tool_calls", [])]
                assert all(i["id"].startswith("fc_") and i["call_id"].startswith("call_") for i in found)
                texts = [item["content"][0]["text"] for item in got["output"] if item["type"] == "message"]
                assert "".join(texts) == (want["message"]["content"] or "") and bool(texts) == bool(texts and texts[0] or not found)
                assert got["status"] == ("incomplete" if want["finish_reason"] == "length" else "completed")
                assert [t["name"] for t in got["tools"]] == ["zone", "now"] and got["tools"][0]["parameters"] == own[0]["parameters"]
                several = more.get("parallel_tool_calls", True) and not isinstance(more.get("tool_choice"), dict)
                assert got["tool_choice"] == more.get("tool_choice", "auto") and got["parallel_tool_calls"] == several
                events = s.post("/v1/responses", {**body, "stream": True}).typed_events()
                assert [e["sequence_number"] for e in events] == list(range(len(events)))
                output = []
                for e in events:
                    kind = e["type"].removeprefix("response.")
                    if kind == "output_item.added":
                        assert e["output_index"] == len(output)
                        output.append(dict(e["item"]))
                        assert e["item"]["status"] == "in_progress" and e["item"].get("arguments", "") == ""
                    elif kind == "function_call_arguments.delta":
                        assert e["item_id"] == output[-1]["id"] and e["output_index"] == len(output) - 1 and e["delta"]
                        output[-1]["arguments"] += e["delta"]
                    elif kind == "function_call_arguments.done":
                        assert e["arguments"] == output[-1]["arguments"] and e["name"] == output[-1]["name"]
                    elif kind == "output_item.done":
                        if e["item"]["type"] == "function_call":
                            assert e["item"] == {**output[-1], "status": e["item"]["status"]}
                        output[-1] = e["item"]
                assert output == events[-1]["response"]["output"]
                for item in output + got["output"]:
                    del item["id"]
                    item.pop("call_id", None)
                assert output == got["output"], (output, got["output"])


def errors(command):
    with serving(command, "--max-tokens", "100", "--max-prompt", "1000") as s:
        for body, param in (
                ({}, "input"), ({"input": 5}, "input"), ({"input": []}, "input"), ({"input": [5]}, "input[0]"), ({"messages": USER}, "input"),
                ({"input": [{"role": "tool", "content": "x"}]}, "input[0]"), ({"input": USER + [{"role": "user"}]}, "input[1]"),
                ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0]"),
                ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0]"),
                ({"input": USER + [{"type": "item_reference", "id": "msg_1"}]}, "input[1]"),
                ({"input": [{"type": "function_call", "name": "f"}]}, "input[0]"),
                ({"input": "a b" * 3000}, "input"), ({"input": "a", "max_output_tokens": 0}, "max_output_tokens"),
                ({"input": "a", "max_output_tokens": 101}, "max_output_tokens"), ({"input": "a", "instructions": 5}, "instructions"),
                ({"input": "a", "reasoning": 5}, "reasoning"), ({"input": "a", "reasoning": {"effort": "much"}}, "reasoning.effort"),
                ({"input": "a", "text": {"format": {"type": "xml"}}}, "text.format"), ({"input": "a", "text": 5}, "text"),
                ({"input": "a", "background": True}, "background"),
                ({"input": "a", "conversation": "c"}, "conversation"), ({"input": "a", "n": 2}, "n"), ({"input": "a", "temperature": "1"}, "temperature"),
                ({"input": "a", "top_logprobs": 2}, "top_logprobs"), ({"input": "a", "tools": [5]}, "tools[0]"), ({"input": "a", "tool_choice": "required"}, "tool_choice"),
                ({"input": "a", "tools": [{"type": "web_search"}]}, "tools[0].type")):
            error = ask(s, body, 400)["error"]
            assert error["param"] == param and error["type"] == "invalid_request_error", (body, error)
            assert error["message"].startswith(param + ":") or error["message"].startswith(param + " "), error
        assert s.get("/v1/responses").status == 405 and s.get("/v1/responses/resp_1").status == 405
    with serving(command, "--grace", "0", "--max-tokens", "1000000") as s:  # an error in a stream
        got = s.cut_stream("/v1/responses", {"input": "a", "ignore_eos": True, "stream": True}, b"output_text.delta")
        last = json.loads(got[got.rindex(b"event: error\ndata: ") + 19:].split(b"\n")[0])
        assert last["type"] == "error" and last["code"] == "shutting_down" and last["message"] == last["error"]["message"] and last["sequence_number"] > 2, last
        assert b"response.completed" not in got


if __name__ == "__main__":
    main([same_text, shape, streams, tools, errors])
