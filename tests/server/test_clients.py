"""test_clients.py - real clients against the server.

From PyPI: the package openai and lm-evaluation-harness. From npm: those of clients/package.json,
which clients/clients.mjs uses. Installing them takes minutes and a gigabyte. They therefore run only
with RWKV7_TEST_CLIENTS=all, which needs a network, or if RWKV7_CLIENTS_PYTHON names a Python that
has them, or RWKV7_CLIENTS_NPM a folder in which `npm ci` has installed them. Otherwise the test says
that they are skipped.
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

from server import main, serving

OPENAI = "openai==3.57.0"
LM_EVAL = "lm-eval[api]==0.4.13"
STORY = "Once upon a time"
CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")

ITEMS = [
    {"context": "Ben was in the park. Anna sat in the mill.\nQ: Where is Anna?\nA:", "choices": [" park", " mill", " tower"], "answer": 1},
    {"context": "List: broom: crow, Emma: candle, key: hat.\nQ: Emma\nA:", "choices": [" candle", " crow", " hat", " key"], "answer": 0},
    {"context": "Parity: 1 0 1 1.\nQ: parity\nA:", "choices": [" odd", " even"], "answer": 0},
    {"context": "Sort: d a c b.\nQ: row\nA:", "choices": [" a b c d", " d c b a", " b"], "answer": 2},
    {"context": "The \u00e9t\u00e9 was", "choices": [" \u4f60\u597d", " warm", " x"], "answer": 1},
]

USE_OPENAI = r"""
import json, sys, openai
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="any", max_retries=0)
assert [m.id for m in client.models.list()] == ["rwkv7-demo"] and client.models.retrieve("rwkv7-demo").id == "rwkv7-demo"
one = client.completions.create(model="any", prompt="Once upon a time", max_tokens=9, temperature=0, logprobs=2, echo=True)
assert len(one.choices[0].logprobs.tokens) == 9 + one.usage.prompt_tokens - 1, one
text = one.choices[0].text.removeprefix("Once upon a time")
pieces = list(client.completions.create(model="any", prompt="Once upon a time", max_tokens=9, temperature=0, stream=True))
assert "".join(p.choices[0].text for p in pieces) == text and pieces[-1].choices[0].finish_reason == "length"
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
chat = dict(model="any", messages=messages, max_completion_tokens=9, seed=4)
whole = client.chat.completions.create(**chat, logprobs=True, top_logprobs=2)
assert len(whole.choices[0].logprobs.content) - whole.usage.completion_tokens in (0, 1)  # the end of the text has a score
pieces = list(client.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}))
assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == whole.choices[0].message.content
assert pieces[-1].usage.completion_tokens == whole.usage.completion_tokens
stream = client.chat.completions.create(**{**chat, "max_completion_tokens": 4000}, stream=True)
next(iter(stream))
stream.close()
zone = {"type": "object", "properties": {"zone": {"enum": ["utc", "local"]}}, "required": ["zone"], "additionalProperties": False}
tools = dict(model="any", messages=messages, seed=4, tool_choice="required", parallel_tool_calls=False,
             tools=[{"type": "function", "function": {"name": "now", "strict": True, "parameters": zone}}])
whole = client.chat.completions.create(**tools).choices[0]
call = whole.message.tool_calls[0]
assert whole.finish_reason == "tool_calls" and whole.message.content is None and call.function.name == "now", whole
assert json.loads(call.function.arguments)["zone"] in ("utc", "local"), call
with client.chat.completions.stream(**tools) as stream:
    done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
    assert [(e.name, e.arguments) for e in done] == [("now", call.function.arguments)], done
    assert stream.get_final_completion().choices[0].message.tool_calls[0].function.parsed_arguments == json.loads(call.function.arguments)
