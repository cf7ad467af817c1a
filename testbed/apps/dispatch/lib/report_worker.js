'use strict';

const fs = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
const { bounds } = require('./metrics');

let before = new Map();

parentPort.on('message', ({ routes, parcels }) => {
  const report = { at: new Date().toISOString(), parcels, routes: routes.map(summarise) };
  before = new Map(routes.map(({ route, counts }) => [route, counts]));
  fs.writeFileSync(workerData.file, JSON.stringify(report, null, 2));
  parentPort.postMessage(report);
});

// summarise tells of the requests since the report before.
function summarise({ route, counts }) {
  const old = before.get(route);
  const since = counts.map((n, i) => n - (old ? old[i] : 0));
  const requests = since.reduce((a, b) => a + b, 0);
  return { route, requests, p50: quantile(since, requests, 0.5), p99: quantile(since, requests, 0.99) };
}

function quantile(counts, total, q) {
  let sum = 0;
  for (let i = 0; i < counts.length; i++) {
    sum += counts[i];
    if (sum >= total * q) return bounds[i] ?? bounds[bounds.length - 1];
  }
  return 0;
}
