'use strict';

const fs = require('node:fs');
const path = require('node:path');

// requestLog writes a line per request.
function requestLog(directory) {
  const file = fs.createWriteStream(path.join(directory, 'access.log'), { flags: 'a' });
  return function logRequest(req, res, next) {
    const started = Date.now();
    res.on('finish', () => file.write(`${req.method} ${req.originalUrl.slice(0, 200)} ${res.statusCode} ${Date.now() - started}\n`));
    next();
  };
}

// requireKey lets travel agents in.
function requireKey(req, res, next) {
  if (!req.get('x-agent-key')) {
    res.status(401).json({ error: 'x-agent-key is needed' });
    return;
  }
  next();
}

function notFound(req, res) {
  res.status(404).json({ error: 'no such page' });
}

// failed has four parameters: that is how Express knows it.
function failed(err, req, res, next) {
  if (res.headersSent) {
    next(err);
    return;
  }
  res.status(err.status ?? 500).json({ error: err.message });
}

module.exports = { requestLog, requireKey, notFound, failed };
