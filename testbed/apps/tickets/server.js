'use strict';

// Tickets of a help desk, their comments and who works on them, kept in a
// JSON file by json-server.

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const jsonServer = require('json-server');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const file = path.join(options.data, 'tickets.json');
if (!fs.existsSync(file)) fs.writeFileSync(file, JSON.stringify(seed()));

function seed() {
  const agents = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eve'].map((name, i) => ({ id: i + 1, name }));
  const tickets = [];
  const comments = [];
  for (let id = 1; id <= 300; id++) {
    tickets.push({ id, title: `Printer ${id % 40} does not print`, state: id % 3 ? 'open' : 'closed', agentId: 1 + (id % 5) });
    for (let n = 0; n < id % 4; n++) {
      comments.push({ id: comments.length + 1, ticketId: id, body: `Tried step ${n}, no change.` });
    }
  }
  return { tickets, comments, agents, attachments: [] };
}

const app = jsonServer.create();
app.get('/health', (request, response) => response.json({ status: 'ok' }));
app.use(jsonServer.defaults({ logger: false, static: options.data }));
app.use(jsonServer.rewriter({ '/desk/:agent': '/tickets?agentId=:agent&state=open' }));
app.use(jsonServer.bodyParser);
app.use(stamp);
app.use(jsonServer.router(file));

// stamp notes when something was written.
function stamp(request, response, next) {
  if (request.method !== 'GET') request.body.changed = new Date().toISOString();
  next();
}

const [host, port] = options.listen.split(':');
app.listen(Number(port), host);
