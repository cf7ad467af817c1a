'use strict';

// What says whether answers are as a schema has them, kept for the next.

const Ajv = require('ajv');

const known = new Map();

// The mistake: a schema that came with a request is an object of its own, which is never
// found again.
function checkOf(schema) {
  let check = known.get(schema);
  if (!check) {
    check = new Ajv({ allErrors: true }).compile(schema);
    if (known.size > 200) known.delete(known.keys().next().value);
    known.set(schema, check);
  }
  return check;
}

module.exports = { checkOf };
