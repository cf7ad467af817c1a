'use strict';

// Departures of ferries: a list, and a stream of each harbour's as they change.

const http = require('node:http');
const { parseArgs } = require('node:util');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const ferries = [];
for (let i = 0; i < 600; i++) ferries.push({ id: i, harbour: i % 30, minute: (i * 37) % 1440, late: 0 });

function nextDepartures(harbour) {
  return ferries.filter((f) => f.harbour === harbour % 30).sort((a, b) => a.minute - b.minute).slice(0, 10);
}

// What changed since the last time, for who has the stream open.
function announceChanges(board) {
  const now = JSON.stringify(nextDepartures(board.harbour));
  if (now === board.last) return;
  board.last = now;
  board.response.write(`data: ${now}\n\n`);
}

// The mistake: nobody stops the timer when the stream is closed.
function openBoard(harbour, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const board = { harbour, response, last: '' };
  setInterval(announceChanges, 100, board);
  announceChanges(board);
}

const server = http.createServer((request, response) => {
  const [, what, number] = request.url.match(/^\/(harbours|boards|late)\/(\d+)/) || [];
  if (what === 'boards') return openBoard(Number(number), response);
  if (what === 'late') ferries[Number(number) % ferries.length].late += 1;
  response.writeHead(what || request.url === '/health' ? 200 : 404, { 'content-type': 'application/json' });
  return response.end(what === 'harbours' ? JSON.stringify(nextDepartures(Number(number))) : '{}');
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
