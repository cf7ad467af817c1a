'use strict';

const maxComments = 5;

function problem(status, message) {
  return Object.assign(new Error(message), { status });
}

// Notes keeps the latest notes with their latest comments.
class Notes {
  #notes = new Map();
  #keep;
  #log;
  #next = 1;

  constructor({ keep, log }) {
    this.#keep = keep;
    this.#log = log;
  }

  get(id) {
    const note = this.#notes.get(id);
    if (!note) throw problem(404, `no note ${id}`);
    return note;
  }

  list(limit) {
    const out = [];
    for (const { id, title, comments } of this.#notes.values()) {
      out.push({ id, title, comments: comments.length });
      if (out.length === limit) break;
    }
    return out;
  }

  create(title, text) {
    if (typeof title !== 'string' || typeof text !== 'string') throw problem(400, 'title and text are needed');
    const note = { id: this.#next++, title, text, comments: [] };
    this.#notes.set(note.id, note);
    if (this.#notes.size > this.#keep) this.#notes.delete(this.#notes.keys().next().value);
    this.#log.add('created', note.id);
    return note;
  }

  comment(id, text) {
    if (typeof text !== 'string') throw problem(400, 'text is needed');
    const note = this.get(id);
    note.comments.push(text);
    if (note.comments.length > maxComments) note.comments.shift();
    this.#log.add('commented', id);
    return note;
  }

  seed(count) {
    for (let i = 0; i < count; i++) {
      this.create(`Note ${i}`, `# Note ${i}\n\nSome *emphasis*, a [link](https://example.com/${i}) and a list:\n\n- one\n- two **bold**\n- \`three\`\n\n> quoted ${i}\n`);
    }
  }
}

module.exports = { Notes };
