"""A garden club's allotments in SQLite: what was harvested, and what is in store."""
import json
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ALLOTMENTS = 300
FILE = sys.argv[2]
local = threading.local()


def connection():
    if not hasattr(local, "db"):
        local.db = sqlite3.connect(FILE, timeout=20, isolation_level=None)
        local.db.execute("pragma synchronous = off")
    return local.db


def prepare():
    db = connection()
    db.execute("pragma journal_mode = wal")
    db.execute("create table harvest (allotment integer, kilograms integer, at real)")
    db.execute("create index harvest_allotment on harvest (allotment)")
    db.execute("create table store (allotment integer primary key, kilograms integer)")
    db.executemany("insert into store values (?, 0)", [(i,) for i in range(ALLOTMENTS)])


def show_allotment(allotment):
    rows = connection().execute("select kilograms, at from harvest where allotment = ? order by at desc limit 20", (allotment,))
    return [{"kilograms": kilograms, "at": at} for kilograms, at in rows]


def add_harvest(allotment, kilograms):
    connection().execute("insert into harvest values (?, ?, ?)", (allotment, kilograms, time.time()))


def take_stock(allotments):
    """What is in store, of some allotments. The mistake: the scales are asked for each
    of them in the middle of the transaction, and nobody else may write meanwhile."""
    db = connection()
    db.execute("begin immediate")
    for allotment in allotments:
        db.execute("update store set kilograms = ? where allotment = ?", (weigh(allotment), allotment))
    db.execute("commit")
    return {"weighed": len(allotments)}


def weigh(allotment):
    time.sleep(0.002)  # as long as the scales take
    return allotment * 7 % 50


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(show_allotment(int(self.path.rpartition("/")[2])))

    def do_POST(self):
        what, *numbers = self.path.strip("/").split("/")
        if what == "harvest":
            add_harvest(int(numbers[0]), int(numbers[1]))
            return self.answer({})
        return self.answer(take_stock(range(int(numbers[0]))))


class Server(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


prepare()
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
