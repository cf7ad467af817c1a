'use strict';

const { parseArgs } = require('node:util');

const { values } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8082' },
    data: { type: 'string', default: '.' },
    redis: { type: 'string', default: 'redis://127.0.0.1:6379' },
    postgres: { type: 'string', default: 'postgres://postgres@127.0.0.1:5432/postgres' },
    rows: { type: 'string', default: '1000' },
  },
});

exports.options = { ...values, rows: Number(values.rows) };
