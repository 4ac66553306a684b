"""test_openapi.py - the description at /openapi.json agrees with the server.

A new endpoint, method, request field or answer member that is not described fails here, and so
does a description of what does not exist. schemathesis, which tries requests made from the
description, runs with RWKV7_TEST_CLIENTS=all only.
"""
import glob
import json
import os
import re
import tempfile

from server import main, serving
from test_clients import client_python, run

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "server")
SCHEMATHESIS = "schemathesis==4.32.5"
METHODS = ("get", "post", "put", "patch", "delete")


def no_duplicates(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(pairs)


def description(s):
    answer = s.get("/openapi.json")
    assert answer.status == 200 and answer.headers["content-type"] == "application/json", answer.headers
    assert s.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]}).status == 304
    return json.loads(answer.body, object_pairs_hook=no_duplicates)


def follow(doc, node):
    """Replaces a reference by what it names."""
    while "$ref" in node:
        where = doc
        for part in node["$ref"].removeprefix("#/").split("/"):
            where = where[part]
        node = where
    return node


def references(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def whole(command):
    """Every reference leads somewhere, and nothing is described that nothing refers to."""
    with serving(command, "--api-key", "k") as s:
        doc = description(s)  # without a key
    used = set(references(doc))
    for name in used:
        follow(doc, {"$ref": name})
    for kind in ("schemas", "responses"):
        for name in doc["components"][kind]:
            assert any(one == f"#/components/{kind}/{name}" or one.startswith(f"#/components/{kind}/{name}/") for one in used), name
    names = [one["operationId"] for path in doc["paths"].values() for one in path.values()]
    assert len(names) == len(set(names)), names


def routes(command):
    """The paths are those of routes.c, and each has the methods that the server accepts."""
    with open(os.path.join(SOURCE, "routes.c"), encoding="utf-8") as file:
        table = re.search(r"struct route routes\[\] = \{(.*?)\n\};", file.read(), re.S).group(1)
    known = {path.rstrip("/") or "/" for path in re.findall(r'\{"(/[^"]*)"', table)}
    with serving(command) as s:
        doc = description(s)
        described = {re.sub(r"/\{[^}]*\}.*", "", path.removeprefix("/v1")) for path in doc["paths"]}
        assert described == known, f"only in openapi.json: {described - known}; only in routes.c: {known - described}"
        for path, operations in doc["paths"].items():
            for method in METHODS:
                answer = s.request(method.upper(), re.sub(r"\{[^}]*\}", "a", path), b"{}" if method != "get" else None)
                assert (answer.status == 405) == (method not in operations), (method, path, answer.status)
                assert answer.status < 500, (method, path, answer.body)


def properties(doc, schema, deep, seen=()):
    """Returns the names of the members of a schema; deep: also those of their members."""
    found = set()
    name = schema.get("$ref")
    if name and name in seen:
        return found
    schema = follow(doc, schema)
    for member, one in schema.get("properties", {}).items():
        found |= {member} | (properties(doc, one, deep, (*seen, name)) if deep else set())
    for one in [*schema.get("allOf", []), *schema.get("anyOf", []), *([schema["items"]] if deep and "items" in schema else [])]:
        found |= properties(doc, one, deep, (*seen, name))
    return found


def fields(command):
    """The members of requests are those that the server reads."""
    code = ""
    for path in glob.glob(os.path.join(SOURCE, "*.c")) + glob.glob(os.path.join(SOURCE, "..", "generate", "tools*.c")):
        with open(path, encoding="utf-8") as file:
            code += file.read()
    with serving(command) as s:
        doc = description(s)
    described = set()
    for operations in doc["paths"].values():
        for operation in operations.values():
            form = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if form:
                described |= properties(doc, form["schema"], True)
    missing = {name for name in described if f'"{name}"' not in code}
    assert not missing, f"described, but no string in src/server: {missing}"
    read = set(re.findall(r'\bfield_(?:number|whole|bool|string)\(\s*&?\w+,\s*"(\w+)"', code))
    refused = {"background", "template"}
    assert len(read) > 20 and read <= described | refused, f"read, but not described: {read - described - refused}"


def conforms(doc, schema, value, where, names=None):
    """Checks a value against a schema. Members that are not described are errors, too."""
    schema = follow(doc, schema)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}
    if "anyOf" in schema:
        failures = []
        for one in schema["anyOf"]:
            try:
                return conforms(doc, one, value, where)
            except AssertionError as error:
                failures.append(error)
        raise AssertionError(f"{where}: {failures}")
    for one in schema.get("allOf", []):
        conforms(doc, one, value, where, properties(doc, schema, False))
    if "type" in schema:
        kind = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        assert any(isinstance(value, kinds[k]) and (k == "boolean" or not isinstance(value, bool)) for k in kind), f"{where}: {value} is not {kind}"
    assert "const" not in schema or schema["const"] == value, f"{where}: {value}"
    assert "enum" not in schema or value in schema["enum"], f"{where}: {value}"
    assert not isinstance(value, (int, float)) or value >= schema.get("minimum", value), f"{where}: {value}"
    if isinstance(value, list):
        for i, one in enumerate(value):
            conforms(doc, schema.get("items", {}), one, f"{where}[{i}]")
    if isinstance(value, dict):
        missing = set(schema.get("required", ())) - set(value)
        assert not missing, f"{where}: no {missing}"
        known = schema.get("properties")
        if known:
            more = set(value) - set(known) - (names or set())
            assert not more, f"{where}: {more} is not described"
        for name, one in value.items():
            conforms(doc, (known or {}).get(name, schema.get("additionalProperties", {})), one, f"{where}.{name}")
    return None


