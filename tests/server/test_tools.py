"""test_tools.py - tool calls in chats: their form, streams, thoughts, earlier calls and errors."""
import json

from server import main, serving, with_tokens

CHAT = "/v1/chat/completions"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "the weather of a city", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "zone", "parameters": {
        "type": "object", "properties": {"zone": {"enum": ["utc", "local"]}}, "required": ["zone"], "additionalProperties": False}}},
    {"type": "function", "function": {"name": "now"}},
]
USER = [{"role": "user", "content": "What is the weather?"}]


def check_call(call):
    """A call names a tool, and its arguments are valid."""
    assert set(call) == {"id", "type", "function"} and call["type"] == "function" and call["id"].startswith("call_"), call
    name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
    if name == "weather":
        assert list(arguments) == ["city", "days"] and len(arguments["city"]) <= 12 and 1 <= arguments["days"] <= 9, arguments
    elif name == "zone":
        assert arguments in ({"zone": "utc"}, {"zone": "local"}), arguments
    else:
        assert name == "now" and arguments == {}, call


def without_ids(choices):
    """The choices without the ids of their calls, which differ between requests."""
    text = json.loads(json.dumps(choices))
    for choice in text:
        for call in choice["message"].get("tool_calls", ()):
            del call["id"]
    return text


def joined(events):
    """The choices that the events of a stream add up to; checks the order of the events."""
    choices = {}
    for event in events:
        for one in event["choices"]:
            delta = one["delta"]
            if one["index"] not in choices:
                assert delta == {"role": "assistant", "content": None}, delta
                choices[one["index"]] = {"index": one["index"], "message": {"role": "assistant", "content": None}, "finish_reason": None}
                continue
            choice = choices[one["index"]]
            message = choice["message"]
            assert choice["finish_reason"] is None and len(delta) <= 2, event
            for name in ("content", "reasoning_content"):
                if name in delta:
                    assert "tool_calls" not in message and delta[name], event
                    message[name] = (message.get(name) or "") + delta[name]
            for call in delta.get("tool_calls", ()):
                calls = message.setdefault("tool_calls", [])
                if call["index"] == len(calls):
                    assert call["function"]["arguments"] == "" and call["function"]["name"], event
                    calls.append({name: call[name] for name in ("id", "type", "function")})
                else:
                    assert call["index"] == len(calls) - 1 and set(call) == {"index", "function"}, event
                    assert list(call["function"]) == ["arguments"] and call["function"]["arguments"], event
                    calls[-1]["function"]["arguments"] += call["function"]["arguments"]
            choice["finish_reason"] = one["finish_reason"]
    return [choices[i] for i in sorted(choices)]


def ask(s, **body):
    """The choices of a request; those of its stream are the same."""
    request = {"messages": USER, "tools": TOOLS, "max_tokens": 200, **body}
    answer = s.post(CHAT, request)
    assert answer.status == 200, (body, answer.body)
    choices = answer.json()["choices"]
    ids = [call["id"] for c in choices for call in c["message"].get("tool_calls", ())]
    assert len(set(ids)) == len(ids), ids
    events = joined(s.post(CHAT, {**request, "stream": True}).events())
    for choice in choices:
        del choice["logprobs"]
    for choice in events:
        if not choice["message"]["content"] and "tool_calls" not in choice["message"]:
            choice["message"]["content"] = ""
    assert without_ids(events) == without_ids(choices), (events, choices)
    return choices


def required(command):
    """The answer is at least one valid call, whatever the seed, the cache and the company."""
    with serving(command) as s, serving(command, "--cache-size", "0", "--parallel", "1") as other:
        names = set()
        for seed in range(6):
            body = {"tool_choice": "required", "temperature": 3, "seed": 10 * seed, "n": 3, "max_tokens": 400}
            choices = ask(s, **body)
            assert without_ids(choices) == without_ids(ask(other, **body))
            for choice in choices:
                message = choice["message"]
                assert message["content"] is None and message["tool_calls"], message
                if choice["finish_reason"] == "length":
                    continue
                assert choice["finish_reason"] == "tool_calls", choice
                for call in message["tool_calls"]:
                    check_call(call)
                    names.add(call["function"]["name"])
        assert names == {"weather", "zone", "now"}, names
        several = [c["message"]["tool_calls"] for c in ask(s, tool_choice="required", temperature=3, seed=1, n=4, ignore_eos=True, max_tokens=160)]
        assert max(map(len, several)) > 1, several
        for seed in range(3):
            for body in ({"tool_choice": "required", "parallel_tool_calls": False}, {"tool_choice": {"type": "function", "function": {"name": "zone"}}},
                         {"tool_choice": {"type": "function", "name": "zone"}}):
                choice, = ask(s, temperature=3, seed=seed, **body)
                assert len(choice["message"]["tool_calls"]) == 1 and choice["finish_reason"] == "tool_calls"
                check_call(choice["message"]["tool_calls"][0])
                if isinstance(body["tool_choice"], dict):
                    assert choice["message"]["tool_calls"][0]["function"]["name"] == "zone"
        truncated, = ask(s, tool_choice="required", temperature=0, max_tokens=40)
        assert truncated["finish_reason"] == "length", truncated
        scored = s.post(CHAT, {"messages": USER, "tools": TOOLS, "tool_choice": "required", "seed": 1, "max_tokens": 200, "logprobs": True})
        answer = scored.json()
        text = b"".join(bytes(t["bytes"]) for t in answer["choices"][0]["logprobs"]["content"]).decode()
        call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
        head = f'<tool_call>\n{{"name": "{call["name"]}", "arguments": {call["arguments"]}}}\n</tool_call>'
        assert text.lstrip().startswith(head), (text, head)


