// References and schemas: they fit themselves, and what clients of Taskcluster were built from.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import { loadSchemas } from '../lib/recorder.js';
import { definition, failure, newTaskQueue, queue, root, rootUrl } from '../lib/world.js';

// The methods that Taskcluster's services have and ours do not: accounts in other clouds, a history of changes, and
// declarations that nothing reads.
const leftOut = new Set(['getEntityHistory', 'listAuditHistory', 'awsS3Credentials', 'azureAccounts', 'azureTables',
  'azureTableSAS', 'azureContainers', 'azureContainerSAS', 'sentryDSN', 'websocktunnelToken', 'gcpCredentials',
  'declareProvisioner', 'declareWorkerType']);
const services = { auth: 'Auth', index: 'Index', object: 'Object', 'purge-cache': 'PurgeCache', queue: 'Queue', secrets: 'Secrets' };

async function get(path) {
  const answer = await fetch(rootUrl + path);
  assert.equal(answer.status, 200, path);
  return answer.json();
}

/** What taskcluster-client 87 has been generated from. */
async function theirs() {
  const file = new URL('../node_modules/taskcluster-client/src/apis.js', import.meta.url);
  return (await import(file)).default;
}

test('schemas: each is a schema, and every reference between them leads somewhere', async () => {
  const { ajv, documents } = await loadSchemas(rootUrl);
  assert.ok(documents.length > 80, `${documents.length}`);
  for (const { $id } of documents) assert.ok(ajv.getSchema($id), $id);
});

test('references: the manifest and all that it names are of their own schemas', async () => {
  const { ajv } = await loadSchemas(rootUrl);
  const check = document => {
    const valid = ajv.validate(document.$schema, document);
    assert.ok(valid, ajv.errorsText());
  };
  const manifest = await get('/references/manifest.json');
  check(manifest);
  for (const path of manifest.references) check(await get(path));
  assert.equal((await fetch(`${rootUrl}/references/no/such.json`)).status, 404);
  assert.equal((await fetch(`${rootUrl}/schemas/no/such.json`)).status, 404);
});

test('references: every schema that they name is there', async () => {
  const { ajv } = await loadSchemas(rootUrl);
  for (const path of (await get('/references/manifest.json')).references) {
    const reference = await get(path);
    for (const entry of reference.entries) {
      for (const name of [entry.input, entry.output, entry.schema].filter(Boolean)) {
        assert.ok(ajv.getSchema(`/schemas/${reference.serviceName}/${name}`), `${path}: ${name}`);
      }
    }
  }
});

test('references: the methods are those of taskcluster-client 87', async () => {
  const apis = await theirs();
  for (const [service, name] of Object.entries(services)) {
    const ours = new Map((await get(`/references/${service}/v1/api.json`)).entries.map(entry => [entry.name, entry]));
    for (const entry of apis[name].reference.entries.filter(one => !leftOut.has(one.name))) {
      const own = ours.get(entry.name);
      assert.ok(own, `${service}.${entry.name} is missing`);
      for (const key of ['method', 'route', 'args', 'input', 'output', 'scopes']) {
        assert.deepEqual(own[key], entry[key], `${service}.${entry.name}.${key}`);
      }
      assert.deepEqual([...own.query].sort(), [...entry.query].sort(), `${service}.${entry.name}.query`);
    }
  }
});

test('references: the exchanges are those of taskcluster-client 87', async () => {
  const ours = new Map((await get('/references/queue/v1/exchanges.json')).entries.map(entry => [entry.name, entry]));
  const { reference } = (await theirs()).QueueEvents;
  for (const entry of reference.entries) {
    const own = ours.get(entry.name);
    assert.ok(own, entry.name);
    assert.equal(own.exchange, entry.exchange);
    assert.equal(own.schema, entry.schema, entry.name);
    assert.deepEqual(own.routingKey.map(part => part.name), entry.routingKey.map(part => part.name), entry.name);
  }
});

test('references: a client can be made from ours', async () => {
  const Queue = taskcluster.createClient(await get('/references/queue/v1/api.json'), 'Queue');
  const made = new Queue({ rootUrl, credentials: root, retries: 0 });
  const taskId = taskcluster.slugid();
  await made.createTask(taskId, definition(newTaskQueue()));
  assert.equal((await made.status(taskId)).status.state, 'pending');
  await made.cancelTask(taskId);
});

