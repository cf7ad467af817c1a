'use strict';

// Connections, fares and bookings of an airline, with Express.

const { parseArgs } = require('node:util');
const express = require('express');

const { Timetable } = require('./lib/timetable');
const { Bookings } = require('./lib/bookings');
const { requestLog, requireKey, notFound, failed } = require('./lib/middleware');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const timetable = new Timetable();
const bookings = new Bookings(timetable, { keep: 2000 });

const app = express();
app.set('etag', false);
app.disable('x-powered-by');
app.use(requestLog(options.data));
app.use(express.json({ limit: '64kb' }));

app.get('/health', (req, res) => res.json({ status: 'ok' }));
app.get('/airports', (req, res) => res.json(timetable.airports()));
app.get('/airports/:code', (req, res) => res.json(timetable.airport(req.params.code)));
app.get('/airports/:code/departures', (req, res) => {
  res.json(timetable.departures(req.params.code, Number(req.query.limit ?? 20)));
});

// The pages of the web site: /flights/BRU-OSL.
app.get('/flights/:from-:to', (req, res) => {
  res.json(timetable.connections(req.params.from, req.params.to));
});
app.get('/flights/:number', (req, res) => res.json(timetable.flight(req.params.number)));

const agents = express.Router();
agents.use(requireKey);
agents.post('/', (req, res) => res.status(201).json(bookings.create(req.body)));
agents.get('/:id', (req, res) => res.json(bookings.get(req.params.id)));
agents.delete('/:id', (req, res) => res.json(bookings.cancel(req.params.id)));
app.use('/bookings', agents);

app.use(notFound);
app.use(failed);

const [host, port] = options.listen.split(':');
const server = app.listen(Number(port), host);

process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
