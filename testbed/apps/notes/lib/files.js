'use strict';

const fs = require('node:fs');
const path = require('node:path');

// Files are what notes link to as files/NAME: uploaded beside the notes, and
// removed when their owner likes.
class Files {
  #dir;

  constructor(dir) {
    this.#dir = dir;
    fs.mkdirSync(dir, { recursive: true });
  }

  add(name, content) {
    fs.writeFileSync(path.join(this.#dir, path.basename(name)), content);
  }

  has(name) {
    return fs.existsSync(path.join(this.#dir, name));
  }

  // markMissing gives the links whose file is gone a class of their own.
  markMissing(html) {
    return html.replace(/href="files\/([^"/]+)"/g, (link, name) => (this.has(name) ? link : `${link} class="missing"`));
  }
}

module.exports = { Files };
