'use strict';

// articles renders Markdown by markdown-it.

const markdown = require('markdown-it')();
const { serve } = require('./serve.js');

serve(body => markdown.render(body).length);
