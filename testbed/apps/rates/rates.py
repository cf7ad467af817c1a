"""Amounts in other currencies; the rate is another service's and is kept for a
moment."""
import os
import threading
import time

import requests
from flask import Flask, jsonify

UPSTREAM = os.environ["UPSTREAM"]
KEPT_FOR = 0.25  # seconds

app = Flask(__name__)
session = requests.Session()
lock = threading.Lock()
rate, fetched = 0.0, 0.0


def fetch_rate():
    return float(session.get(UPSTREAM + "/app/rate", timeout=20).text)


def current_rate():
    global rate, fetched
    # The mistake: everybody waits for the lock while one of them waits for the
    # other service.
    with lock:
        if time.monotonic() - fetched > KEPT_FOR:
            rate = fetch_rate()
            fetched = time.monotonic()
        return rate


@app.get("/amounts/<int:cents>")
def convert(cents):
    return jsonify(cents=cents, converted=round(cents * current_rate()))


@app.get("/currencies")
def currencies():
    return jsonify(["CHF", "DKK", "EUR", "GBP", "NOK", "SEK"])
