'use strict';

// What was answered, and how often.

const { checkOf } = require('./checks');

const counts = new Map();

function count(survey, answers) {
  const of = counts.get(survey) ?? { answers: 0, questions: {} };
  of.answers++;
  for (const question of Object.keys(answers)) of.questions[question] = (of.questions[question] ?? 0) + 1;
  counts.set(survey, of);
  return of;
}

function acceptAnswers(survey, answers) {
  const check = checkOf(survey.schema);
  if (!check(answers)) return undefined;
  return { survey: survey.name, answers: count(survey.name, answers).answers };
}

function report(survey) {
  const of = counts.get(survey) ?? { answers: 0, questions: {} };
  const lines = Object.entries(of.questions).sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  return { survey, answers: of.answers, lines: lines.map(([question, n]) => `${question}: ${n} of ${of.answers}`) };
}

module.exports = { acceptAnswers, report };
