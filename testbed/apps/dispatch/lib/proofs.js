'use strict';

const { createHash } = require('node:crypto');
const { BadRequest, NotFound, TooLarge } = require('./messages');

const maxProof = 16 << 20;

// Upload is a document that is being received.
class Upload {
  data = Buffer.alloc(0);

  addChunk(chunk) {
    if (this.data.length + chunk.length > maxProof) throw new TooLarge(maxProof);
    this.data = Buffer.concat([this.data, chunk]);
  }

  digest() {
    return createHash('sha256').update(this.data).digest('hex');
  }
}

// ProofArchive keeps the latest proofs of delivery: signatures and photographs.
class ProofArchive {
  #proofs = new Map();
  #keep;

  constructor({ keep }) {
    this.#keep = keep;
  }

  async receive(id, request) {
    const upload = new Upload();
    for await (const chunk of request) upload.addChunk(chunk);
    if (upload.data.length === 0) throw new BadRequest('the proof is empty');
    this.#proofs.delete(id);
    this.#proofs.set(id, upload.data);
    if (this.#proofs.size > this.#keep) this.#proofs.delete(this.#proofs.keys().next().value);
    return { id, bytes: upload.data.length, sha256: upload.digest() };
  }

  get(id) {
    const data = this.#proofs.get(id);
    if (!data) throw new NotFound(`no proof for ${id}`);
    return data;
  }
}

module.exports = { ProofArchive };
