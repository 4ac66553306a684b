#!/usr/bin/env python3
"""A web server on loopback for get_model_test.sh:  range_server.py FOLDER

Prints its port. Sends files of FOLDER and parts of them (Range). The first directory of a path
selects its behaviour:

    /good/...      correct
    /broken/...    closes the connection in the middle of a file, at its first request only
    /whole/...     ignores Range
"""
import functools
import http.server
import os
import re
import sys

seen = set()


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, folder, *args):
        self.folder = folder
        super().__init__(*args)

    def do_GET(self):
        mode, _, name = self.path.lstrip("/").partition("/")
        path = os.path.join(self.folder, name)
        if ".." in name or not os.path.isfile(path):
            self.send_error(404)
            return
        with open(path, "rb") as f:
            data = f.read()
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(found[1]) if found and mode != "whole" else 0
        if begin and begin >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if mode != "whole":
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        body = data[begin:]
        if mode == "broken" and self.path not in seen and len(data) > 1000:
            seen.add(self.path)
            body = body[:len(body) // 2]
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format, *args):
        with open(os.path.join(self.folder, "log"), "a") as log:
            print(self.command, self.path, self.headers.get("Range", "-"), file=log)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, sys.argv[1]))
print(server.server_port, flush=True)
server.serve_forever()
