"""test_conversations.py - conversations that the server keeps, in every protocol: stored answers of /v1/responses, and sessions.

A kept conversation must give the answer of one request of /v1/chat/completions with the whole conversation.
"""
import tempfile

from server import TOOLS, main, serving
from test_states import Client, assistant, cached, evaluated, user

QUESTIONS = [user(q) for q in ("Where is Dora?", "Where is the lamp?", "Who has it?")]
SYSTEM = {"role": "system", "content": "Answer in one word."}
OWN_TOOLS = [{"type": "function", **t["function"]} for t in TOOLS]


class Speaker(Client):
    """Requests at temperature 0 in the form of each protocol."""

    def respond(self, *items, status=200, **more):
        body = {"input": list(items), "temperature": 0, "max_output_tokens": 40, **more}
        return self.post("/v1/responses", body, status=status)

    def whole(self, *messages, **more):
        return self.answer(*messages, cache_prompt=False, **more)["content"]

    def refused(self, path, body, status):
        return self.post(path, body, status=status)["error"]


def said(answer):
    return "".join(item["content"][0]["text"] for item in answer["output"] if item["type"] == "message")


def calls(answer):
    return [item for item in answer["output"] if item["type"] == "function_call"]


def stored_answers(command):
    """Later turns equal one chat with the whole history; every id stays valid."""
    first, second, third = QUESTIONS
    with serving(command, "--cache-size", "0") as s:
        c = Speaker(s)
        one = c.respond(first, instructions=SYSTEM["content"])
        assert one["store"] is True and one["previous_response_id"] is None
        answers = [said(one)]
        history = [SYSTEM, first, assistant(answers[0])]
        # with the same instructions, which are not read again, or without them
        for more in ({}, {"instructions": SYSTEM["content"]}):
            for question in (second, third, second):  # branches, in any order
                two = c.respond(question, previous_response_id=one["id"], **more)
                assert two["previous_response_id"] == one["id"] != two["id"]
                assert said(two) == c.whole(*history, question), (question, two)
                assert two["usage"]["input_tokens"] == c.chat(*history, question)["usage"]["prompt_tokens"]
                assert two["usage"]["input_tokens"] - two["usage"]["input_tokens_details"]["cached_tokens"] < 25, two["usage"]
        two = c.respond(second, previous_response_id=one["id"])
        history += [second, assistant(said(two))]
        assert said(c.respond(third, previous_response_id=two["id"])) == c.whole(*history, third)
        # a text as input, several messages, and messages of the assistant follow, too
        assert said(c.post("/v1/responses", {"input": third["content"], "temperature": 0, "max_output_tokens": 40, "previous_response_id": two["id"]})) == c.whole(
            *history, third)
        assert said(c.respond(third, assistant("Felix."), first, previous_response_id=two["id"])) == c.whole(*history, third, assistant("Felix."), first)
        # other instructions are added where the conversation is
        other = c.respond(third, previous_response_id=two["id"], instructions="Be kind.")
        assert other["usage"]["input_tokens"] > c.respond(third, previous_response_id=two["id"])["usage"]["input_tokens"]
        # a stream gives the same, and its id is as good
        events = s.post("/v1/responses", {"input": [second], "temperature": 0, "max_output_tokens": 40, "previous_response_id": one["id"], "stream": True}).typed_events()
        assert events[0]["response"]["previous_response_id"] == one["id"] and events[0]["response"]["store"] is True
        final = events[-1]["response"]
        assert said(final) == said(two)
        assert said(c.respond(third, previous_response_id=final["id"])) == c.whole(*history, third)
        # a truncated answer, and one that is constrained
        short = c.respond(first, max_output_tokens=1)
        assert short["status"] == "incomplete" and c.respond(second, previous_response_id=short["id"])["usage"]["input_tokens"] > short["usage"]["total_tokens"]
        chosen = c.respond(first, choices=["in the mill", "away"])
        assert said(c.respond(second, previous_response_id=chosen["id"])) == c.whole(first, assistant(said(chosen)), second)
        # an answer is a state: it can be read and copied, but not changed
        assert c.states()[one["id"]]["tokens"] == one["usage"]["total_tokens"], (c.states()[one["id"]], one["usage"])
        c.post(f"/v1/states/{one['id']}/fork", {"to": "copy"})
        assert c.answer(second, session="copy")["content"] == said(two) == c.answer(second, state=one["id"])["content"]
        c.post(f"/v1/states/{one['id']}/undo", {}, status=400)
        c.put(one["id"], c.get(one["id"]), status=400)
        assert c.refused("/v1/chat/completions", {"messages": [second], "session": one["id"]}, 400)["param"] == "session"


def repeated_answers(command):
    """Clients that send the whole conversation again find stored answers in the cache of prompts."""
    first, second, _ = QUESTIONS
    story = {"logit_bias": {"0": -100}, "max_output_tokens": 150, "stop": []}
    with serving(command) as s:
        c = Speaker(s)
        one = c.respond(first, **story)
        assert one["usage"]["output_tokens"] > 100, one
        two = c.respond(first, assistant(said(one)), second)
        plain = c.respond(first, assistant(said(one)), second, store=False)
        assert said(two) == said(plain)
        assert two["usage"]["input_tokens_details"]["cached_tokens"] > 100, two["usage"]


