"""test_page.py - the page at /: its headers, what it may not contain, and the page in a browser.

The cases with a browser need Chromium and take some seconds, so they run with
RWKV7_TEST_CLIENTS=all only. RWKV7_CHROMIUM names another program. RWKV7_SCREENSHOTS names a folder
for pictures: look at them after a change of the page.
"""
import base64
import hashlib
import html.parser
import json
import os
import re

import browser
from server import main, serving

HTML = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


def headers(command):
    with serving(command, "--api-key", "k") as s:
        page = s.get("/", headers=HTML)  # needs no key: the page asks for it
        assert page.status == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.body.startswith(b"<!doctype html>") and page.body.rstrip().endswith(b"</html>")
        policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
        for name in ("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"):
            assert policy[name] == "'none'", policy
        assert policy["connect-src"] == "'self'" and policy["require-trusted-types-for"] == "'script'", policy
        for name in ("style", "script"):
            inside = re.search(f"<{name}>(.*?)</{name}>".encode(), page.body, re.S).group(1)
            assert policy[name + "-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(inside).digest()).decode()}'", policy
        assert page.headers["x-content-type-options"] == "nosniff" and page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cross-origin-opener-policy"] == page.headers["cross-origin-resource-policy"] == "same-origin"
        tag = page.headers["etag"]
        assert re.fullmatch('"[0-9a-f]{32}"', tag) and page.headers["cache-control"] == "no-cache" and "Accept" in page.headers["vary"]
        for known, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200), (tag[:-2] + '"', 200)):
            again = s.get("/", headers={**HTML, "If-None-Match": known})
            assert again.status == status and again.headers["etag"] == tag, (known, again.status)
            assert again.body == (page.body if status == 200 else b"")
        with s.connect() as c:
            c.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
            head = c.makefile("rb").read()
            assert head.endswith(b"\r\n\r\n") and f"Content-Length: {len(page.body)}".encode() in head and tag.encode() in head, head
        for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
            text = s.get("/", headers=accept)
            assert text.status == 200 and text.body == b"Ollama is running" and text.headers["content-type"].startswith("text/plain"), text.headers
        assert s.post("/", {}, headers=HTML).status == 405
        assert s.get("/v1/", headers={**HTML, "X-Api-Key": "k"}).status == 404
    with serving(command, "--no-page") as s:
        assert s.get("/", headers=HTML).body == b"Ollama is running"


