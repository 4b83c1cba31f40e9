// What each method takes is what the schema of its input allows: documents at the edges of every schema are sent, and the
// server refuses as wrong input exactly those that a validator refuses. What they name need not exist.
import assert from 'node:assert/strict';
import Hawk from 'hawk';
import taskcluster from 'taskcluster-client';
import { DocumentMaker } from '../lib/documents.js';
import { test } from '../lib/harness.js';
import { loadSchemas } from '../lib/recorder.js';
import { createTask, definition, failure, fromNow, nativeQueue, newTaskQueue, queue, root, rootUrl } from '../lib/world.js';

const samplesOfEach = 5;
const parallelMax = 8;
const shownMax = 40;
const documentShownMax = 300;
const seed = Number(process.env.GANTRY_SEED ?? Date.now() % 2 ** 31);

const clientId = 'conformance/generated';
const roleId = 'conformance-generated';
/** Values for the parameters of all routes; nothing that another test looks at. */
const parametersWith = taskQueueId => ({
  taskId: taskcluster.slugid(), taskGroupId: taskcluster.slugid(), runId: '0', taskQueueId,
  provisionerId: 'conformance', workerType: 'generated', workerGroup: 'here', workerId: 'generated', clientId, roleId,
  name: 'conformance/generated', namespace: 'conformance.generated', workerPoolId: 'conformance/generated',
});

async function get(path) {
  return (await fetch(rootUrl + path)).json();
}

/** The methods with an input: {service, entry, input}. */
async function methodsOf(service) {
  const { entries } = await get(`/references/${service}/v1/api.json`);
  return entries.filter(entry => entry.input).map(entry => ({ service, entry, input: `/schemas/${service}/${entry.input}` }));
}

function urlOf({ service, entry }, taskQueueId) {
  const values = parametersWith(taskQueueId);
  const path = entry.route.replace(/<([^>]+)>/g, (_, name) => {
    assert.ok(values[name], `${entry.name} has a parameter ${name} that this test does not know`);
    return encodeURIComponent(values[name]);
  });
  return `${rootUrl}/api/${service}/v1${path}`;
}

/** Status and code of the answer. */
async function send(method, taskQueueId, document) {
  const url = urlOf(method, taskQueueId);
  const verb = method.entry.method.toUpperCase();
  const credentials = { id: root.clientId, key: root.accessToken, algorithm: 'sha256' };
  const { header } = Hawk.client.header(url, verb, { credentials });
  const answer = await fetch(url, { method: verb, body: JSON.stringify(document), redirect: 'manual',
    headers: { authorization: header, 'content-type': 'application/json' } });
  const text = await answer.text();
  return answer.status < 400 ? { status: answer.status } : { status: answer.status, ...JSON.parse(text) };
}

/** What is wrong with the server's verdict on the document; nothing if it is the validator's. */
async function tryDocument(method, document, validate) {
  const valid = validate(document);
  const why = valid ? 'nothing' : validate.errors.map(one => `${one.dataPath} ${one.message}`).join(', ').slice(0, 200);
  const taskQueueId = newTaskQueue();
  // A claim waits for work unless there is some.
  if (valid && method.entry.name === 'claimWork') await createTask(taskQueueId);
  const { status, code, message = '' } = await send(method, taskQueueId, document);
  const refused = status === 400 && code === 'InputValidationError';
  if (refused === !valid && status < 500) return undefined;
  const answer = `${status} ${code ?? ''} ${message.split('\n')[0].slice(0, 200)}`;
  return `${method.entry.name}: the schema complains of ${why}; the answer is ${answer}`;
}

/** Calls `act` with each item, a few at the same time. */
async function forEachOf(items, act) {
  const left = [...items].values();
  await Promise.all(Array.from({ length: parallelMax }, async () => {
    for (const item of left) await act(item);
  }));
}

/** Good documents whose members must fit each other for the server to take them; they are sent first. */
const consistent = {
  '/schemas/queue/v1/create-task-request.json#': sample => {
    const taskQueueId = newTaskQueue();
    const [provisionerId, workerType] = taskQueueId.split('/');
    return { ...sample, ...definition(taskQueueId), provisionerId, workerType, dependencies: [],
      scopes: ['conformance:generated'] };
  },
};

/** Each document once, the good ones first. */
async function documentsFor(method, maker, validate) {
  const samples = Array.from({ length: samplesOfEach }, (_, i) => maker.sample(method.input, i === 0));
  const base = consistent[method.input]?.(samples[0]);
  if (base) {
    const { status, message } = await send(method, newTaskQueue(), base);
    assert.equal(status, 200, `${method.entry.name}: ${message}: ${JSON.stringify(base)}`);
    samples.push(base);
  }
  for (const sample of samples) assert.ok(validate(sample), `${method.input}: ${JSON.stringify(validate.errors)}`);
  const all = [...samples, ...maker.variants(method.input, base)];
  return new Map(all.map(one => [JSON.stringify(one), one]));
}

