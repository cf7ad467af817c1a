'use strict';

// Auctions: who watches a lot is told of the next bid, if one comes soon.

const http = require('node:http');
const { EventEmitter } = require('node:events');
const { parseArgs } = require('node:util');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const bids = new EventEmitter();
bids.setMaxListeners(0); // the warning was a nuisance
const lots = Array.from({ length: 500 }, (_, id) => ({ id, highest: 10, bidders: [] }));

function placeBid(id, amount) {
  const lot = lots[id];
  lot.highest = Math.max(lot.highest, amount);
  lot.bidders = [...lot.bidders, amount].slice(-20);
  bids.emit('bid', { lot: id, amount, at: new Date() });
  return { id, highest: lot.highest };
}

// watchLot tells of the next bid on a lot, or of none. The mistake: its listener stays.
function watchLot(id) {
  return new Promise((resolve) => {
    const seen = [];
    bids.on('bid', function noticeBid(bid) {
      seen.push(`${bid.at.toISOString()}: ${bid.amount} for lot ${bid.lot}`);
      if (seen.length > 3) seen.shift();
      if (bid.lot === id) resolve({ id, amount: bid.amount });
    });
    setTimeout(resolve, 20, { id, highest: lots[id].highest });
  });
}

const server = http.createServer(async (request, response) => {
  const answer = (status, content) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(content));
  };
  const [, id, verb, amount] = request.url.match(/^\/lots\/(\d+)(?:\/(next|bids)(?:\/(\d+))?)?$/) || [];
  if (!id) return answer(request.url === '/health' ? 200 : 404, {});
  if (verb === 'bids') return answer(201, placeBid(Number(id), Number(amount)));
  answer(200, verb === 'next' ? await watchLot(Number(id)) : lots[id]);
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
