// References and schemas: they fit themselves, and what clients of Taskcluster were built from.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import { loadSchemas } from '../lib/recorder.js';
import { definition, newTaskQueue, root, rootUrl } from '../lib/world.js';

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

test('schemas: the package that the tests install is the one that they were written for', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../node_modules/taskcluster-client/package.json', import.meta.url)));
  assert.equal(version, '87.1.3');
});
