// taskcluster-client 87: the services beside the queue that tools rely on.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import { claimedTask, failure, fromNow, queueOf, root, rootUrl, waitFor } from '../lib/world.js';

const as = credentials => ({ rootUrl, credentials, retries: 0 });
const index = new taskcluster.Index(as(root));
const purgeCache = new taskcluster.PurgeCache(as(root));
const object = new taskcluster.Object(as(root));
const project = 'conformance/project';

const space = `conformance.${taskcluster.slugid().replaceAll('-', '_')}`;
const entry = (changes = {}) => ({ taskId: taskcluster.slugid(), rank: 0, data: {}, expires: fromNow('1 day'), ...changes });

/** A client of some service with only these scopes. */
function narrowed(Service, scopes) {
  const credentials = taskcluster.createTemporaryCredentials({ scopes, expiry: taskcluster.fromNow('10 minutes'), credentials: root });
  return new Service(as(credentials));
}

/** Collects what is written; `bytes` once it has ended. */
function sink() {
  const chunks = [];
  const stream = new Writable({ write(chunk, _, done) { chunks.push(chunk); done(); } });
  return { stream, get bytes() { return Buffer.concat(chunks); } };
}

test('index: insert, find, replace by rank, delete', async () => {
  const first = entry({ rank: 5, data: { hello: ['world'] } });
  const inserted = await index.insertTask(`${space}.one`, first);
  assert.deepEqual(inserted, { namespace: `${space}.one`, ...first });
  assert.deepEqual(await index.findTask(`${space}.one`), inserted);
  assert.equal((await index.insertTask(`${space}.one`, entry({ rank: 4 }))).taskId, first.taskId);
  const second = entry({ rank: 5 });
  assert.equal((await index.insertTask(`${space}.one`, second)).taskId, second.taskId);
  await index.deleteTask(`${space}.one`);
  await failure(404, 'ResourceNotFound', () => index.findTask(`${space}.one`));
  await failure(403, 'InsufficientScopes', () => narrowed(taskcluster.Index, [`index:insert-task:${space}.*`]).insertTask('other', entry()));
});

test('index: listings, in pages', async () => {
  const below = `${space}.list`;
  for (const path of ['a', 'b', 'c.d', 'e.f.g']) await index.insertTask(`${below}.${path}`, entry());
  const tasks = [];
  for (let query = { limit: 1 }; query;) {
    const page = await index.listTasks(below, query);
    tasks.push(...page.tasks.map(one => one.namespace));
    query = page.continuationToken && { limit: 1, continuationToken: page.continuationToken };
  }
  assert.deepEqual(tasks, [`${below}.a`, `${below}.b`]);
  const { namespaces } = await index.listNamespaces(below);
  assert.deepEqual(namespaces.map(one => one.name), ['c', 'e']);
  assert.ok((await index.listNamespaces('')).namespaces.some(one => one.namespace === 'conformance'));
  const { tasks: found } = await index.findTasksAtIndex({ indexes: [`${below}.a`, `${below}.none`, `${below}.c.d`] });
  assert.deepEqual(found.map(one => one.namespace), [`${below}.a`, `${below}.c.d`]);
});

test('index: a completed task is found at its routes, and its artifacts through them', async () => {
  const path = `${space}.built`;
  const { taskId, run } = await claimedTask({ routes: [`index.${path}`], extra: { index: { rank: 3, data: { of: 'us' } } } });
  await run.createArtifact(taskId, 0, 'public/deep/x', {
    storageType: 'reference', expires: fromNow('1 hour'), contentType: 'text/plain', url: 'https://example.com/x' });
  await failure(404, 'ResourceNotFound', () => index.findTask(path));
  await run.reportCompleted(taskId, 0);
  const found = await waitFor('the task in the index', () => index.findTask(path).catch(() => undefined));
  assert.equal(found.taskId, taskId);
  assert.equal(found.rank, 3);
  assert.deepEqual(found.data, { of: 'us' });
  const anonymous = new taskcluster.Index(as({}));
  assert.equal((await anonymous.findArtifactFromTask(path, 'public/deep/x')).url, 'https://example.com/x');
  await failure(403, 'InsufficientScopes', () => anonymous.findArtifactFromTask(path, 'private/x'));
});

test('purge-cache: requests are told to the workers of their queue', async () => {
  const pool = `conformance/purge-${process.pid}`;
  await purgeCache.purgeCache(pool, { cacheName: 'level-1' });
  const { requests } = await purgeCache.purgeRequests(pool, { since: fromNow('-1 hour') });
  assert.equal(requests.length, 1);
  assert.equal(requests[0].cacheName, 'level-1');
  assert.deepEqual((await purgeCache.purgeRequests(pool, { since: fromNow('1 hour') })).requests, []);
  const all = await purgeCache.allPurgeRequests();
  assert.ok(all.requests.some(one => `${one.provisionerId}/${one.workerType}` === pool));
  await failure(403, 'InsufficientScopes',
    () => narrowed(taskcluster.PurgeCache, [`purge-cache:${pool}:other`]).purgeCache(pool, { cacheName: 'level-1' }));
});

