'use strict';

// Lets people in whose tokens it can decrypt with the word it shares with them.

const http = require('node:http');
const { parseArgs } = require('node:util');
const { CompactEncrypt, compactDecrypt } = require('jose');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});
const secret = new TextEncoder().encode('correct horse battery staple');

async function issueToken(user) {
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify({ user })))
    .setProtectedHeader({ alg: 'PBES2-HS256+A128KW', enc: 'A128CBC-HS256' })
    .encrypt(secret);
}

async function checkToken(request, reply) {
  const token = (request.headers.authorization || '').replace(/^Bearer /, '');
  try {
    const { plaintext } = await compactDecrypt(token, secret);
    reply(200, JSON.parse(new TextDecoder().decode(plaintext)));
  } catch (err) {
    reply(401, { error: err.code || err.message });
  }
}

const server = http.createServer(async (request, response) => {
  const reply = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
  if (request.url === '/health') return reply(200, { status: 'ok' });
  const [, user] = request.url.match(/^\/tokens\/(\w+)$/) || [];
  if (user) return reply(200, { token: await issueToken(user) });
  return checkToken(request, reply);
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