result = {"role": "tool", "tool_call_id": call.id, "content": "12:00"}
client.chat.completions.create(model="any", messages=messages + [whole.message, result], tools=tools["tools"], max_tokens=3)
for make, kind, param in ((lambda: client.completions.create(model="any", prompt="x", temperature=-1), openai.BadRequestError, "temperature"),
                          (lambda: client.chat.completions.create(model="any", messages=messages, tools=[{"type": "function", "function": {"name": " "}}]),
                           openai.BadRequestError, "tools[0].function.name"),
                          (lambda: client.models.retrieve("other"), openai.NotFoundError, None)):
    try:
        make()
    except kind as error:
        assert error.param == param, error
    else:
        raise AssertionError(kind)
"""


def run(*command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)


def python_with(package, folder):
    """Returns a Python that has the package; None if it could not be installed."""
    if run(sys.executable, "-m", "venv", folder).returncode != 0:
        return None
    python = os.path.join(folder, "bin", "python")
    try:
        done = run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", package, timeout=600)
    except subprocess.TimeoutExpired:
        return None
    return python if done.returncode == 0 else None


def client_python(package, folder):
    python = os.environ.get("RWKV7_CLIENTS_PYTHON")
    if not python and os.environ.get("RWKV7_TEST_CLIENTS") != "all":
        print(f"SKIP: {package} is tested with RWKV7_TEST_CLIENTS=all")
        return None
    python = python or python_with(package, folder)
    if not python:
        print(f"SKIP: {package} could not be installed (no network?)")
    return python


def openai_client(command):
    with tempfile.TemporaryDirectory() as folder:
        python = client_python(OPENAI, folder)
        if not python:
            return
        with serving(command) as s:
            done = run(python, "-c", USE_OPENAI, s.url)
            assert done.returncode == 0, done.stdout
        with serving(command, "--api-key", "right") as s:
            code = "import sys, openai\ntry:\n openai.OpenAI(base_url=sys.argv[1] + '/v1', api_key='wrong').models.list()\n" \
                   "except openai.AuthenticationError as e:\n assert e.code == 'invalid_api_key'\nelse:\n raise SystemExit(1)\n" \
                   "openai.OpenAI(base_url=sys.argv[1] + '/v1', api_key='right').models.list()"
            done = run(python, "-c", code, s.url)
            assert done.returncode == 0, done.stdout


def npm_folder(folder):
    """Returns a folder with the clients of npm; None if they could not be installed."""
    given = os.environ.get("RWKV7_CLIENTS_NPM")
    if not given and os.environ.get("RWKV7_TEST_CLIENTS") != "all":
        print("SKIP: the clients of npm are tested with RWKV7_TEST_CLIENTS=all")
        return None
    if not given and not shutil.which("npm"):
        print("SKIP: no npm")
        return None
    if given:
        return given
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(CLIENTS, name), folder)
    try:
        done = run("npm", "ci", "--no-audit", "--no-fund", cwd=folder, timeout=600)
    except subprocess.TimeoutExpired:
        done = None
    if not done or done.returncode != 0:
        print("SKIP: the clients of npm could not be installed (no network?)", done.stdout if done else "")
        return None
    return folder


def npm_clients(command):
    """The packages openai, @anthropic-ai/sdk, ai, ollama and LangChain; see clients.mjs."""
    with tempfile.TemporaryDirectory() as own:
        folder = npm_folder(own)
        if not folder:
            return
        # node 22 is installed with them where there is a binary; the packages need it
        node = next(iter(glob.glob(os.path.join(folder, "node_modules", "node-linux-*", "bin", "node"))), "node")
        if folder != own:
            os.symlink(os.path.join(os.path.abspath(folder), "node_modules"), os.path.join(own, "node_modules"))
        shutil.copy(os.path.join(CLIENTS, "clients.mjs"), own)
        for client in ("openai", "anthropic", "ai", "ollama", "langchain"):
            with serving(command) as s:
                done = run(node, os.path.join(own, "clients.mjs"), s.url, client)
                assert done.returncode == 0, (client, done.stdout)
                print(client, "works")


def eval_choices(command, folder):
    path = os.path.join(folder, "items.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for item in ITEMS:
            file.write(json.dumps(item) + "\n")
    done = subprocess.run([*command, "eval", "--no-config", "--no-bos", "-q", "--json", "--task", "choices", path], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def harness_arithmetic(command):
    """lm-evaluation-harness gives the scores of `rwkv7 eval`."""
    with tempfile.TemporaryDirectory() as folder, serving(command) as s:
        want = eval_choices(command, folder)
        right = 0
        for item in ITEMS:
            context = s.post("/tokenize", {"prompt": item["context"], "add_special_tokens": False}).json()["tokens"]
            prompts = [context + s.post("/tokenize", {"prompt": c, "add_special_tokens": False}).json()["tokens"] for c in item["choices"]]
            answer = s.post("/v1/completions", {"model": "rwkv7", "prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234,
                                                "echo": True}).json()
            sums = [sum(choice["logprobs"]["token_logprobs"][len(context):-1]) for choice in answer["choices"]]
            right += max(range(len(sums)), key=sums.__getitem__) == item["answer"]
        assert abs(right / len(ITEMS) - want["acc"]) < 1e-6, (right, want)
        print("acc", want["acc"], "acc_norm", want["acc_norm"])


def lm_eval(command):
    with tempfile.TemporaryDirectory() as folder:
        python = client_python(LM_EVAL, os.path.join(folder, "venv"))
        if not python:
            return
        want = eval_choices(command, folder)
        with open(os.path.join(folder, "own.yaml"), "w", encoding="utf-8") as file:
            file.write("task: own_choice\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: " + os.path.join(folder, "items.jsonl") +
                       "\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: \"{{context}}\"\ndoc_to_choice: choices\n"
                       "doc_to_target: answer\ntarget_delimiter: \"\"\nmetric_list:\n  - metric: acc\n  - metric: acc_norm\n")
        with open(os.path.join(folder, "rolling.yaml"), "w", encoding="utf-8") as file:
            file.write("task: own_rolling\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: " + os.path.join(folder, "items.jsonl") +
                       "\ntest_split: test\noutput_type: loglikelihood_rolling\ndoc_to_text: \"\"\ndoc_to_target: \"{{context}}\"\n"
                       "metric_list:\n  - metric: word_perplexity\n  - metric: bits_per_byte\n")
        with open(os.path.join(folder, "until.yaml"), "w", encoding="utf-8") as file:
            file.write("task: own_until\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: " + os.path.join(folder, "items.jsonl") +
                       "\ntest_split: test\noutput_type: generate_until\ndoc_to_text: \"{{context}}\"\ndoc_to_target: \"{{choices[answer]}}\"\n"
                       "generation_kwargs:\n  until: [\"\\n\"]\n  max_gen_toks: 8\nmetric_list:\n  - metric: exact_match\n")
        with serving(command) as s:
            for batch, together in ((1, 1), (3, 2)):
                done = run(python, "-m", "lm_eval", "--model", "local-completions", "--tasks", "own_choice,own_rolling,own_until", "--include_path", folder,
                           "--batch_size", str(batch), "--output_path", os.path.join(folder, f"out{batch}"), "--model_args",
                           f"base_url={s.url}/v1/completions,model=rwkv7,num_concurrent={together}",
                           env=dict(os.environ, HF_HOME=folder, HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1"))
                assert done.returncode == 0, done.stdout[-3000:]
                results = None
                for path, _, names in os.walk(os.path.join(folder, f"out{batch}")):
                    for name in names:
                        if name.startswith("results"):
                            with open(os.path.join(path, name), encoding="utf-8") as file:
                                results = json.load(file)["results"]
                for name in ("acc", "acc_norm"):
                    assert abs(results["own_choice"][name + ",none"] - want[name]) < 1e-6, (results, want)
                print("lm_eval", {k: v for t in results.values() for k, v in t.items() if isinstance(v, float)})


if __name__ == "__main__":
    main([harness_arithmetic, openai_client, npm_clients, lm_eval])