async function uploaded(name, bytes, changes = {}) {
  await taskcluster.upload({ projectId: project, name, contentType: 'application/x-test', contentLength: bytes.length,
    expires: fromNow('1 day'), object, streamFactory: async () => Readable.from([bytes]), ...changes });
}

async function downloaded(name) {
  const into = sink();
  const contentType = await taskcluster.download({ name, object, streamFactory: async () => into.stream, retries: 0 });
  return { contentType, bytes: into.bytes };
}

for (const size of [0, 100, 8191, 8192, 300_000]) {
  test(`object: ${size} bytes come back as they were uploaded`, async () => {
    const bytes = randomBytes(size);
    const name = `conformance/${taskcluster.slugid()}/with space & ü`.replace('ü', 'u');
    await uploaded(name, bytes);
    const got = await downloaded(name);
    assert.equal(got.contentType, 'application/x-test');
    assert.ok(got.bytes.equals(bytes));
    const { hashes } = await object.object(name);
    assert.equal(hashes.sha256.length, 64);
    assert.equal(hashes.sha512.length, 128);
    await failure(409, 'RequestConflict', () => uploaded(name, bytes));
  });
}

test('object: nothing can be read before the upload is finished, nor changed after', async () => {
  const name = `conformance/${taskcluster.slugid()}`;
  const uploadId = taskcluster.slugid();
  const bytes = Buffer.from('the bytes');
  const begin = proposedUploadMethods => object.createUpload(name, { projectId: project, uploadId, expires, proposedUploadMethods });
  const expires = fromNow('1 day');
  assert.deepEqual((await begin({})).uploadMethod, {});
  const { uploadMethod: { putUrl } } = await begin({ putUrl: { contentType: 'text/plain', contentLength: bytes.length } });
  await failure(404, 'ResourceNotFound', () => object.object(name));
  const finish = (hashes = {}) => object.finishUpload(name, { projectId: project, uploadId, hashes });
  await failure(409, 'RequestConflict', () => finish());
  assert.equal((await fetch(putUrl.url, { method: 'PUT', body: 'too many bytes', headers: { 'content-type': 'text/plain' } })).status, 400);
  assert.equal((await fetch(putUrl.url, { method: 'PUT', body: bytes, headers: { 'content-type': 'text/plain' } })).status, 200);
  await failure(400, 'InputError', () => finish({ sha256: '0'.repeat(64) }));
  await finish();
  await finish();
  assert.equal((await fetch(putUrl.url, { method: 'PUT', body: bytes, headers: { 'content-type': 'text/plain' } })).status, 409);
  assert.equal((await downloaded(name)).bytes.toString(), 'the bytes');
  const answer = await fetch(await object.buildSignedUrl(object.download, name, { expiration: 60 }));
  assert.equal(await answer.text(), 'the bytes');
  await failure(406, 'NoMatchingMethod', () => object.startDownload(name, { acceptDownloadMethods: {} }));
  assert.equal((await object.startDownload(name, { acceptDownloadMethods: { simple: true } })).method, 'simple');
  await failure(403, 'InsufficientScopes', () => narrowed(taskcluster.Object, ['object:download:other']).object(name));
});

test('object: an artifact, from createArtifact to downloadArtifact', async () => {
  const { taskId, run } = await claimedTask();
  const bytes = randomBytes(20_000);
  const name = 'public/data.bin';
  const made = await run.createArtifact(taskId, 0, name, {
    storageType: 'object', expires: fromNow('1 hour'), contentType: 'application/x-test', contentLength: bytes.length });
  assert.equal(made.storageType, 'object');
  await failure(404, 'ResourceNotFound', () => run.getArtifact(taskId, 0, name));
  await uploaded(made.name, bytes, { projectId: made.projectId, uploadId: made.uploadId, expires: made.expires,
    object: new taskcluster.Object(as(made.credentials)) });
  await failure(404, 'ResourceNotFound', () => run.getArtifact(taskId, 0, name));
  await run.finishArtifact(taskId, 0, name, { uploadId: made.uploadId });
  const anonymous = queueOf({});
  const into = sink();
  const type = await taskcluster.downloadArtifact({ taskId, runId: 0, name, queue: anonymous, streamFactory: async () => into.stream, retries: 0 });
  assert.equal(type, 'application/x-test');
  assert.ok(into.bytes.equals(bytes));
  const { url } = await anonymous.getLatestArtifact(taskId, name);
  assert.ok(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes));
});

test('ping and its kin, in every service', async () => {
  for (const service of [index, purgeCache, object]) {
    assert.equal((await service.ping()).alive, true);
    assert.deepEqual(await service.lbheartbeat(), {});
    assert.deepEqual(await service.heartbeat(), {});
    assert.ok((await service.version()).version);
  }
});
