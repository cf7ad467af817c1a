'use strict';

const { parseArgs } = require('node:util');

const options = {
  listen: { type: 'string', default: '127.0.0.1:8080' },
  data: { type: 'string', default: '.' },
  carrier: { type: 'string', default: 'http://127.0.0.1:8081' },
  'audit-pipe': { type: 'string', default: '' },
  capacity: { type: 'string', default: '20000' },
  seed: { type: 'string', default: '5000' },
};

// readOptions turns the command line into the service's options.
function readOptions(args) {
  const { values } = parseArgs({ args, options });
  return {
    listen: values.listen,
    data: values.data,
    carrier: values.carrier,
    auditPipe: values['audit-pipe'],
    capacity: positive('capacity', values.capacity),
    seed: positive('seed', values.seed),
  };
}

function positive(name, text) {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new Error(`--${name} must be a positive number, not ${text}`);
  return n;
}

module.exports = { readOptions };
