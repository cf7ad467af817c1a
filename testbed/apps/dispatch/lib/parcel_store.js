'use strict';

const { BadRequest, Conflict, NotFound } = require('./messages');

const statuses = ['announced', 'collected', 'sorted', 'loaded', 'out', 'delivered', 'returned'];
const maxScans = 20;

// ParcelStore keeps the parcels under way. When it is full the oldest leaves
// it; the journal has them all.
class ParcelStore {
  #parcels = new Map(); // id to parcel, oldest first
  #customers = new Map(); // customer to the ids of its parcels
  #next = 1;
  #capacity;
  #journal;
  #search;

  constructor({ capacity, journal, search }) {
    this.#capacity = capacity;
    this.#journal = journal;
    this.#search = search;
  }

  get size() {
    return this.#parcels.size;
  }

  get(id) {
    const parcel = this.#parcels.get(id);
    if (!parcel) throw new NotFound(`no parcel ${id}`);
    return parcel;
  }

  summary(id) {
    const { customer, status, address } = this.get(id);
    return { id, customer, status, city: address.city };
  }

  ofCustomer(customer, status, limit) {
    const out = [];
    for (const id of this.#customers.get(customer) ?? []) {
      const parcel = this.#parcels.get(id);
      if (status && parcel.status !== status) continue;
      out.push({ id, status: parcel.status, grams: parcel.grams, city: parcel.address.city });
      if (out.length === limit) break;
    }
    return out;
  }

  create(body) {
    const parcel = this.#admit(body);
    this.#journal.append({ op: 'create', parcel });
    return parcel;
  }

  scan(id, depot, status) {
    if (!statuses.includes(status)) throw new BadRequest(`unknown status ${status}`);
    const parcel = this.get(id);
    if (parcel.status === 'returned') throw new Conflict(`parcel ${id} has been returned`);
    parcel.scans.push({ depot, status, at: Date.now() });
    if (parcel.scans.length > maxScans) parcel.scans.shift();
    parcel.status = status;
    this.#journal.append({ op: 'scan', id, depot, status });
    return parcel;
  }

  counts() {
    const counts = Object.fromEntries(statuses.map((s) => [s, 0]));
    for (const parcel of this.#parcels.values()) counts[parcel.status]++;
    return counts;
  }

  // seed fills the store as after a restart.
  seed(count) {
    const cities = ['Aarhus', 'Bremen', 'Cork', 'Delft', 'Essen', 'Ghent', 'Hull', 'Lille'];
    for (let i = 0; i < count; i++) {
      this.#admit({
        customer: `c${i % 400}`,
        grams: 100 + ((i * 37) % 5000),
        address: { name: `Receiver ${i}`, street: `Street ${i % 300}`, city: cities[i % cities.length] },
      });
    }
  }

  #admit({ customer, grams, address }) {
    if (typeof customer !== 'string' || !(grams > 0)) throw new BadRequest('customer and grams are needed');
    if (!address?.name || !address.city) throw new BadRequest('the address needs a name and a city');
    const id = `p${this.#next++}`;
    const parcel = { id, customer, grams, address, status: 'announced', scans: [] };
    this.#parcels.set(id, parcel);
    const ids = this.#customers.get(customer);
    if (ids) ids.add(id);
    else this.#customers.set(customer, new Set([id]));
    this.#search.add(id, `${address.name} ${address.city} ${customer}`);
    if (this.#parcels.size > this.#capacity) this.#dropOldest();
    return parcel;
  }

  #dropOldest() {
    const [id, parcel] = this.#parcels.entries().next().value;
    this.#parcels.delete(id);
    const ids = this.#customers.get(parcel.customer);
    ids.delete(id);
    if (ids.size === 0) this.#customers.delete(parcel.customer);
    this.#search.remove(id);
  }
}

module.exports = { ParcelStore };
