'use strict';

const fs = require('node:fs');

const writeInterval = 50; // ms between two writes of what has come together
const syncInterval = 1000; // ms between two syncs
const maxSize = 16 << 20; // bytes of one journal, then it is rotated

// Journal appends every change to a file. With "interval" changes are written
// in the background and synced once a second; with "always" a change is on the
// disk before its request is answered.
class Journal {
  #path;
  #fd;
  #size = 0;
  #pending = [];
  #writing = false;
  #settings;
  #timers;

  constructor(path, settings) {
    this.#path = path;
    this.#settings = settings;
    this.#fd = fs.openSync(path, 'a');
    this.#timers = [
      setInterval(() => this.#writeSoon(), writeInterval),
      setInterval(() => this.#syncSoon(), syncInterval),
    ];
  }

  append(change) {
    const line = encode(change);
    if (this.#settings.get('journal.sync') === 'always') {
      this.#appendNow(line);
      return;
    }
    this.#pending.push(line);
  }

  close() {
    this.#timers.forEach(clearInterval);
    fs.writeSync(this.#fd, this.#pending.join(''));
    fs.closeSync(this.#fd);
  }

  #appendNow(line) {
    const all = this.#pending.join('') + line;
    this.#pending.length = 0;
    this.#size += fs.writeSync(this.#fd, all);
    fs.fsyncSync(this.#fd);
    this.#rotateIfLarge();
  }

  #writeSoon() {
    if (this.#writing || this.#pending.length === 0) return;
    const text = this.#pending.join('');
    this.#pending.length = 0;
    this.#writing = true;
    fs.write(this.#fd, text, (err, written) => {
      this.#writing = false;
      if (err) throw err;
      this.#size += written;
      this.#rotateIfLarge();
    });
  }

  #syncSoon() {
    fs.fdatasync(this.#fd, (err) => {
      if (err && err.code !== 'EBADF') throw err; // it has been rotated meanwhile
    });
  }

  #rotateIfLarge() {
    if (this.#size < maxSize) return;
    fs.renameSync(this.#path, `${this.#path}.1`);
    fs.closeSync(this.#fd);
    this.#fd = fs.openSync(this.#path, 'a');
    this.#size = 0;
  }
}

function encode(change) {
  return JSON.stringify({ at: Date.now(), ...change }) + '\n';
}

module.exports = { Journal };
