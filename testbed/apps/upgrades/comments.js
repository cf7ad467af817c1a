'use strict';

// comments renders Markdown by marked.

const { marked } = require('marked');
const { serve } = require('./serve.js');

serve(body => marked.parse(body).length);
