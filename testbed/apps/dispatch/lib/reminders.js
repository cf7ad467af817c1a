'use strict';

const checkEvery = 500; // ms
const expectWithin = 5000; // ms until an announced parcel should have been seen
const maxExpected = 5000;

// ReminderBook looks for parcels that were announced and never collected.
class ReminderBook {
  #store;
  #expected = []; // {id, due}, in the order of due
  #timer = null;
  late = 0;

  constructor(store) {
    this.#store = store;
  }

  start() {
    this.#timer = setTimeout(() => this.#check(), checkEvery);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  expect(parcel) {
    if (this.#expected.length < maxExpected) this.#expected.push({ id: parcel.id, due: Date.now() + expectWithin });
  }

  #check() {
    const now = Date.now();
    let done = 0;
    while (done < this.#expected.length && this.#expected[done].due <= now) {
      if (this.#isLate(this.#expected[done].id)) this.late++;
      done++;
    }
    this.#expected.splice(0, done);
    this.#timer = setTimeout(() => this.#check(), checkEvery);
  }

  #isLate(id) {
    try {
      return this.#store.get(id).status === 'announced';
    } catch {
      return false; // it has left the store
    }
  }
}

module.exports = { ReminderBook };
