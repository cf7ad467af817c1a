"""Snippets of programs, shown in colours."""
from flask import Flask, jsonify, request

import colours
import shelf

app = Flask(__name__)


@app.post("/snippets/<language>")
def add(language):
    text = request.get_data(as_text=True)
    page = colours.paint(text, language)
    return jsonify({"number": shelf.keep(language, text, page), "length": len(page)})


@app.get("/snippets/<int:number>")
def show(number):
    snippet = shelf.find(number)
    if snippet is None:
        return jsonify({"error": "no such snippet"}), 404
    return snippet.page


@app.get("/languages")
def languages():
    return jsonify(shelf.languages())
