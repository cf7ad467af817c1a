"""A help desk over HTTP, a thread for each connection. Some of its requests take a slow
way from its first second on, which an option chooses."""
import argparse
import hashlib
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TITLE = re.compile(r"^(\w+\s?)*$")


def sign_answer(item, pages):
    digest = str(item).encode()
    for _ in range(pages):
        digest = hashlib.sha256(digest * 200).digest()
    return digest.hex()


def normalise_title(item, title="a long request about the bi%d!"):
    return TITLE.match(title % item) is None


def call_partner(item):
    for _ in range(5):
        time.sleep(0.02)
    return item


def collect_words(item):
    words = {}
    for i in range(120000):
        word = "word%d" % (i % 5000)
        words[word] = words.get(word, 0) + item
    return len(words)


class Desk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        item = int(self.path.rsplit("/", 1)[-1]) if "/item/" in self.path else 999
        pages = 300
        if item % 1000 < options.permille:
            if options.slow == "title":
                normalise_title(item)
            elif options.slow == "short-title":
                normalise_title(item, "a long request about b%d!")
            elif options.slow == "partner":
                call_partner(item)
            elif options.slow == "words":
                collect_words(item)
            elif options.slow == "large":
                pages *= 30
        body = sign_answer(item, pages).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--slow", default="")
parser.add_argument("--permille", type=int, default=0)
options = parser.parse_args()
server = ThreadingHTTPServer(("127.0.0.1", options.port), Desk)
server.daemon_threads = True
server.serve_forever()