class Elements(html.parser.HTMLParser):
    """Collects the elements: (name, attributes, text)."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        if tag not in ("meta", "link", "input", "path", "rect", "circle", "use"):
            self.open.append(self.found[-1])

    def handle_startendtag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, tag

    def handle_data(self, data):
        for one in self.open:
            one[2] += data


def contents(command):
    """Nothing of the page comes from elsewhere, and the policy of the page does not break it."""
    with serving(command) as s:
        text = s.get("/", headers=HTML).body.decode()
    elements = Elements(text)
    assert not elements.open
    ids = [attributes["id"] for _, attributes, _ in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids)), "an id twice"
    for tag, attributes, inside in elements.found:
        where = (tag, attributes)
        assert not any(name.startswith("on") or name in ("style", "src", "srcset", "action", "formaction") for name in attributes), where
        assert attributes.get("href", "#")[0] == "#" or attributes["href"].startswith("data:"), where
        for name in ("for", "aria-controls", "aria-labelledby", "aria-describedby"):
            assert name not in attributes or attributes[name] in ids, where
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids, where
        if tag in ("input", "select", "textarea"):
            labels = [one for one in elements.found if one[0] == "label" and one[1]["for"] == attributes.get("id")]
            assert labels or attributes.get("aria-label"), where
        # these two get their text, or their name, when they are shown
        if tag == "button" and attributes.get("class") != "chat" and attributes.get("data-do") not in ("more", "delete"):
            assert inside.strip() or attributes.get("aria-label") or "hidden" in attributes, where
    assert [tag for tag, _, _ in elements.found].count("script") == 1
    addresses = re.findall(r"""(?:https?:|["'(])//[^\s"'<>]*""", text)
    assert addresses == ["http://www.w3.org/2000/svg"], addresses  # a name, which nothing loads
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "@import", "url("):
        assert unsafe not in text, unsafe


def origins(command):
    """The page that a server sent may use it, unless a foreign page could say the same."""
    def status(s, host, origin, **more):
        return s.get("/v1/models", headers={"Host": host, "Origin": origin, **more}).status

    with serving(command, host="0.0.0.0") as s:
        for host in ("192.168.1.5:8080", "10.0.0.7", "[fe80::1]:8080"):
            assert status(s, host, "http://" + host) == status(s, host, "https://" + host) == 200, host
            assert status(s, host, "http://192.168.1.6:8080") == 403, host
        for host in ("example.org", "example.org:8080", "192.168.1.5.example.org", "1.2.3.4."):  # DNS rebinding
            assert status(s, host, "http://" + host) == 403, host
        # a page sends no Origin with GET to its own address
        for host, want in (("192.168.1.5:8080", 200), ("[fe80::1]", 200), ("localhost:80", 200), ("example.org:8080", 403), ("", 403)):
            for path in ("/v1/states", "/states/none"):
                got = s.get(path, headers={"Host": host}).status
                assert got == (404 if want == 200 and "none" in path else want), (host, path, got)
            assert s.get("/v1/models", headers={"Host": host}).status == 200, host
        assert status(s, "192.168.1.5:8080", "http://192.168.1.5:8081") == status(s, "192.168.1.5", "ftp://192.168.1.5") == 403
    with serving(command, "--api-key", "k", host="0.0.0.0") as s:
        assert status(s, "example.org", "https://example.org", Authorization="Bearer k") == 200
        assert status(s, "example.org", "https://example.org") == 401
        assert s.get("/v1/states", headers={"Host": "example.org", "Authorization": "Bearer k"}).status == 200
        assert status(s, "example.org", "https://evil.org", Authorization="Bearer k") == 403


# -------------------------------------------------------------------------------------- a browser

FACTS = "document.querySelector('.assistant:last-child .facts').textContent"
TEXT = "document.querySelector('.assistant:last-child .body').textContent"
BUSY = "document.querySelector('#send').getAttribute('aria-label') === 'Stop'"
# a text that does not end by itself
ENDLESS = "ask = window.fetch; window.fetch = (url, o) => ask(url, o?.body ? {...o, body: JSON.stringify({...JSON.parse(o.body), ignore_eos: true})} : o); 0"


def answered(page):
    page.wait(f"!({BUSY}) && document.querySelector('.assistant:last-child') && {FACTS}")
    return page.run(TEXT)


def ask(page, text):
    page.click("#message")
    page.type(text)
    page.key("Enter")


def set_value(page, name, value):
    """As a user does who moves a slider or chooses from a list."""
    page.run(f"""{{ const e = document.getElementById({json.dumps(name)}); e.value = {json.dumps(value)};
                 e.dispatchEvent(new Event("input", {{bubbles: true}})); }}""")


def stored(page):
    return page.run("Object.keys(localStorage).filter((name) => name.startsWith('rwkv7.chat.')).map((name) => JSON.parse(localStorage[name]))")


def chat_in_browser(page, s):
    page.open(s.url + "/")
    page.wait("document.querySelector('#model').textContent === 'rwkv7-demo'")
    assert "RWKV-7, 855,552 parameters" in page.run("document.querySelector('#welcome').textContent")
    assert page.run("document.activeElement.id") == "message"
    page.screenshot("welcome")
    page.click("#open-settings")
    set_value(page, "temperature", "0")
    set_value(page, "seed", "7")
    set_value(page, "system", "Be brief.")
    page.screenshot("settings")
    page.key("Escape")
    assert not page.run("document.querySelector('#settings').open")
    ask(page, "Dora was in the cellar. Where is Dora?")
    first = answered(page)
    body = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Dora was in the cellar. Where is Dora?"}],
            "temperature": 0, "top_p": 0.3, "presence_penalty": 0.5, "frequency_penalty": 0.5, "seed": 7}
    choice = s.post("/v1/chat/completions", body).json()
    assert first.strip() == choice["choices"][0]["message"]["content"].strip(), (first, choice)
    assert page.run(FACTS).startswith(f"{choice['usage']['completion_tokens']} token") and "seed 7" in page.run(FACTS)
    assert page.run("document.querySelector('#announcer').textContent").strip() == first.strip()
    page.screenshot("answer")
    # regenerate: the same seed, the same answer
    page.click(".assistant:last-child [data-do=again]")
    assert answered(page) == first
    # a second turn, then edit the first message: what follows it is dropped
    ask(page, "And Ben?")
    page.wait("document.querySelectorAll('.message').length === 4")
    answered(page)
    page.click(".user [data-do=edit]")
    page.run("document.activeElement.select()")
    page.type("Ben was in the park. Where is Ben?")
    page.screenshot("edit")
    page.key("Enter")
    page.wait("document.querySelectorAll('.message').length === 2")
    answered(page)
    assert page.run("document.querySelector('.user .body').textContent") == "Ben was in the park. Where is Ben?"
    (kept,) = stored(page)
    assert [m["role"] for m in kept["messages"]] == ["user", "assistant"] and kept["messages"][1]["content"] == page.run(TEXT), kept
    # it is there after a reload
    page.open(s.url + "/?again")
    assert page.run("document.querySelectorAll('.message').length") == 2 and page.run("document.querySelector('#temperature').value") == "0"
    # delete, and undo
    page.click("#chats [data-do=delete]")
    page.wait("document.querySelectorAll('#chats li').length === 0")
    assert stored(page) == []
    page.click("#toast button")
    page.wait("document.querySelectorAll('#chats li').length === 1")
    assert len(stored(page)) == 1 and page.run("document.querySelectorAll('.message').length") == 2


