'use strict';

// A mailroom: letters are sorted by the date that their senders wrote on them.

const http = require('node:http');
const { parseArgs } = require('node:util');
const moment = require('moment');

moment.suppressDeprecationWarnings = true;

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const days = new Map();

function fileLetter({ from, date, text }) {
  const written = moment(date);
  const day = written.isValid() ? written.format('YYYY-MM-DD') : 'undated';
  const letters = days.get(day) ?? [];
  letters.push({ from, text });
  if (letters.length > 50) letters.shift();
  days.set(day, letters);
  return { day, number: letters.length };
}

function showDay(day) {
  return (days.get(day) ?? []).map(({ from, text }) => `${from}: ${text.slice(0, 60)}`);
}

const server = http.createServer((request, response) => {
  const answer = (status, content) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(content));
  };
  if (request.method === 'GET') {
    const [, day] = request.url.match(/^\/days\/([\w-]+)$/) || [];
    return answer(day || request.url === '/health' ? 200 : 404, day ? showDay(day) : {});
  }
  let body = '';
  request.on('data', (piece) => { body += piece; });
  request.on('end', () => answer(201, fileLetter(JSON.parse(body))));
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
