'use strict';

const fs = require('node:fs');

// EventLog writes what happened to notes, in the background.
class EventLog {
  #stream;

  constructor(path) {
    this.#stream = fs.createWriteStream(path, { flags: 'a' });
  }

  add(what, id) {
    this.#stream.write(`${new Date().toISOString()} ${what} ${id}\n`);
  }

  close() {
    this.#stream.end();
  }
}

module.exports = { EventLog };
