'use strict';

// The menu of a canteen in two languages.

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { parseArgs } = require('node:util');
const i18n = require('i18n');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

// What translators have done so far.
const DISHES = 6000;
const directory = path.join(options.data, 'locales');
fs.mkdirSync(directory, { recursive: true });
for (const [locale, word] of [['en', 'dish'], ['de', 'Gericht']]) {
  const texts = { 'of the day': locale === 'en' ? 'of the day' : 'des Tages' };
  for (let i = 0; i < DISHES; i++) texts[`dish ${i}`] = `${word} number ${i}, with vegetables of the season`;
  fs.writeFileSync(path.join(directory, `${locale}.json`), JSON.stringify(texts, null, '\t'));
}
i18n.configure({ locales: ['en', 'de'], directory });

function showDish(request, response, dish) {
  i18n.init(request, response);
  const locale = request.getLocale();
  const lines = [i18n.__({ phrase: dish, locale }), i18n.__({ phrase: 'of the day', locale })];
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-language': locale });
  response.end(`<!doctype html>\n<p>${lines.join(' ')}</p>\n`);
}

const server = http.createServer((request, response) => {
  const [, dish] = request.url.match(/^\/dishes\/([\w%-]+)$/) || [];
  if (dish) return showDish(request, response, decodeURIComponent(dish));
  response.writeHead(request.url === '/health' ? 200 : 404);
  response.end();
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
