// Holds messages from pulse_consumer.js, a line of JSON each on standard input, against what a server publishes of its
// exchanges: each body against the schema of its exchange, each routing key against its words. Prints what is wrong, at
// most complaintsMax lines, and how many messages there were.
//
// Usage: node pulse_check.js DOCUMENTS < MESSAGES
//
// DOCUMENTS: a file with {"exchanges": /references/queue/v1/exchanges.json, "schemas": [every schema]}
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { validatorOf } from './lib/recorder.js';

const complaintsMax = 20;
const { exchanges: reference, schemas } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const ajv = validatorOf(schemas);
const exchanges = new Map(reference.entries.map(entry => [reference.exchangePrefix + entry.exchange, {
  validate: ajv.compile({ $ref: `/schemas/${reference.serviceName}/${entry.schema}` }),
  words: entry.routingKey,
}]));
// Gantry's own, of which Taskcluster's references know nothing.
const count = { type: 'integer', minimum: 1 };
exchanges.set('exchange/gantry/v1/events-lost', {
  validate: ajv.compile({ type: 'object', required: ['version', 'first', 'last', 'count'], additionalProperties: false,
    properties: { version: { const: 1 }, first: count, last: count, count } }),
});

function wrongWord({ words }, routingKey) {
  if (!words) return undefined;
  const given = routingKey.split('.');
  const last = words.length - 1;
  if (given.length < words.length) return `${given.length} words instead of ${words.length}`;
  if (given.length > words.length && !words[last].multipleWords) return 'too many words';
  const wrong = words.find(({ constant, required, maxSize }, i) => {
    const word = i === last ? given.slice(last).join('.') : given[i];
    return word === '' || (constant && word !== constant) || (required && word === '_') || word.length > maxSize;
  });
  return wrong && `its ${wrong.name}`;
}

function complaintAbout({ exchange, routingKey, body }) {
  const known = exchanges.get(exchange);
  if (!known) return 'is in no reference';
  if (!known.validate(body)) return ajv.errorsText(known.validate.errors);
  const wrong = wrongWord(known, routingKey);
  return wrong && `routing key ${routingKey}: ${wrong}`;
}

let messages = 0;
let complaints = 0;
for await (const line of createInterface({ input: process.stdin })) {
  ++messages;
  const message = JSON.parse(line);
  const complaint = complaintAbout(message);
  if (complaint && ++complaints <= complaintsMax) console.log(`${message.exchange}: ${complaint}`);
}
console.log(`${messages} messages, ${complaints} wrong`);
process.exit(complaints > 0 ? 1 : 0);