async function tryService(service) {
  const { ajv, documents } = await loadSchemas(rootUrl);
  const maker = new DocumentMaker(documents, seed);
  const wrong = new Map();  // each complaint once, with a document
  let sent = 0;
  for (const method of await methodsOf(service)) {
    const validate = ajv.getSchema(method.input);
    const all = await documentsFor(method, maker, validate);
    sent += all.size;
    await forEachOf(all, async ([text, document]) => {
      const complaint = await tryDocument(method, document, validate);
      if (complaint) wrong.set(complaint, text.slice(0, documentShownMax));
    });
  }
  console.log(`note: ${service}: ${sent} documents from seed ${seed} (GANTRY_SEED repeats it)`);
  const shown = [...wrong].slice(0, shownMax).map(([complaint, text]) => `${complaint}: ${text}`);
  assert.equal(wrong.size, 0, shown.join('\n'));
}

for (const service of ['auth', 'index', 'object', 'purge-cache', 'queue', 'secrets']) {
  test(`schemas: what the ${service} service takes is what its schemas allow`, () => tryService(service));
}

/** What is wrong with the server's verdict on a payload; nothing if it is the validator's. */
async function tryPayload(payload, validate, changes) {
  const valid = validate(payload);
  const why = valid ? 'nothing' : validate.errors.map(one => `${one.dataPath} ${one.message}`).join(', ').slice(0, 200);
  let answer = { statusCode: 200 };
  try {
    await createTask(nativeQueue, { ...changes, payload });
  } catch (error) {
    answer = error;
  }
  const refused = answer.statusCode === 400 && answer.code === 'InputValidationError';
  if (refused === !valid && answer.statusCode < 500) return undefined;
  return `the schema complains of ${why}; the answer is ${answer.statusCode} ${answer.message?.split('\n')[0].slice(0, 200)}`;
}

test('schemas: what a payload may be for an agent of ours is what its schema allows', async () => {
  const { ajv, documents } = await loadSchemas(rootUrl);
  const id = '/schemas/docker-worker/v1/payload.json#';
  const validate = ajv.getSchema(id);
  const maker = new DocumentMaker(documents, seed);
  // None of them runs: each waits for a task that nobody takes.
  const dependency = await createTask(newTaskQueue());
  const changes = { dependencies: [dependency], taskGroupId: taskcluster.slugid(), schedulerId: 'conformance',
    expires: fromNow('3 days') };
  const base = maker.sample(id);
  await createTask(nativeQueue, { ...changes, payload: base });
  const all = [base, ...Array.from({ length: samplesOfEach }, () => maker.sample(id, false)), ...maker.variants(id, base)];
  const different = new Map(all.map(one => [JSON.stringify(one), one]));
  const wrong = new Map();
  await forEachOf(different, async ([text, payload]) => {
    const complaint = await tryPayload(payload, validate, changes);
    if (complaint) wrong.set(complaint, text.slice(0, documentShownMax));
  });
  console.log(`note: ${different.size} payloads from seed ${seed} (GANTRY_SEED repeats it)`);
  const shown = [...wrong].slice(0, shownMax).map(([complaint, text]) => `${complaint}: ${text}`);
  await queue.sealTaskGroup(changes.taskGroupId);
  await queue.cancelTaskGroup(changes.taskGroupId);
  await queue.cancelTask(dependency);
  assert.equal(wrong.size, 0, shown.join('\n'));
});

// Not for the schema to say.
test('schemas: a task names its queue in one of two ways, or in both alike', async () => {
  const taskQueueId = newTaskQueue();
  const [provisionerId, workerType] = taskQueueId.split('/');
  const create = named => queue.createTask(taskcluster.slugid(), { ...definition(undefined), ...named });
  for (const named of [{ taskQueueId }, { provisionerId, workerType }, { taskQueueId, provisionerId, workerType }]) {
    await create(named);
  }
  for (const named of [{}, { provisionerId }, { workerType }, { taskQueueId, provisionerId, workerType: 'other' }]) {
    await failure(400, 'InputError', () => create(named));
  }
});

test('schemas: what was generated and others could see is gone', async () => {
  const auth = new taskcluster.Auth({ rootUrl, credentials: root, retries: 0 });
  await auth.deleteClient(clientId);
  await auth.deleteRole(roleId);
});