def stop_in_browser(page, s):
    page.run(ENDLESS)
    page.click("#new-chat")
    for how in ("Escape", "click"):
        ask(page, "Tell a story.")
        page.wait(f"{BUSY} && {FACTS}")
        page.wait(f"{TEXT}.length > 20")
        page.screenshot("writing")
        page.key("Escape") if how == "Escape" else page.click("#send")
        page.wait(f"{FACTS}.includes('stopped')")
        assert page.run(f"!({BUSY})")
    page.wait("document.querySelector('.assistant:last-child [data-do=more]').textContent === 'Continue'")
    before = page.run("document.querySelector('.assistant:last-child .body').textContent.length")
    page.click(".assistant:last-child [data-do=more]")
    page.wait(f"{TEXT}.length > {before + 20}")
    # an answer goes on while another conversation is open
    page.click("#new-chat")
    assert page.run("document.querySelectorAll('.message').length") == 0 and page.run(f"!({BUSY})")
    page.click("#chats li .chat")
    page.wait(BUSY)
    page.key("Escape")
    page.wait(f"!({BUSY})")
    while s.metric("sessions_running") > 0:
        pass


MODEL_TEXT = """# Title

A *b* **c** `d` <img src=x onerror="document.title = 'broken'"> [e](https://example.org/) [f](javascript:alert(1))

- one
  - two

1. three

> four

```html
<script>document.title = 'broken'</script>
```

| g | h |
|---|---|
| i | j |
"""


def text_in_browser(page, s):
    """Thoughts are folded, Markdown becomes elements, and HTML stays text."""
    deltas = [{"reasoning_content": "Let me "}, {"reasoning_content": "think."}] + [{"content": c} for c in re.findall("(?s).{1,7}", MODEL_TEXT)]
    lines = "".join("data: " + json.dumps({"choices": [{"index": 0, "delta": d, "finish_reason": None}]}) + "\n\n" for d in deltas) + "data: [DONE]\n\n"
    page.open(s.url + "/?text")
    page.run(f"window.fetch = async () => new Response(new Blob([{json.dumps(lines)}]).stream(), {{status: 200}}); 0")
    page.click("#new-chat")
    ask(page, "<b>show</b> it")
    answered(page)
    assert page.run("document.querySelector('.user .body').innerHTML") == "&lt;b&gt;show&lt;/b&gt; it"
    assert page.run("document.querySelector('.thought').open") is False and page.run("document.querySelector('.thought').hidden") is False
    assert page.run("document.querySelector('.thought div').textContent") == "Let me think."
    body = page.run("document.querySelector('.assistant .body').innerHTML")
    for part in ("<h3>Title</h3>", "<em>b</em> <strong>c</strong> <code>d</code> &lt;img", '<a href="https://example.org/" target="_blank" rel="noopener noreferrer">e</a>',
                 "[f](javascript:alert(1))", "<ul><li><p>one</p><ul><li><p>two</p></li></ul></li></ul>", "<ol start=\"1\"><li><p>three</p></li></ol>",
                 "<blockquote><p>four</p></blockquote>", "<code>&lt;script&gt;document.title", "<th>h</th>", "<td>j</td>"):
        assert part in body, (part, body)
    assert "broken" not in page.run("document.title")
    page.click(".thought summary")
    assert page.run("document.querySelector('.thought').open") is True
    page.screenshot("markdown")
    page.dark(True)
    assert page.run("getComputedStyle(document.body).backgroundColor") != "rgb(253, 252, 250)"
    page.screenshot("markdown-dark")
    page.dark(False)
    page.click("#open-settings")
    set_value(page, "theme", "dark")
    assert page.run("getComputedStyle(document.body).backgroundColor") != "rgb(253, 252, 250)"
    page.click("#defaults")
    page.click("#settings .primary")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(253, 252, 250)"


