'use strict';

// Answers to surveys are taken, checked and counted.

const { parseArgs } = require('node:util');
const fastify = require('fastify');
const { acceptAnswers, report } = require('./lib/answers');
const { ownSurvey } = require('./lib/surveys');

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:8080' },
    data: { type: 'string', default: '.' },
  },
});

const app = fastify();
app.get('/health', async () => ({}));
app.get('/reports/:survey', async (request) => report(request.params.survey));
app.post('/answers/:survey', async (request, reply) => {
  const survey = ownSurvey(request.params.survey);
  return acceptAnswers(survey, request.body.answers) || reply.code(400).send({ error: 'not as asked' });
});
// Partners send the survey along with what was answered.
app.post('/partners/answers', async (request, reply) => {
  const { survey, answers } = request.body;
  return acceptAnswers(survey, answers) || reply.code(400).send({ error: 'not as asked' });
});

const [host, port] = options.listen.split(':');
app.listen({ host, port: Number(port) });
