'use strict';

const fs = require('node:fs');
const path = require('node:path');

// Journal writes down who asked for what.
class Journal {
  constructor(directory) {
    this.file = fs.openSync(path.join(directory, 'journal.log'), 'a');
  }

  // append waits for the disk after every field: the mistake.
  append(item, asked) {
    for (const field of [Date.now(), item, asked, process.pid, 'stock', 'read', 'ok', '\n']) {
      fs.writeSync(this.file, `${field} `);
      fs.fsyncSync(this.file);
    }
  }
}

exports.Journal = Journal;