def forgotten_answers(command):
    """Ids of answers that are not stored, deleted or dropped."""
    first, second, _ = QUESTIONS
    with serving(command, "--cache-size", "0") as s:
        c = Speaker(s)
        one = c.respond(first)
        silent = c.respond(first, store=False)
        assert silent["store"] is False and c.states().keys() == {one["id"]}
        c.post("/v1/states", {"id": "named", "prompt": "a"})
        for unknown in (silent["id"], "resp_1", "named", "resp_" + "x" * 200, "a/b", "\u00e9"):
            error = c.respond(second, previous_response_id=unknown, status=404)["error"]
            assert (error["param"], error["code"], error["type"]) == ("previous_response_id", "previous_response_not_found", "invalid_request_error"), error
        for more in ({"session": "x"}, {"state": "named"}, {"session": "named", "fork": "y"}):
            assert c.respond(second, previous_response_id=one["id"], status=400, **more)["error"]["param"] == "previous_response_id"
        for wrong in (5, "", ["a"]):
            assert c.respond(second, previous_response_id=wrong, status=400)["error"]["param"] == "previous_response_id"
        assert c.respond(second, store="yes", status=400)["error"]["param"] == "store"
        two = c.respond(second, previous_response_id=one["id"])
        answer = s.request("DELETE", "/v1/responses/" + one["id"])
        assert answer.status == 200 and answer.json() == {"id": one["id"], "object": "response", "deleted": True}
        for name in (one["id"], "named", "resp_1"):
            answer = s.request("DELETE", "/v1/responses/" + name)
            assert answer.status == 404 and answer.json()["error"]["code"] == "response_not_found", answer.body
        c.respond(second, previous_response_id=one["id"], status=404)
        assert said(c.respond(first, previous_response_id=two["id"])) == c.whole(first, assistant(said(one)), second, assistant(said(two)), first)
        assert s.get("/v1/responses/" + two["id"]).status == 405
        # a session may be used beside a store
        three = c.respond(first, session="mine")
        assert said(c.respond(second, session="mine")) == said(c.respond(second, previous_response_id=three["id"]))
    # answers make room for sessions and for newer answers, and have no files
    with tempfile.TemporaryDirectory() as folder:
        with serving(command, "--state-ram", "1", "--cache-size", "0", "--state-dir", folder) as s:
            c = Speaker(s)
            c.answer(first, session="kept")
            ids = [c.respond(first)["id"] for _ in range(12)]
            known = c.states()
            assert s.metric("state_bytes") <= 1 << 20 and known["kept"]["stored"] == "memory", known
            assert ids[0] not in known and ids[-1] in known and all(known[i]["stored"] == "memory" for i in ids if i in known)
            c.respond(second, previous_response_id=ids[0], status=404)
            c.respond(second, previous_response_id=ids[-1])
            left = sum(i in known for i in ids)
            assert 4 <= left <= 10, known
            for i in range(20):
                c.answer(first, session=f"s{i}")
            left = [i for i in c.states() if i.startswith("resp_")]
            assert 4 <= len(left) <= 6 and s.metric("state_bytes") <= 1 << 20, c.states()  # half of the memory
        with serving(command, "--state-dir", folder) as s:
            assert not any(i.startswith("resp_") for i in Speaker(s).states()) and "kept" in Speaker(s).states()
    with serving(command, "--state-ram", "0") as s:
        c = Speaker(s)
        one = c.respond(first)
        assert one["store"] is False and c.respond(first, store=True)["store"] is False
        assert c.respond(second, previous_response_id=one["id"], status=400)["error"]["param"] == "previous_response_id"
        assert s.request("DELETE", "/v1/responses/" + one["id"]).status == 404