def free(command):
    """With "auto", text is free until a call begins; a call is valid. "none": there are no tools."""
    with serving(command) as s:
        def choices_of(**body):
            return ask(s, temperature=1.5, **body)

        prompt = s.post(CHAT, {"messages": USER, "tools": TOOLS, "max_tokens": 1}).json()["usage"]["prompt_tokens"]
        assert s.post(CHAT, {"messages": USER, "max_tokens": 1}).json()["usage"]["prompt_tokens"] < prompt
        told = s.post(CHAT, {"messages": USER, "tools": TOOLS, "tool_choice": "none", "seed": 5, "max_tokens": 20}).json()
        assert told["choices"] == s.post(CHAT, {"messages": USER, "seed": 5, "max_tokens": 20}).json()["choices"]
        # the tag may begin in the text of the client, cut anywhere; the model completes the call
        start = 'I look. <tool_call>\n{"name": "zone", "arguments": {"zone": "'
        for cut in range(9, len(start) + 1, 5):
            choice, = choices_of(messages=USER + [{"role": "assistant", "content": start[:cut]}], seed=cut,
                                 logit_bias={str(s.post("/tokenize", {"prompt": c}).json()["tokens"][0]): 60 for c in "<tool_call>"} if cut < 20 else {})
            if choice["finish_reason"] == "tool_calls":
                assert cut < 20 or choice["message"]["content"] is None, choice
                for call in choice["message"]["tool_calls"]:
                    check_call(call)
            assert choice["finish_reason"] == "tool_calls" or cut < 20, choice
        # without a call, the text is that of the same prompt without tools
        system = "You can call functions. Between <tools> and </tools>, each line describes one of them:\n<tools>\n" + "".join(
            json.dumps(tool) + "\n" for tool in TOOLS) + "</tools>\nTo call a function, answer with its name and its arguments in this form:\n" \
            '<tool_call>\n{"name": "NAME", "arguments": {"ARGUMENT": VALUE}}\n</tool_call>'
        for seed in range(4):
            choice, = choices_of(seed=seed, max_tokens=30, ignore_eos=True)
            body = {"messages": [{"role": "system", "content": system}] + USER, "temperature": 1.5, "seed": seed, "max_tokens": 30, "ignore_eos": True}
            same = s.post(CHAT, body).json()["choices"][0]
            assert "tool_calls" not in choice["message"] and choice["message"]["content"] == same["message"]["content"].rstrip(), (choice, same)


# tokens that cross the end of the tag, fit the grammar or do not; and the end of a thought
TOKENS = {790: "hm", 791: "<tool_call>\n{", 792: "ok <tool_call> x", 793: ">so <tool_call> ", 794: "</think>\n<tool_call>", 795: "</think>\nyes"}


def tokens(command):
    """What a token has beyond the tag obeys the grammar, or the token is not drawn."""
    with with_tokens(command, TOKENS) as s:
        def ask_for(ids, **body):
            return ask(s, logit_bias={str(i): 100 for i in ids}, temperature=0, **body)[0]

        choice = ask_for([791], parallel_tool_calls=False)
        assert choice["message"]["content"] is None and choice["finish_reason"] == "tool_calls", choice
        check_call(choice["message"]["tool_calls"][0])
        choice = ask_for([792], max_tokens=4)
        assert not (choice["message"]["content"] or "").startswith("ok") and "tool_calls" not in choice["message"], choice
        text = s.post(CHAT, {"messages": USER, "logit_bias": {"792": 100}, "temperature": 0, "max_tokens": 4}).json()
        assert "<tool_call> x" in text["choices"][0]["message"]["content"], text  # without tools it is text


