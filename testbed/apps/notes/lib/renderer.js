'use strict';

const MarkdownIt = require('markdown-it');

// Renderer turns Markdown into HTML and remembers the latest results.
class Renderer {
  #markdown = new MarkdownIt({ linkify: true, typographer: true });
  #cache = new Map();
  #cached;

  constructor({ cached }) {
    this.#cached = cached;
  }

  render(text) {
    const known = this.#cache.get(text);
    if (known !== undefined) return known;
    const html = this.renderOnce(text);
    this.#cache.set(text, html);
    if (this.#cache.size > this.#cached) this.#cache.delete(this.#cache.keys().next().value);
    return html;
  }

  renderOnce(text) {
    return this.#markdown.render(text);
  }
}

module.exports = { Renderer };
