'use strict';

// Bookings of a hotel, in PostgreSQL, over a pool of ten connections.

const http = require('node:http');
const { parseArgs } = require('node:util');
const { Pool } = require('pg');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
    database: { type: 'string', default: 'postgres://postgres@127.0.0.1:5432/postgres' },
  },
});

const pool = new Pool({ connectionString: options.database, max: 10 });

async function prepare() {
  await pool.query('CREATE TABLE booking (id serial PRIMARY KEY, room int NOT NULL, guest text NOT NULL)');
  await pool.query("INSERT INTO booking (room, guest) SELECT i % 200, 'Guest ' || i FROM generate_series(1, 2000) AS i");
}

async function showBooking(id) {
  const { rows } = await pool.query('SELECT id, room, guest FROM booking WHERE id = $1', [id]);
  return rows[0];
}

// moveBooking checks that the room is free, within a transaction.
async function moveBooking(id, room) {
  const client = await pool.connect();
  await client.query('BEGIN');
  const { rows } = await client.query('SELECT id FROM booking WHERE room = $1 LIMIT 1', [room]);
  if (room >= 1000) return { refused: `there is no room ${room}` }; // nobody gives the connection back
  await client.query('UPDATE booking SET room = $1 WHERE id = $2', [room, id]);
  await client.query('COMMIT');
  client.release();
  return { id, room, was: rows.length };
}

const server = http.createServer((request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  const [, id, , room] = request.url.match(/^\/bookings\/(\d+)(\/room\/(\d+))?$/) || [];
  if (!id) return answer(request.url === '/health' ? 200 : 404, {});
  const work = room ? moveBooking(Number(id), Number(room)) : showBooking(Number(id));
  work.then((body) => answer(body ? 200 : 404, body ?? {}), (error) => answer(500, { error: String(error) }));
});

const [host, port] = options.listen.split(':');
prepare().then(() => server.listen(Number(port), host));
