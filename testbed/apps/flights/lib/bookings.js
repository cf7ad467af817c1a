'use strict';

function problem(status, message) {
  return Object.assign(new Error(message), { status });
}

// Bookings keeps the latest bookings, with their price.
class Bookings {
  #all = new Map();
  #timetable;
  #keep;
  #next = 1;

  constructor(timetable, { keep }) {
    this.#timetable = timetable;
    this.#keep = keep;
  }

  create({ flights, passengers }) {
    if (!Array.isArray(flights) || !Array.isArray(passengers) || passengers.length === 0) {
      throw problem(400, 'flights and passengers are needed');
    }
    const legs = flights.map((number) => this.#timetable.flight(number));
    const booking = { id: `B${this.#next++}`, flights, passengers, cents: price(legs, passengers) };
    this.#all.set(booking.id, booking);
    if (this.#all.size > this.#keep) this.#all.delete(this.#all.keys().next().value);
    return booking;
  }

  get(id) {
    const booking = this.#all.get(id);
    if (!booking) throw problem(404, `no booking ${id}`);
    return booking;
  }

  cancel(id) {
    const booking = this.get(id);
    this.#all.delete(id);
    return { id, refund: Math.floor(booking.cents * 0.8) };
  }
}

function price(legs, passengers) {
  const fare = legs.reduce((sum, leg) => sum + 2500 + leg.takes * 40, 0);
  return passengers.reduce((sum, { age }) => sum + (age < 12 ? fare / 2 : fare), 0);
}

module.exports = { Bookings };
