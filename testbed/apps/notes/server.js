'use strict';

// Shared notes with comments, written in Markdown.

const http = require('node:http');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { Notes } = require('./lib/notes');
const { Renderer } = require('./lib/renderer');
const { Files } = require('./lib/files');
const { EventLog } = require('./lib/event_log');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const log = new EventLog(path.join(options.data, 'events.log'));
const renderer = new Renderer({ cached: 100 });
const files = new Files(path.join(options.data, 'files'));
const notes = new Notes({ keep: 1000, log });
notes.seed(500);

const routes = [
  ['GET', /^\/health$/, (request, [], reply) => reply(200, { status: 'ok' })],
  ['GET', /^\/notes$/, (request, [], reply) => reply(200, notes.list(50))],
  ['GET', /^\/notes\/(\d+)$/, showNote],
  ['GET', /^\/notes\/(\d+)\/raw$/, (request, [id], reply) => reply(200, notes.get(Number(id)))],
  ['POST', /^\/notes$/, createNote],
  ['POST', /^\/notes\/(\d+)\/comments$/, addComment],
  ['POST', /^\/preview$/, preview],
  ['PUT', /^\/files\/([\w-]+\.\w+)$/, putFile],
];

function showNote(request, [id], reply) {
  const note = notes.get(Number(id));
  const comments = note.comments.map((text) => renderer.render(text));
  reply(200, { id: note.id, title: note.title, html: files.markMissing(renderer.render(note.text)), comments });
}

async function createNote(request, [], reply) {
  const { title, text } = await readJSON(request);
  reply(201, { id: notes.create(title, text).id });
}

async function addComment(request, [id], reply) {
  const { text } = await readJSON(request);
  const note = notes.comment(Number(id), text);
  reply(201, { comments: note.comments.length, html: renderer.render(text) });
}

async function preview(request, [], reply) {
  const { text } = await readJSON(request);
  reply(200, { html: renderer.renderOnce(text) });
}

async function putFile(request, [name], reply) {
  files.add(name, await readBody(request));
  reply(201, { name });
}

const maxBody = 128 << 10;

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > maxBody) throw Object.assign(new Error('too large'), { status: 413 });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function readJSON(request) {
  return JSON.parse(await readBody(request));
}

async function handle(request, response) {
  const reply = (status, value) => {
    const body = Buffer.from(JSON.stringify(value));
    response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    response.end(body);
  };
  const [target] = request.url.split('?');
  try {
    for (const [method, pattern, handler] of routes) {
      const match = method === request.method && pattern.exec(target);
      if (match) return await handler(request, match.slice(1), reply);
    }
    reply(404, { error: 'no such page' });
  } catch (err) {
    reply(err.status ?? 500, { error: err.message });
  }
}

const server = http.createServer(handle);
const [host, port] = options.listen.split(':');
server.listen(Number(port), host);

process.on('SIGTERM', () => {
  log.close();
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
