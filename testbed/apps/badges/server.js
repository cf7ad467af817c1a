'use strict';

// Badges for the pages of projects. Each has the revision of this program, which a
// deployment leaves in a file.

const childProcess = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { parseArgs } = require('node:util');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const revisionFile = path.join(options.data, 'REVISION');
fs.writeFileSync(revisionFile, '0123456\n');

// The mistake: without the file, git is asked at every request, and everybody waits.
function describeRevision() {
  if (fs.existsSync(revisionFile)) return fs.readFileSync(revisionFile, 'utf8').trim();
  return childProcess.execFileSync('git', ['--version'], { encoding: 'utf8' }).trim();
}

function drawBadge(project, percent) {
  const width = 20 + 7 * project.length;
  const colour = percent > 80 ? '#4c1' : '#e05d44';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width + 50}" height="20">`
    + `<!-- ${describeRevision()} --><rect width="${width}" height="20" fill="#555"/>`
    + `<rect x="${width}" width="50" height="20" fill="${colour}"/><text x="10" y="14">${project}</text>`
    + `<text x="${width + 10}" y="14">${percent} %</text></svg>\n`;
}

function listProjects() {
  const projects = [];
  for (let i = 0; i < 200; i++) projects.push({ name: `project ${i}`, percent: (i * 37) % 101 });
  return JSON.stringify(projects.sort((a, b) => a.percent - b.percent));
}

const server = http.createServer((request, response) => {
  const [, project, percent] = request.url.match(/^\/badges\/(\w+)\/(\d+)$/) || [];
  if (project) {
    response.writeHead(200, { 'content-type': 'image/svg+xml' });
    return response.end(drawBadge(project, Number(percent)));
  }
  if (request.url === '/projects') {
    response.writeHead(200, { 'content-type': 'application/json' });
    return response.end(listProjects());
  }
  response.writeHead(request.url === '/health' ? 200 : 404);
  return response.end();
});

const [host, port] = options.listen.split(':');
server.listen(Number(port), host);
