'use strict';

// Forecasts of cities, which another service has: eight connections to it.

const http = require('node:http');
const { parseArgs } = require('node:util');
const { Pool } = require('undici');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
    upstream: { type: 'string', default: 'http://127.0.0.1:9090' },
  },
});

const pool = new Pool(options.upstream, { connections: 8, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });

// fetchForecast asks for a city. The mistake: nobody reads what comes with a refusal,
// and its connection is not free until somebody did.
async function fetchForecast(city) {
  const path = city < 5000 ? `/app/page?city=${city}` : `/app/absent?city=${city}`;
  const { statusCode, body } = await pool.request({ path, method: 'GET' });
  if (statusCode !== 200) return null;
  return (await body.text()).length;
}

const server = http.createServer((request, response) => {
  const answer = (status, content) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(content));
  };
  const [, city] = request.url.match(/^\/forecasts\/(\d+)$/) || [];
  if (!city) return answer(request.url === '/health' ? 200 : 404, {});
  fetchForecast(Number(city)).then(
    (length) => answer(length === null ? 404 : 200, { city, length }),
    (error) => answer(502, { error: String(error) }),
  );
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
