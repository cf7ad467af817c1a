'use strict';

// A photo booth over HTTP. Some of its requests take a slow way from its first second
// on, which an option chooses.
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { parseArgs } = require('util');

const { values } = parseArgs({
  options: { listen: { type: 'string' }, data: { type: 'string' }, slow: { type: 'string' }, permille: { type: 'string' } },
});
const permille = Number(values.permille || 0);

function signPicture(id, pages) {
  let digest = String(id);
  for (let i = 0; i < pages; i++) digest = crypto.createHash('sha256').update(digest.repeat(40)).digest('hex');
  return digest;
}

function collectAssets(dir) {
  let bytes = 0;
  for (let turn = 0; turn < 3; turn++) {
    for (const name of fs.readdirSync(dir)) bytes += fs.statSync(path.join(dir, name)).size;
  }
  return bytes;
}

function serialiseHistory(id, steps) {
  const list = [];
  for (let i = 0; i < steps; i++) list.push({ id, step: i, at: 'picture ' + (i % 97) });
  return JSON.stringify(list).length;
}

if (values.slow === 'assets') {
  for (let i = 0; i < 2000; i++) fs.writeFileSync(path.join(values.data, 'asset-' + i), 'x');
}

const server = http.createServer((request, response) => {
  const id = Number(request.url.split('/').pop()) || 999;
  let pages = 150;
  if (id % 1000 < permille) {
    if (values.slow === 'assets') collectAssets(values.data);
    else if (values.slow === 'history') serialiseHistory(id, 150000);
    else if (values.slow === 'short-history') serialiseHistory(id, 30000);
    else if (values.slow === 'large') pages *= 30;
  }
  response.end(signPicture(id, pages));
});
const [host, port] = values.listen.split(':');
server.listen(Number(port), host);
