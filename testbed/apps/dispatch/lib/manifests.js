'use strict';

const { BadRequest, Conflict, NotFound } = require('./messages');

// Manifest is what a shipper announces for one collection.
class Manifest {
  refs = [];
  duplicates = 0;
  grams = 0;
  zones = {};

  constructor(shipper) {
    this.shipper = shipper;
  }

  addLine({ ref, grams, postcode }) {
    if (typeof ref !== 'string' || !(grams > 0)) throw new BadRequest('a line needs ref and grams');
    if (!this.declare(ref)) return;
    this.grams += grams;
    const zone = zoneOf(postcode);
    this.zones[zone] = (this.zones[zone] ?? 0) + 1;
  }

  // declare notes a reference; shippers send some twice.
  declare(ref) {
    if (this.refs.indexOf(ref) > -1) {
      this.duplicates++;
      return false;
    }
    this.refs.push(ref);
    return true;
  }

  totals() {
    const { shipper, duplicates, grams, zones } = this;
    return { shipper, parcels: this.refs.length, duplicates, grams, zones };
  }
}

function zoneOf(postcode) {
  const first = String(postcode ?? '')[0];
  return first >= '0' && first <= '9' ? `zone-${first}` : 'zone-x';
}

// ManifestDesk accepts manifests and keeps the totals of the latest.
class ManifestDesk {
  #latest = new Map();
  #keep;
  #next = 1;

  constructor({ keep }) {
    this.#keep = keep;
  }

  accept({ shipper, lines }) {
    if (!shipper || !Array.isArray(lines)) throw new BadRequest('shipper and lines are needed');
    const manifest = new Manifest(shipper);
    for (const line of lines) manifest.addLine(line);
    if (manifest.refs.length === 0) throw new Conflict('the manifest is empty');
    const id = `m${this.#next++}`;
    this.#latest.set(id, manifest.totals());
    if (this.#latest.size > this.#keep) this.#latest.delete(this.#latest.keys().next().value);
    return { id, ...this.#latest.get(id) };
  }

  get(id) {
    const totals = this.#latest.get(id);
    if (!totals) throw new NotFound(`no manifest ${id}`);
    return totals;
  }
}

module.exports = { ManifestDesk };
