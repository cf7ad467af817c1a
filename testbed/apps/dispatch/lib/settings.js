'use strict';

const { EventEmitter } = require('node:events');
const { BadRequest } = require('./messages');

// What an administrator may change while the service runs, with the values
// that are allowed.
const known = {
  'journal.sync': ['interval', 'always'],
  'quotes.cache': ['on', 'off'],
  'labels.format': ['text', 'zpl'],
};

// Settings holds the running configuration and tells who listens of changes.
class Settings extends EventEmitter {
  #values = new Map([
    ['journal.sync', 'interval'],
    ['quotes.cache', 'on'],
    ['labels.format', 'text'],
  ]);

  get(name) {
    return this.#values.get(name);
  }

  all() {
    return Object.fromEntries(this.#values);
  }

  change(changes) {
    for (const [name, value] of Object.entries(changes)) this.#check(name, value);
    for (const [name, value] of Object.entries(changes)) {
      this.#values.set(name, value);
      this.emit('change', name, value);
    }
  }

  #check(name, value) {
    if (!(name in known)) throw new BadRequest(`unknown setting ${name}`);
    if (!known[name].includes(value)) {
      throw new BadRequest(`${name} must be one of ${known[name].join(', ')}`);
    }
  }
}

module.exports = { Settings };
