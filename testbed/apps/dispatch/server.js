'use strict';

// A parcel dispatch service: parcels and their scans in memory with a journal
// on disk, labels, manifests, proofs of delivery, rates asked of carriers.

const http = require('node:http');
const path = require('node:path');

const { readOptions } = require('./lib/options');
const { AccessLog } = require('./lib/access_log');
const { AuditTrail } = require('./lib/audit_trail');
const { CarrierClient } = require('./lib/carrier_client');
const { Journal } = require('./lib/journal');
const { ManifestDesk } = require('./lib/manifests');
const { Metrics } = require('./lib/metrics');
const { ProofArchive } = require('./lib/proofs');
const { ReminderBook } = require('./lib/reminders');
const { Reporter } = require('./lib/reporter');
const { Router } = require('./lib/router');
const { SearchIndex } = require('./lib/search_index');
const { Settings } = require('./lib/settings');
const { ParcelStore } = require('./lib/parcel_store');
const { replyError } = require('./lib/messages');
const { addRoutes } = require('./lib/routes');

function build(options) {
  const settings = new Settings();
  const metrics = new Metrics();
  const journal = new Journal(path.join(options.data, 'journal'), settings);
  const search = new SearchIndex();
  const store = new ParcelStore({ capacity: options.capacity, journal, search });
  return {
    settings,
    metrics,
    journal,
    search,
    store,
    log: new AccessLog(path.join(options.data, 'access.log')),
    audit: new AuditTrail(options.auditPipe),
    carriers: new CarrierClient(options.carrier),
    manifests: new ManifestDesk({ keep: 200 }),
    proofs: new ProofArchive({ keep: 32 }),
    reminders: new ReminderBook(store),
    reporter: new Reporter(path.join(options.data, 'report.json'), metrics, store),
  };
}

function createServer(services) {
  const router = new Router();
  addRoutes(router, services);

  async function handle(request, response) {
    const started = process.hrtime.bigint();
    const context = { request, response, customer: '-', route: 'none' };
    response.on('finish', () => finish(context, started));
    try {
      await router.dispatch(context);
    } catch (err) {
      replyError(response, err);
    }
  }

  function finish(context, started) {
    const ms = Number(process.hrtime.bigint() - started) / 1e6;
    services.metrics.observe(context.route, context.response.statusCode, ms);
    services.log.request(context, ms);
    services.audit.record(context);
  }

  const server = http.createServer({ keepAliveTimeout: 60_000 }, handle);
  server.on('clientError', (err, socket) => {
    services.metrics.count('client_errors');
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  });
  return server;
}

function main() {
  const options = readOptions(process.argv.slice(2));
  const services = build(options);
  services.store.seed(options.seed);
  services.reporter.start();
  services.reminders.start();

  const server = createServer(services);
  const [host, port] = options.listen.split(':');
  server.listen(Number(port), host);

  const stop = async () => {
    server.close();
    server.closeAllConnections();
    services.reminders.stop();
    services.carriers.close();
    await services.reporter.stop();
    services.journal.close();
    services.log.close();
    services.audit.close();
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

main();
