'use strict';

class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

class BadRequest extends HttpError {
  constructor(message) {
    super(400, message);
  }
}

class NotFound extends HttpError {
  constructor(message) {
    super(404, message);
  }
}

class Conflict extends HttpError {
  constructor(message) {
    super(409, message);
  }
}

class TooLarge extends HttpError {
  constructor(limit) {
    super(413, `the body is larger than ${limit} bytes`);
  }
}

const maxJSON = 1 << 20;

// readJSON reads the body of a request.
async function readJSON(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > maxJSON) throw new TooLarge(maxJSON);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new BadRequest('the body is not JSON');
  }
}

function replyJSON(response, status, value) {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length });
  response.end(body);
}

function replyText(response, status, text) {
  const body = Buffer.from(text);
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length });
  response.end(body);
}

function replyError(response, err) {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const status = err instanceof HttpError ? err.status : 500;
  replyJSON(response, status, { error: err.message });
}

module.exports = { BadRequest, NotFound, Conflict, TooLarge, HttpError, readJSON, replyJSON, replyText, replyError };
