'use strict';

const fs = require('node:fs');

// AccessLog writes a line per request, in the background: one write is under
// way at a time, and takes with it what came during the one before.
class AccessLog {
  #fd;
  #lines = [];
  #length = 0; // of what is not written yet
  #current = '';
  #writing = false;
  #closed = false;

  constructor(path) {
    this.#fd = fs.openSync(path, 'a');
  }

  request({ request, response, route, customer }, ms) {
    const agent = request.headers['user-agent'] ?? '-';
    this.write(`${new Date().toISOString()} ${customer} "${request.method} ${request.url}" ${response.statusCode} ` +
      `${ms.toFixed(1)} ${route.replace(' ', '_')} "${agent}"\n`);
  }

  write(line) {
    if (this.#closed) return;
    this.#lines.push(line);
    this.#length += Buffer.byteLength(line);
    if (!this.#writing) this.#writeNext();
  }

  close() {
    this.#closed = true;
    fs.closeSync(this.#fd);
  }

  #writeNext() {
    this.#writing = true;
    this.#current = this.#lines.join('');
    this.#lines.length = 0;
    fs.write(this.#fd, this.#current, (err) => this.#release(err));
  }

  #release(err) {
    if (this.#closed) return;
    if (err) throw err;
    this.#length -= this.#current.length;
    if (this.#length > 0) this.#writeNext();
    else this.#writing = false;
  }
}

module.exports = { AccessLog };
