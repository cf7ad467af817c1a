'use strict';

// SearchIndex finds parcels by the words of their address.
class SearchIndex {
  #words = new Map(); // word to a set of ids
  #ofParcel = new Map(); // id to its words

  add(id, text) {
    const words = tokenize(text);
    this.#ofParcel.set(id, words);
    for (const word of words) {
      const ids = this.#words.get(word);
      if (ids) ids.add(id);
      else this.#words.set(word, new Set([id]));
    }
  }

  remove(id) {
    for (const word of this.#ofParcel.get(id) ?? []) {
      const ids = this.#words.get(word);
      ids.delete(id);
      if (ids.size === 0) this.#words.delete(word);
    }
    this.#ofParcel.delete(id);
  }

  // find returns the parcels that have all words of the query.
  find(query, limit) {
    const sets = tokenize(query).map((word) => this.#words.get(word));
    if (sets.length === 0 || sets.includes(undefined)) return [];
    sets.sort((a, b) => a.size - b.size);
    const out = [];
    for (const id of sets[0]) {
      if (!sets.every((set) => set.has(id))) continue;
      out.push(id);
      if (out.length === limit) break;
    }
    return out;
  }
}

function tokenize(text) {
  return [...new Set(text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean))];
}

module.exports = { SearchIndex };
