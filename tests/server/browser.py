"""browser.py - drives a headless Chromium over the DevTools protocol, for test_page.py.

Only the standard library is used, so the WebSocket client is here, too: text messages over
loopback, of any length, without extensions.
"""
import base64
import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from server import PATIENCE

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowRight": 39}


def program():
    """Returns the browser's program; None: there is none."""
    return os.environ.get("RWKV7_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)


class WebSocket:
    def __init__(self, port, path):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.file = self.s.makefile("rb")
        assert self.file.readline().startswith(b"HTTP/1.1 101"), "no WebSocket"
        while self.file.readline().strip():
            pass

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        size = len(data)
        head = bytes([0x81, 0x80 | size]) if size < 126 else struct.pack(">BBH", 0x81, 0xfe, size) if size < 65536 else \
            struct.pack(">BBQ", 0x81, 0xff, size)
        self.s.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    def receive(self):
        """Returns the next text message."""
        whole = b""
        while True:
            first, size = self.file.read(2)
            if size >= 126:
                size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big")
            data = self.file.read(size)
            assert first & 15 != 8, "the browser closed the WebSocket"
            if first & 15 in (0, 1):
                whole += data
                if first & 0x80:
                    return whole.decode()

    def close(self):
        self.file.close()
        self.s.close()


class Page:
    """A tab. `errors` collects exceptions, messages of errors and violations of the CSP."""

    def __init__(self, port, path):
        self.socket, self.id, self.errors = WebSocket(port, path), 0, []
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            self.call(domain + ".enable")

    def call(self, method, **arguments):
        self.id += 1
        self.socket.send(json.dumps({"id": self.id, "method": method, "params": arguments}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("id") == self.id:
                assert "error" not in message, (method, message)
                return message["result"]
            self.note(message)

    def note(self, message):
        arguments = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(arguments["exceptionDetails"])
        if message.get("method") == "Log.entryAdded" and arguments["entry"]["level"] == "error":
            self.errors.append(arguments["entry"])

    def run(self, expression):
        """Evaluates JavaScript and returns its value."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in done, (expression, done)
        return done["result"].get("value")

    def wait(self, expression):
        """Waits until the expression is true, and returns its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.02)
        return value

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def click(self, selector):
        """Clicks on the middle of an element, as a user does: it must be visible, and nothing above it."""
        chosen = json.dumps(selector)
        self.wait(f"document.querySelector({chosen}) !== null")
        at = self.run(f"""(() => {{
            const e = document.querySelector({chosen});
            e.scrollIntoView({{block: "nearest", behavior: "instant"}});
            const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
            const hit = document.elementFromPoint(x, y);
            return {{x, y, hit: e.contains(hit) || (hit && hit.contains(e) && hit.tagName === "LABEL"), what: hit && hit.outerHTML.slice(0, 100)}};
        }})()""")
        assert at["hit"], f"{selector} is covered by {at['what']}"
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=at["x"], y=at["y"], button="left" if kind != "mouseMoved" else "none", clickCount=1)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def key(self, name, modifiers=0):
        code = KEYS[name]
        text = {"text": "\r"} if name == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, modifiers=modifiers, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code, modifiers=modifiers)

    def resize(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def dark(self, on):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def screenshot(self, name):
        """Writes a picture if RWKV7_SCREENSHOTS names a folder."""
        folder = os.environ.get("RWKV7_SCREENSHOTS")
        if folder:
            with open(os.path.join(folder, name + ".png"), "wb") as file:
                file.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def accessible(self):
        """Returns the accessibility tree: a list of (role, name) of nodes that are not ignored."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]


@contextlib.contextmanager
def browsing():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen([program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                                    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
                                    "--remote-debugging-port=0", "--user-data-dir=" + folder, "about:blank"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port_file, end = os.path.join(folder, "DevToolsActivePort"), time.monotonic() + PATIENCE
            while not os.path.exists(port_file) or os.path.getsize(port_file) == 0:
                assert process.poll() is None and time.monotonic() < end, "the browser did not start"
                time.sleep(0.02)
            with open(port_file, encoding="ascii") as file:
                port, path = file.read().split()
            root = WebSocket(int(port), path)
            root.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
            while (answer := json.loads(root.receive())).get("id") != 1:
                pass
            page = Page(int(port), "/devtools/page/" + answer["result"]["targetId"])
            yield page
            page.socket.close()
            root.close()
        finally:
            process.terminate()
            process.wait(PATIENCE)
