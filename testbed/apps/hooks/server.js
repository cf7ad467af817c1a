'use strict';

// Tells customers' servers, which it knows by name, of events, and keeps
// receipts.

const fs = require('node:fs/promises');
const http = require('node:http');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
    port: { type: 'string' }, // where customers' servers listen
  },
});
const receipts = path.join(options.data, 'receipts');

function notify(customer) {
  return new Promise((resolve, reject) => {
    http.get({ host: `customer-${customer}.hooks.test`, port: options.port, path: '/app/page', agent: false }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode));
      answer.on('error', reject);
    }).on('error', reject);
  });
}

async function handle(request) {
  const [, what, customer] = request.url.match(/^\/(events|receipts)\/(\d+)$/) || [];
  if (what === 'events') return { customer, status: await notify(customer) };
  if (what === 'receipts') return { customer, text: await fs.readFile(receipts, 'utf8') };
  return { status: 'ok' };
}

const server = http.createServer((request, response) => {
  handle(request).then(
    (body) => response.end(JSON.stringify(body)),
    (err) => { response.statusCode = 502; response.end(err.message); },
  );
});

const [host, port] = options.listen.split(':');
fs.writeFile(receipts, 'delivered\n'.repeat(50)).then(() => server.listen(Number(port), host));
