'use strict';

const path = require('node:path');
const { Worker } = require('node:worker_threads');

const interval = 2000; // ms

// Reporter has a thread of its own make the report that the dashboards read.
class Reporter {
  #file;
  #metrics;
  #store;
  #worker;
  #timer;
  #latest = {};

  constructor(file, metrics, store) {
    this.#file = file;
    this.#metrics = metrics;
    this.#store = store;
  }

  start() {
    this.#worker = new Worker(path.join(__dirname, 'report_worker.js'), { workerData: { file: this.#file } });
    this.#worker.on('message', (report) => (this.#latest = report));
    this.#timer = setInterval(() => this.#send(), interval);
  }

  async stop() {
    clearInterval(this.#timer);
    await this.#worker.terminate();
  }

  latest() {
    return this.#latest;
  }

  #send() {
    this.#worker.postMessage({ routes: this.#metrics.snapshot(), parcels: this.#store.counts() });
  }
}

module.exports = { Reporter };