/**
 * Changes to a good definition, some good and some bad: what the schema says of each is what the server does. Only that
 * there must be a task queue, in one of two ways, is not for the schema to say.
 */
const variations = [
  {}, { priority: 'normal' }, { priority: 'very-high' }, { priority: 'urgent' }, { retries: 0 }, { retries: 49 }, { retries: 50 },
  { retries: -1 }, { retries: 1.5 }, { retries: '5' }, { routes: [] }, { routes: ['a.b'] }, { routes: [''] },
  { routes: ['a', 'a'] }, { routes: ['x'.repeat(249)] }, { routes: ['x'.repeat(250)] }, { routes: 'a' },
  { routes: Array.from({ length: 64 }, (_, i) => `r${i}`) }, { routes: Array.from({ length: 65 }, (_, i) => `r${i}`) },
  { scopes: ['a:b'] }, { scopes: ['a:b', 'a:b'] }, { scopes: ['ä'] }, { scopes: [1] }, { scopes: [''] },
  { payload: [] }, { payload: 'x' }, { payload: null }, { metadata: {} }, { metadata: null },
  { tags: { a: 'b' } }, { tags: { a: 1 } }, { tags: { a: 'x'.repeat(4096) } }, { tags: { a: 'x'.repeat(4097) } }, { tags: [] },
  { extra: { a: [1] } }, { extra: 1 }, { requires: 'all-resolved' }, { requires: 'some' }, { schedulerId: 'a-b_c' },
  { schedulerId: '' }, { schedulerId: 'x'.repeat(38) }, { schedulerId: 'x'.repeat(39) }, { schedulerId: 'a.b' },
  { projectId: 'a/b.c' }, { projectId: '' }, { projectId: 'x'.repeat(500) }, { projectId: 'x'.repeat(501) }, { projectId: 'a b' },
  { taskGroupId: taskcluster.slugid() }, { taskGroupId: 'x' }, { taskQueueId: 'a' }, { taskQueueId: 'a/b/c' },
  { taskQueueId: `${'p'.repeat(38)}/${'w'.repeat(38)}` }, { taskQueueId: `${'p'.repeat(39)}/w` }, { taskQueueId: undefined },
  { taskQueueId: undefined, provisionerId: 'a', workerType: 'b' }, { taskQueueId: undefined, provisionerId: 'a' }, { taskQueueId: 'a/b', provisionerId: 'a', workerType: 'b' },
  { created: 'yesterday' }, { created: undefined }, { deadline: undefined }, { deadline: 5 }, { expires: 'x' },
  { expires: undefined }, { payload: undefined }, { metadata: undefined }, { more: 1 }, { dependencies: [] },
  { dependencies: ['x'] }, { dependencies: 'x' },
];
const metadataVariations = [
  { name: '' }, { name: 'x'.repeat(255) }, { name: 'x'.repeat(256) }, { name: 1 }, { name: undefined },
  { description: 'x'.repeat(32768) }, { description: 'x'.repeat(32769) }, { owner: 'x'.repeat(256) }, { more: '' },
  { source: 'ftp://x' }, { source: 'git@example.com:x' }, { source: 'ssh://x' }, { source: `https://${'x'.repeat(4088)}` },
  { source: `https://${'x'.repeat(4089)}` },
];

test('schemas: what createTask takes is what its schema allows', async () => {
  const { ajv } = await loadSchemas(rootUrl);
  const validate = ajv.getSchema('/schemas/queue/v1/create-task-request.json#');
  const { metadata } = definition('a/b');
  const all = [...variations, ...metadataVariations.map(change => ({ metadata: { ...metadata, ...change } }))];
  const wrong = [];
  for (const change of all) {
    const task = JSON.parse(JSON.stringify(definition(newTaskQueue(), change)));
    const create = () => queue.createTask(taskcluster.slugid(), task);
    const namesQueue = task.taskQueueId || (task.provisionerId && task.workerType);
    const code = !validate(task) ? 'InputValidationError' : namesQueue ? undefined : 'InputError';
    const tried = code ? failure(400, code, create) : create();
    await tried.catch(error => wrong.push(`${JSON.stringify(change).slice(0, 100)}: ${error.message.slice(0, 200)}`));
  }
  assert.deepEqual(wrong, []);
});

test('schemas: the package that the tests install is the one that they were written for', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../node_modules/taskcluster-client/package.json', import.meta.url)));
  assert.equal(version, '87.1.3');
});
