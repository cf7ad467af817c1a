"""Forms of an office, which are described in a file that somebody may change."""
import os
import time

import yaml
from flask import Flask, abort, jsonify, request

app = Flask(__name__)
FORMS = os.environ["FORMS"]
kept = {"forms": {}, "loaded": 0.0}


def load_forms():
    with open(FORMS) as file:
        return {form["name"]: form for form in yaml.safe_load(file)["forms"]}


def current_forms():
    """The forms, read again when their file is newer than what was read. The mistake:
    the clock of who wrote the file may be ahead of ours."""
    if os.stat(FORMS).st_mtime > kept["loaded"]:
        kept["forms"] = load_forms()
        kept["loaded"] = time.time()
    return kept["forms"]


@app.get("/forms/<name>")
def show_form(name):
    form = current_forms().get(name) or abort(404)
    return jsonify(form)


@app.post("/forms/<name>")
def fill_form(name):
    form = current_forms().get(name) or abort(404)
    missing = [field["name"] for field in form["fields"] if field["needed"] and not request.form.get(field["name"])]
    return jsonify(missing), 400 if missing else 201
