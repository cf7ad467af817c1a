'use strict';

const cities = 'AMS ARN ATH BCN BRU BUD CDG CPH DUB EDI FCO FRA GVA HAM HEL IST KRK LIS LHR MAD MAN MUC MXP OSL OTP PRG RIX SOF TLL VIE VNO WAW ZAG ZRH'.split(' ');

function notFound(message) {
  return Object.assign(new Error(message), { status: 404 });
}

// Timetable knows every flight of a day and finds connections with one change.
class Timetable {
  #flights = new Map();
  #from = new Map();

  constructor() {
    let number = 100;
    for (const [i, from] of cities.entries()) {
      for (const [j, to] of cities.entries()) {
        if (i === j || (i * 7 + j * 3) % 4 !== 0) continue;
        for (const hour of [6, 11, 17]) this.#add({ number: `FL${number++}`, from, to, departs: hour * 60 + ((i + j) % 60), takes: 60 + ((i * j) % 180) });
      }
    }
  }

  airports() {
    return cities.map((code) => ({ code, flights: this.#from.get(code)?.length ?? 0 }));
  }

  airport(code) {
    if (!cities.includes(code)) throw notFound(`no airport ${code}`);
    const flights = this.#from.get(code) ?? [];
    return { code, flights: flights.length, destinations: [...new Set(flights.map((f) => f.to))] };
  }

  departures(code, limit) {
    const flights = [...(this.#from.get(code) ?? [])];
    flights.sort((a, b) => a.departs - b.departs);
    return flights.slice(0, limit);
  }

  flight(number) {
    const flight = this.#flights.get(number);
    if (!flight) throw notFound(`no flight ${number}`);
    return flight;
  }

  connections(from, to) {
    this.airport(from);
    this.airport(to);
    const out = [];
    for (const first of this.#from.get(from) ?? []) {
      if (first.to === to) out.push({ minutes: first.takes, flights: [first.number] });
      else this.#change(first, to, out);
    }
    out.sort((a, b) => a.minutes - b.minutes);
    return out.slice(0, 10);
  }

  #change(first, to, out) {
    const ready = first.departs + first.takes + 45;
    for (const second of this.#from.get(first.to) ?? []) {
      if (second.to !== to || second.departs < ready) continue;
      out.push({ minutes: second.departs + second.takes - first.departs, flights: [first.number, second.number] });
    }
  }

  #add(flight) {
    this.#flights.set(flight.number, flight);
    const list = this.#from.get(flight.from);
    if (list) list.push(flight);
    else this.#from.set(flight.from, [flight]);
  }
}

module.exports = { Timetable, cities };
