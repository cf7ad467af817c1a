'use strict';

const { HttpError, NotFound } = require('./messages');

// Router finds the handler of a request by method and path; a segment that
// begins with a colon matches anything and becomes a parameter.
class Router {
  #routes = [];

  add(method, pattern, handler) {
    this.#routes.push({ method, pattern, segments: split(pattern), handler });
  }

  async dispatch(context) {
    const { request } = context;
    const mark = request.url.indexOf('?');
    const path = mark < 0 ? request.url : request.url.slice(0, mark);
    context.query = new URLSearchParams(mark < 0 ? '' : request.url.slice(mark + 1));
    const route = this.#find(request.method, split(path), context);
    context.route = `${route.method} ${route.pattern}`;
    await route.handler(context);
  }

  #find(method, segments, context) {
    let otherMethod = false;
    for (const route of this.#routes) {
      const params = match(route.segments, segments);
      if (!params) continue;
      if (route.method === method) {
        context.params = params;
        return route;
      }
      otherMethod = true;
    }
    if (otherMethod) throw new HttpError(405, `${method} is not allowed here`);
    throw new NotFound('no such resource');
  }
}

function split(path) {
  return path.split('/').filter(Boolean);
}

function match(pattern, segments) {
  if (pattern.length !== segments.length) return null;
  const params = {};
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i][0] === ':') params[pattern[i].slice(1)] = decodeURIComponent(segments[i]);
    else if (pattern[i] !== segments[i]) return null;
  }
  return params;
}

module.exports = { Router };
