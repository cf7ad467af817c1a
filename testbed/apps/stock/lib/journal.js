'use strict';

const fs = require('node:fs');
const path = require('node:path');

// patience is for how long append waits, in nanoseconds: what a few syncs of a
// slow disk take.
const patience = 12_000_000n;

// Journal writes down who asked for what.
class Journal {
  constructor(directory) {
    this.file = fs.openSync(path.join(directory, 'journal.log'), 'a');
  }

  // append writes a line for every warehouse and waits for the disk after each:
  // the mistake. How many it waits for depends on the disk, so that it takes about
  // as long on a quick one as on a slow one, which it must not bring down.
  append(item, asked) {
    const start = process.hrtime.bigint();
    for (let warehouse = 0; warehouse < 200; warehouse++) {
      fs.writeSync(this.file, `${Date.now()} ${item} ${asked} ${warehouse}\n`);
      if (process.hrtime.bigint() - start < patience) fs.fsyncSync(this.file);
    }
  }
}

exports.Journal = Journal;