def thoughts(command):
    """A thought may contain the tag; the call comes after it."""
    with with_tokens(command, TOKENS) as s:
        for choice_of in ("auto", "required"):
            for seed in range(40):
                body = {"tool_choice": choice_of, "reasoning_effort": "low", "seed": seed, "temperature": 3, "parallel_tool_calls": False,
                        "logit_bias": {"793": 60, "794": 62, "795": 50}, "max_tokens": 60}
                choice = s.post(CHAT, {"messages": USER, "tools": TOOLS, **body}).json()["choices"][0]
                message = choice["message"]
                if choice["finish_reason"] == "tool_calls" and "<tool_call>" in message.get("reasoning_content", ""):
                    break
            else:
                raise AssertionError(f"{choice_of}: no call after a thought")
            assert ask(s, **body)[0]["message"]["reasoning_content"] == message["reasoning_content"]
            check_call(message["tool_calls"][0])
            if choice_of == "required":
                assert message["content"] is None, message
        # an empty thought is closed by the template
        choice, = ask(s, tool_choice="required", reasoning_effort="none", seed=1, parallel_tool_calls=False)
        assert choice["finish_reason"] == "tool_calls" and "reasoning_content" not in choice["message"], choice


def history(command):
    """Earlier calls and results are in the prompt as the model saw and wrote them."""
    with serving(command) as s:
        calls = [{"id": "a", "type": "function", "function": {"name": "zone", "arguments": '{"zone": "utc"}'}},
                 {"id": "b", "type": "function", "function": {"name": "now", "arguments": ""}}]
        text = '<tool_call>\n{"name": "zone", "arguments": {"zone": "utc"}}\n</tool_call>\n' \
               '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
        results = "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
        settings = {"seed": 2, "max_tokens": 12, "temperature": 0.7}
        for content in (None, "I look."):
            want = s.post(CHAT, {**settings, "messages": USER + [{"role": "assistant", "content": f"{content}\n{text}" if content else text},
                                                                 {"role": "user", "content": results}]}).json()
            got = s.post(CHAT, {**settings, "messages": USER + [
                {"role": "assistant", "content": content, "tool_calls": calls}, {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "function", "name": "now", "content": [{"type": "text", "text": "2"}]}]}).json()
            assert got["choices"] == want["choices"] and got["usage"]["prompt_tokens"] == want["usage"]["prompt_tokens"]
        # the whole loop: the prompt of the second request begins with the text of the first
        first = s.post(CHAT, {"messages": USER, "tools": TOOLS, "tool_choice": "required", "seed": 4, "max_tokens": 200}).json()
        message = first["choices"][0]["message"]
        answers = [{"role": "tool", "tool_call_id": call["id"], "content": "18 C"} for call in message["tool_calls"]]
        second = s.post(CHAT, {"messages": USER + [message] + answers, "tools": TOOLS, "seed": 4, "max_tokens": 3}).json()
        assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"]
        assert second["usage"]["prompt_tokens_details"]["cached_tokens"] > 0


def errors(command):
    """An error names the field; a schema that is not supported, the JSON pointer too."""
    def tool(**function):
        return {"type": "function", "function": {"name": "f", **function}}

    unique = tool(parameters={"type": "object", "properties": {"tags": {"uniqueItems": True}}})
    with serving(command) as s:
        for body, param, message in (
                ({"tools": {}}, "tools", "tools: expected a list of tools"),
                ({"tools": [tool()] * 2}, "tools[1].function.name", "a name that no other tool has"),
                ({"tools": [tool(name="a b")]}, "tools[0].function.name", "letters, digits"),
                ({"tools": [TOOLS[0], unique]}, "tools[1].function.parameters", "#/properties/tags/uniqueItems: uniqueItems is not supported"),
                ({"tools": [{"type": "web_search"}]}, "tools[0].type", "'function'"),
                ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
                ({"tools": TOOLS, "tool_choice": "any"}, "tool_choice", "auto, none, required or a function"),
                ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice", "there is no tool 'g'"),
                ({"tools": TOOLS, "parallel_tool_calls": 1}, "parallel_tool_calls", "true or false"),
                ({"tools": TOOLS, "regex": "a"}, "tools", "a constrained answer cannot call tools"),
                ({"tools": TOOLS, "messages": USER + [{"role": "assistant", "content": "<tool_call>{"}]}, "messages", "cannot begin with the last message"),
                ({"messages": USER + [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}, "messages[1]", "results"),
                ({"messages": USER + [{"role": "assistant", "tool_calls": [{}]}]}, "messages[1]", "the name of a function"),
                ({"functions": [{"name": "f"}]}, "functions", "not supported")):
            answer = s.post(CHAT, {"messages": USER, "max_tokens": 1, **body})
            error = answer.json()["error"]
            assert answer.status == 400 and error["param"] == param and message in error["message"], (body, error)
            assert error["message"].startswith(param), error
        assert s.post(CHAT, {"messages": USER, "max_tokens": 1, "tools": TOOLS, "tool_choice": "none", "regex": "a"}).status == 200
        assert s.post(CHAT, {"messages": USER, "max_tokens": 1, "tools": [unique], "tool_choice": "none"}).status == 200


if __name__ == "__main__":
    main([required, free, tokens, thoughts, history, errors])
