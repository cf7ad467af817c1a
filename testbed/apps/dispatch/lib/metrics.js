'use strict';

const bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]; // ms

// Metrics counts requests by route and status, and their times.
class Metrics {
  #counters = new Map();
  #histograms = new Map();

  count(name, by = 1) {
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + by);
  }

  observe(route, status, ms) {
    this.count(`requests{route="${route}",status="${status}"}`);
    let histogram = this.#histograms.get(route);
    if (!histogram) {
      histogram = new Array(bounds.length + 1).fill(0);
      this.#histograms.set(route, histogram);
    }
    histogram[bucket(ms)]++;
  }

  snapshot() {
    return [...this.#histograms].map(([route, counts]) => ({ route, counts: counts.slice() }));
  }

  render() {
    const lines = [];
    for (const [name, value] of this.#counters) lines.push(`${name} ${value}`);
    for (const [route, counts] of this.#histograms) {
      let sum = 0;
      for (let i = 0; i < counts.length; i++) {
        sum += counts[i];
        lines.push(`request_ms_bucket{route="${route}",le="${bounds[i] ?? '+Inf'}"} ${sum}`);
      }
    }
    return lines.join('\n') + '\n';
  }
}

function bucket(ms) {
  let i = 0;
  while (i < bounds.length && ms > bounds[i]) i++;
  return i;
}

module.exports = { Metrics, bounds };
