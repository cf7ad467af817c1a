'use strict';

// The catalogue of a library behind GraphQL.

const http = require('node:http');
const { parseArgs } = require('node:util');
const { buildSchema, graphql } = require('graphql');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const schema = buildSchema(`
  type Author { id: ID!, name: String!, books: [Book!]! }
  type Book { id: ID!, title: String!, year: Int!, author: Author! }
  type Query { book(id: ID!): Book, search(word: String!, first: Int = 10): [Book!]! }
`);

const BOOKS = 3000;
const AUTHORS = 200;
const authors = Array.from({ length: AUTHORS }, (_, id) => ({ id, name: `Author ${id}`, books: [] }));
const books = Array.from({ length: BOOKS }, (_, id) => {
  const author = authors[id % AUTHORS];
  const book = { id, title: `Volume ${id} of part ${id % 17}`, year: 1900 + (id % 120), author };
  author.books.push(book);
  return book;
});

const rootValue = {
  book: ({ id }) => books[Number(id)],
  search: ({ word, first }) => {
    const found = [];
    for (const book of books) {
      if (found.length >= first) break;
      if (book.title.includes(word)) found.push(book);
    }
    return found;
  },
};

async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { query, variables } = JSON.parse(Buffer.concat(chunks));
  const result = await graphql({ schema, source: query, rootValue, variableValues: variables });
  response.writeHead(result.errors ? 400 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(result));
}

const server = http.createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/graphql') {
    answer(request, response).catch(() => {
      response.writeHead(400);
      response.end();
    });
    return;
  }
  response.writeHead(request.url === '/health' ? 200 : 404);
  response.end();
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