def stored_tools(command):
    """Calls and results of tools across turns; tools and instructions are read once."""
    first, second, _ = QUESTIONS
    with serving(command, "--cache-size", "0") as s:
        c = Speaker(s)
        settings = {"tools": OWN_TOOLS, "instructions": SYSTEM["content"], "max_output_tokens": 100}
        one = c.respond(first, tool_choice="required", parallel_tool_calls=False, **settings)
        call = calls(one)[0]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "in the mill"}
        chat = [SYSTEM, first, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {k: call[k] for k in ("name", "arguments")}}]},
                {"role": "tool", "tool_call_id": "c", "content": "in the mill"}]
        # exactly the result follows; the template says how
        more = {"tools": TOOLS, "max_tokens": 100}
        template = c.post("/apply-template", {"messages": chat, **more})["prompt"]
        rest = template[template.rindex("\n\nUser:"):]
        free = {"logit_bias": {"0": -100}}  # else the model that ships says nothing after a result
        again = c.respond(result, previous_response_id=one["id"], **{**settings, "max_output_tokens": 20}, **free)
        want = c.write(rest, state=one["id"], max_tokens=20, stop=["\n\nUser:", "\nUser:"], **free)
        assert said(again) == want["choices"][0]["text"].strip() and said(again), (again, want)
        assert again["usage"]["input_tokens"] == want["usage"]["prompt_tokens"] == one["usage"]["total_tokens"] + len(c.ids(rest))
        none = c.respond(result, previous_response_id=one["id"], tool_choice="none", **settings)
        assert none["usage"]["input_tokens"] == again["usage"]["input_tokens"]
        # the whole conversation is the same text, though the model may have drawn a call in other tokens
        assert abs(again["usage"]["input_tokens"] - c.chat(*chat, **more)["usage"]["prompt_tokens"]) < 8
        # a second branch with another result, then a third turn with one more call
        other = c.respond({**result, "output": "12:00"}, previous_response_id=one["id"], **settings)
        three = c.respond(second, previous_response_id=other["id"], tool_choice="required", parallel_tool_calls=False, **settings)
        assert calls(three) and three["usage"]["input_tokens"] < other["usage"]["total_tokens"] + 25
        # other tools are added
        fewer = c.respond(result, previous_response_id=one["id"], **{**settings, "tools": OWN_TOOLS[:1]})
        assert fewer["usage"]["input_tokens"] > again["usage"]["input_tokens"]


def sessions(command):
    """The field and the header `session` in the other protocols, with whole conversations and with new messages only."""
    limit = {"temperature": 0, "max_tokens": 40}

    def messages(c, *said_, headers=None, **more):
        system = [m["content"] for m in said_ if m["role"] == "system"]
        body = {"messages": [m for m in said_ if m["role"] != "system"], **limit, **more, **({"system": system[0]} if system else {})}
        got = c.post("/v1/messages", body, headers=headers)
        usage = got["usage"]
        return got["content"][0]["text"], usage["input_tokens"] + usage["cache_read_input_tokens"], usage["cache_read_input_tokens"], got

    def responses(c, *said_, headers=None, **more):
        got = c.post("/v1/responses", {"input": said_, "temperature": 0, "max_output_tokens": 40, **more}, headers=headers)
        return said(got), got["usage"]["input_tokens"], got["usage"]["input_tokens_details"]["cached_tokens"], got

    def ollama(c, *said_, headers=None, **more):
        body = {"messages": said_, "stream": False, "options": {"temperature": 0, "num_predict": 40}, **more}
        got = c.post("/api/chat", body, headers=headers)
        return got["message"]["content"], got["prompt_eval_count"], None, got

    first, second, third = QUESTIONS
    with serving(command, "--cache-size", "0") as s:
        c = Speaker(s)
        history, want = [SYSTEM], []
        for question in QUESTIONS:
            history.append(question)
            want.append(c.chat(*history))
            history.append(assistant(want[-1]["choices"][0]["message"]["content"]))
        texts = [w["choices"][0]["message"]["content"] for w in want]
        prompts = [w["usage"]["prompt_tokens"] for w in want]
        for number, ask in enumerate((messages, responses, ollama)):
            name = f"new-{number}"
            for i, new in enumerate(([SYSTEM, first], [second], [third])):  # only what is new
                text, tokens, known, _ = ask(c, *new, session=name)
                assert (text, tokens) == (texts[i], prompts[i]), (ask, i, text, texts[i])
                assert known is None or i == 0 or tokens - known < 25
            assert c.states()[name]["turns"] == 3
            for i in range(3):  # the whole conversation, with the header
                text, tokens, known, _ = ask(c, *history[:2 * i + 2], headers={"X-Rwkv7-Session": f"whole-{number}"})
                assert (text, tokens) == (texts[i], prompts[i])
                assert known is None or i == 0 or tokens - known < 25
            assert c.states()[f"whole-{number}"]["turns"] == 3
            # the session of one protocol goes on in another; a fork; an error in the protocol's form
            assert c.answer(first, session=name, fork=name + ".chat") == c.answer(first, session=f"whole-{number}", fork=name + ".whole")
            assert ask(c, second, session="new-0", fork=f"fork-{number}")[0] == c.answer(second, session="new-0", fork=f"chat-{number}")["content"]
            text, _, _, answer = ask(c, second, state="new-0", return_state=True)
            assert answer["state"]["id"] in c.states() and answer["state"]["tokens"] > prompts[2], answer
        for path, form in (("/v1/messages", lambda e: e["error"]["message"]), ("/v1/responses", lambda e: e["error"]["message"]), ("/api/chat", lambda e: e["error"])):
            body = {"messages": [first]} if path != "/v1/responses" else {"input": [first]}
            assert "name of 1 to 64" in form(c.post(path, {**body, "session": "a/b"}, status=400))
            assert "no state 'none'" in form(c.post(path, {**body, "state": "none"}, status=404))


if __name__ == "__main__":
    main([stored_answers, repeated_answers, forgotten_answers, stored_tools, sessions])
