'use strict';

// Errands that people want done, and those who come for some of them.

const http = require('node:http');
const { parseArgs } = require('node:util');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const waiting = [];
let asked = 0;

function addErrands(many) {
  for (let i = 0; i < many; i++) waiting.push({ number: (asked += 1), street: asked % 700, what: 'letter' });
  return waiting.length;
}

// The mistake: to take the first of a long array moves all others.
function takeErrands(many) {
  const taken = [];
  while (taken.length < many && waiting.length > 0) taken.push(waiting.shift());
  return taken;
}

function planStreets(from) {
  const plan = [];
  for (let i = 0; i < 60; i++) plan.push({ street: (from + i * 37) % 700, minutes: (i * i) % 50 });
  return plan.sort((a, b) => a.minutes - b.minutes);
}

const server = http.createServer((request, response) => {
  const [, what, number] = request.url.match(/^\/(add|take|plan)\/(\d+)/) || [];
  let answer = {};
  if (what === 'add') answer = addErrands(Number(number));
  if (what === 'take') answer = takeErrands(Number(number));
  if (what === 'plan') answer = planStreets(Number(number));
  response.writeHead(what || request.url === '/health' ? 200 : 404, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answer));
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