def phone_in_browser(page, s):
    page.resize(360, 740, phone=True)
    page.open(s.url + "/?phone")
    assert page.run("document.documentElement.scrollWidth") <= 360 and page.run("document.querySelector('#scroll').scrollWidth") <= 360
    assert page.run("getComputedStyle(document.querySelector('#sidebar')).visibility") == "hidden"
    page.screenshot("phone")
    page.click("#open-sidebar")
    page.wait("document.querySelector('#sidebar').getBoundingClientRect().x === 0")
    assert page.run("document.querySelector('#main').inert") is True
    page.screenshot("phone-list")
    page.key("Escape")
    page.wait("getComputedStyle(document.querySelector('#sidebar')).visibility === 'hidden'")
    assert page.run("document.activeElement.id") == "open-sidebar"
    page.click("#open-settings")
    assert page.run("document.querySelector('#settings').scrollWidth") <= 360
    page.screenshot("phone-settings")
    page.key("Escape")
    small = page.run("""[...document.querySelectorAll('button')].filter((b) => b.offsetParent && b.getBoundingClientRect().height < 24).map((b) => b.outerHTML)""")
    assert not small, small  # WCAG 2.2: targets of at least 24 px
    page.resize(1200, 800)


def accessible_in_browser(page, s):
    page.open(s.url + "/?tree")
    tree = page.accessible()
    for role, name in (("main", ""), ("complementary", "Conversations"), ("navigation", "Conversations"), ("textbox", "Message"), ("button", "Settings"),
                       ("button", "New chat"), ("list", "Messages"), ("heading", "You"), ("heading", "Assistant"), ("button", "Copy the answer"),
                       ("button", "Regenerate the answer"), ("button", "Edit the message"), ("status", "")):
        assert (role, name) in tree, (role, name, tree)
    assert not [name for role, name in tree if role == "button" and not name]
    page.click("#open-settings")
    tree = page.accessible()
    for role, name in (("dialog", "Settings"), ("textbox", "System prompt"), ("slider", "Temperature"), ("slider", "Top-p"), ("slider", "Presence penalty"),
                       ("spinbutton", "Seed"), ("spinbutton", "Max tokens"), ("combobox", "Thinking"), ("group", "Sampling")):
        assert (role, name) in tree, (role, name, tree)
    page.run("document.querySelector('#temperature').focus()")
    before = float(page.run("document.querySelector('#temperature').value"))
    page.key("ArrowRight")
    assert abs(float(page.run("document.querySelector('output[for=temperature]').textContent")) - before - 0.05) < 1e-6
    page.key("Escape")
    # every stop of the Tab key is visible
    for _ in range(12):
        page.key("Tab")
        assert page.run("""(() => { const e = document.activeElement, style = getComputedStyle(e);
            return e === document.body || style.outlineStyle !== 'none' || e.id === 'message' })()"""), page.run("document.activeElement.outerHTML")


def key_in_browser(page, command):
    with serving(command, "--api-key", "secret") as s:
        page.open(s.url + "/")
        page.wait("document.querySelector('#settings').open")
        assert page.run("document.activeElement.id") == "key"
        page.screenshot("key")
        for key in ("wrong", "secret"):
            page.run("document.querySelector('#key').select()")
            page.type(key)
            page.click("#settings .primary")
            if key == "wrong":
                page.wait("document.querySelector('#settings').open && document.querySelector('#key-note').className.includes('wrong')")
        page.wait("document.querySelector('#model').textContent === 'rwkv7-demo'")
        ask(page, "Hi")
        answered(page)
        assert page.run("document.querySelector('.error').hidden")
    page.click(".assistant:last-child [data-do=again]")  # the server has ended
    page.wait("document.querySelector('.error').textContent === 'The server does not answer.'")
    assert page.run("document.querySelector('[data-do=more]').textContent") == "Try again"
    page.screenshot("error")


def in_browser(command):
    if os.environ.get("RWKV7_TEST_CLIENTS") != "all" and not os.environ.get("RWKV7_CHROMIUM"):
        print("SKIP: the page in a browser is tested with RWKV7_TEST_CLIENTS=all")
        return
    if not browser.program():
        print("SKIP: no Chromium for the page in a browser")
        return
    with serving(command, "--max-tokens", "10000000") as s, browser.browsing() as page:
        page.resize(1200, 800)
        for case in (chat_in_browser, stop_in_browser, text_in_browser, phone_in_browser, accessible_in_browser):
            case(page, s)
            print(f"     {case.__name__}", flush=True)
        assert not page.errors, page.errors
        key_in_browser(page, command)
        # the browser logs the two answers 401 and the connection that failed
        rest = [e for e in page.errors if "401" not in e.get("text", "") and "ERR_CONNECTION_REFUSED" not in e.get("text", "")]
        assert not rest, rest


if __name__ == "__main__":
    main([headers, contents, origins, in_browser])
