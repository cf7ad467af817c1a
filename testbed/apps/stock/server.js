'use strict';
// The market's stock: how many there are (postgres), how many were asked for
// (redis). Instrumented from outside: node --require
// @opentelemetry/auto-instrumentations-node/register server.js

const http = require('node:http');
const { trace } = require('@opentelemetry/api');
const Redis = require('ioredis');
const { Pool } = require('pg');
const { options } = require('./lib/options');
const { rankWarehouses } = require('./lib/warehouses');
const { Journal } = require('./lib/journal');

const redis = new Redis(options.redis);
const pool = new Pool({ connectionString: options.postgres, max: 4 });
const journal = new Journal(options.data);
const faults = { rank: false, journal: false };

// mark writes down, for who evaluates a run, that the present request ran
// through the faulty code. Nothing else reads it.
function mark() {
  trace.getActiveSpan()?.setAttribute('testbed.faulty', true);
}

async function stock(item) {
  const asked = await redis.hincrby('asked', String(item), 1);
  const found = await pool.query('SELECT balance FROM accounts WHERE id = $1', [1 + (item % options.rows)]);
  if (faults.rank) {
    mark();
    rankWarehouses(item);
  }
  if (faults.journal) {
    mark();
    journal.append(item, asked);
  }
  return `${found.rows[0]?.balance ?? 0} (asked for ${asked} times)`;
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://stock');
  try {
    switch (url.pathname) {
      case '/health':
        response.end('ok');
        return;
      case '/fault':
        faults[url.searchParams.get('name')] = url.searchParams.get('on') === '1';
        response.end('ok');
        return;
    }
    response.end(await stock(Number(url.searchParams.get('item'))));
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
});

const at = options.listen.lastIndexOf(':');
server.listen(Number(options.listen.slice(at + 1)), options.listen.slice(0, at));
process.on('SIGTERM', () => process.exit(0));