MESSAGES = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"enum": ["sky"]}}, "required": ["at"]}}}
REQUESTS = {
    "/v1/completions": [{"prompt": "a", "logprobs": 2, "echo": True, "max_tokens": 3}, {"prompt": [[5], [6]], "max_tokens": 2},
                        {"prompt": "a", "max_tokens": 2, "session": "a", "return_state": "base64"}],
    "/v1/chat/completions": [{"messages": MESSAGES, "max_tokens": 3, "logprobs": True, "top_logprobs": 2, "reasoning_effort": "high"},
                             {"messages": MESSAGES, "tools": [TOOL], "tool_choice": "required", "seed": 1, "max_tokens": 200}],
    "/v1/messages": [{"messages": MESSAGES, "max_tokens": 3}, {"messages": MESSAGES, "max_tokens": 200, "tools": [TOOL], "tool_choice": {"type": "any"}, "seed": 1},
                     {"messages": MESSAGES, "max_tokens": 3, "session": "m", "return_state": True}],
    "/v1/messages/count_tokens": [{"messages": MESSAGES, "max_tokens": 3}],
    "/v1/responses": [{"input": "Hi", "max_output_tokens": 3, "return_state": True}, {"input": "Hi", "tools": [TOOL], "tool_choice": "required", "seed": 1}],
    "/api/chat": [{"messages": MESSAGES, "stream": False, "options": {"num_predict": 3}, "return_state": True}, {},
                  {"messages": MESSAGES, "stream": False, "tools": [TOOL], "tool_choice": "required", "options": {"seed": 1}}],
    "/api/generate": [{"prompt": "a", "stream": False, "options": {"num_predict": 3}}],
    "/api/embed": [{"model": "x", "input": ["a", "b"]}],
    "/api/embeddings": [{"model": "x", "prompt": "a"}],
    "/api/show": [{"model": "x"}],
    "/v1/choose": [{"prompt": "a", "choices": [" b", " c"]}],
    "/apply-template": [{"messages": MESSAGES}],
    "/tokenize": [{"prompt": "a \u00e9"}, {"content": "a \u00e9", "with_pieces": True}],
    "/detokenize": [{"tokens": [5, 6]}],
    "/v1/embeddings": [{"input": "a"}, {"input": ["a", "b"], "encoding_format": "base64"}],
    "/v1/states": [{"id": "rwkv7-demo", "prompt": "a"}],
    "/v1/states/{name}/fork": [{"to": "copy"}],
    "/v1/states/{name}/undo": [{}],
}


def answers(command):
    """Answers and errors have the described types and members."""
    with serving(command) as s:
        doc = description(s)
        for path, operations in doc["paths"].items():
            for method, operation in operations.items():
                if path == "/v1/states" and method == "get":
                    s.post("/v1/states", {"id": "first", "prompt": "a"})
                bodies = REQUESTS[path] if method == "post" else [None] if method == "get" else []
                for body in bodies:
                    answer = s.request(method.upper(), path.replace("{name}", "rwkv7-demo"), body)
                    described = follow(doc, operation["responses"][str(answer.status)])["content"]
                    assert answer.status == 200 and answer.headers["content-type"] in described, (path, answer.status, answer.body)
                    if answer.headers["content-type"] == "application/json":
                        conforms(doc, described["application/json"]["schema"], answer.json(), f"{method.upper()} {path}")
                if method == "post":
                    answer = s.post(path, b"{")
                    conforms(doc, follow(doc, operation["responses"]["400"])["content"]["application/json"]["schema"], answer.json(), path)


def schemathesis(command):
    """
    Not checked is whether every valid request is accepted: the schemas cannot say that \\u0000 is refused, that
    tokens must be in the vocabulary, or that one constraint excludes another. Of requests without a prompt,
    which in Ollama's API load the model, the other fields are not read.
    """
    with tempfile.TemporaryDirectory() as folder:
        python = client_python(SCHEMATHESIS, os.path.join(folder, "venv"))
        if not python:
            return
        loads = "^/api/(chat|generate)$"
        with serving(command, "--api-key", "k", "--max-tokens", "32") as s:
            for which, unchecked in (("--exclude-path-regex", "positive_data_acceptance"),
                                     ("--include-path-regex", "positive_data_acceptance,negative_data_rejection")):
                done = run(os.path.join(os.path.dirname(python), "st"), "run", s.url + "/openapi.json", "-H", "Authorization: Bearer k", "--seed", "1",
                           "-n", "15", "--no-color", which, loads, "--exclude-checks", unchecked, cwd=folder)
                assert done.returncode == 0, done.stdout[-6000:]


if __name__ == "__main__":
    main([whole, routes, fields, answers, schemathesis])
