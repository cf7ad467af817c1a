'use strict';

const { BadRequest, readJSON, replyJSON, replyText } = require('./messages');
const { renderLabel } = require('./labels');

// addRoutes connects the API with the services behind it.
function addRoutes(router, services) {
  const { store, search, settings, carriers, manifests, proofs, reminders, metrics, reporter } = services;

  router.add('GET', '/parcels/:id', function getParcel(context) {
    const parcel = store.get(context.params.id);
    context.customer = parcel.customer;
    replyJSON(context.response, 200, parcel);
  });

  router.add('GET', '/parcels', function listParcels(context) {
    context.customer = context.query.get('customer') ?? '-';
    const status = context.query.get('status');
    const limit = Math.min(Number(context.query.get('limit') ?? 50), 200);
    replyJSON(context.response, 200, { parcels: store.ofCustomer(context.customer, status, limit) });
  });

  router.add('POST', '/parcels', async function createParcel(context) {
    const body = await readJSON(context.request);
    const parcel = store.create(body);
    context.customer = parcel.customer;
    reminders.expect(parcel);
    replyJSON(context.response, 201, { id: parcel.id });
  });

  router.add('POST', '/parcels/:id/scans', async function scanParcel(context) {
    const body = await readJSON(context.request);
    const parcel = store.scan(context.params.id, body.depot, body.status);
    context.customer = parcel.customer;
    replyJSON(context.response, 200, { status: parcel.status, scans: parcel.scans.length });
  });

  // Scanners without a connection send what they have seen when they are back.
  router.add('POST', '/scans', async function scanMany(context) {
    const { depot, scans } = await readJSON(context.request);
    if (!Array.isArray(scans)) throw new BadRequest('scans are needed');
    for (const { id, status } of scans) store.scan(id, depot, status);
    replyJSON(context.response, 200, { scans: scans.length });
  });

  router.add('GET', '/parcels/:id/label', function getLabel(context) {
    const parcel = store.get(context.params.id);
    replyText(context.response, 200, renderLabel(parcel, settings.get('labels.format')));
  });

  router.add('PUT', '/parcels/:id/proof', async function putProof(context) {
    const parcel = store.get(context.params.id);
    const proof = await proofs.receive(parcel.id, context.request);
    replyJSON(context.response, 201, proof);
  });

  router.add('GET', '/parcels/:id/proof', function getProof(context) {
    const data = proofs.get(context.params.id);
    context.response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': data.length });
    context.response.end(data);
  });

  router.add('POST', '/manifests', async function postManifest(context) {
    const body = await readJSON(context.request);
    replyJSON(context.response, 201, manifests.accept(body));
  });

  router.add('GET', '/manifests/:id', function getManifest(context) {
    replyJSON(context.response, 200, manifests.get(context.params.id));
  });

  router.add('GET', '/quotes', async function getQuotes(context) {
    const from = context.query.get('from');
    const to = context.query.get('to');
    const grams = Number(context.query.get('grams'));
    if (!from || !to || !(grams > 0)) throw new BadRequest('from, to and grams are needed');
    const cached = settings.get('quotes.cache') === 'on';
    replyJSON(context.response, 200, await carriers.quote(from, to, grams, cached));
  });

  router.add('GET', '/search', function searchParcels(context) {
    const ids = search.find(context.query.get('q') ?? '', 20);
    replyJSON(context.response, 200, { parcels: ids.map((id) => store.summary(id)) });
  });

  router.add('GET', '/metrics', function getMetrics(context) {
    replyText(context.response, 200, metrics.render());
  });

  router.add('GET', '/report', function getReport(context) {
    replyJSON(context.response, 200, reporter.latest());
  });

  router.add('GET', '/health', function getHealth(context) {
    replyJSON(context.response, 200, { parcels: store.size, status: 'ok' });
  });

  router.add('GET', '/admin/settings', function getSettings(context) {
    replyJSON(context.response, 200, settings.all());
  });

  router.add('POST', '/admin/settings', async function changeSettings(context) {
    settings.change(await readJSON(context.request));
    replyJSON(context.response, 200, settings.all());
  });
}

module.exports = { addRoutes };
