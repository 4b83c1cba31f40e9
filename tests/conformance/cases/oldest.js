// taskcluster-client 0.17.11 (2015): signs payload hashes, puts names raw into paths, and knows the queue under a base URL
// that ends in /v1.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import oldest from 'taskcluster-client-0.17';
import { test } from '../lib/harness.js';
import { createTask, definition, fromNow, newTaskQueue, queue, root, rootUrl, worker } from '../lib/world.js';

function queueOf(credentials) {
  return new oldest.Queue({ baseUrl: `${rootUrl}/api/queue/v1`, credentials, maxRetries: 1 });
}

const old = queueOf(root);

async function claimed() {
  const taskQueueId = newTaskQueue();
  const taskId = await createTask(taskQueueId);
  const { tasks: [claim] } = await old.claimWork(...taskQueueId.split('/'), worker);
  assert.equal(claim.status.taskId, taskId);
  return { taskId, claim, run: queueOf(claim.credentials) };
}

test('0.17: ping, createTask, getTask, status', async () => {
  assert.equal((await old.ping()).alive, true);
  const { taskQueueId, ...made } = definition(newTaskQueue());
  const [provisionerId, workerType] = taskQueueId.split('/');
  const taskId = taskcluster.slugid();
  const { status } = await old.createTask(taskId, { ...made, provisionerId, workerType });
  assert.equal(status.state, 'pending');
  assert.deepEqual((await old.getTask(taskId)).payload, {});
  assert.deepEqual(await old.status(taskId), { status });
});

test('0.17: claimWork, reclaimTask, reportCompleted {success}', async () => {
  for (const [success, state] of [[true, 'completed'], [false, 'failed']]) {
    const { taskId, run } = await claimed();
    const { credentials } = await run.reclaimTask(taskId, 0);
    const { status } = await queueOf(credentials).reportCompleted(taskId, 0, { success });
    assert.equal(status.state, state);
  }
});

test('0.17: artifacts, with raw slashes in their names', async () => {
  const { taskId, run } = await claimed();
  const name = 'public/deep/er/x.txt';
  const { putUrl } = await run.createArtifact(taskId, 0, name, {
    storageType: 's3', expires: fromNow('1 hour'), contentType: 'text/plain' });
  assert.equal((await fetch(putUrl, { method: 'PUT', body: 'text', headers: { 'content-type': 'text/plain' } })).status, 200);
  assert.deepEqual((await old.listArtifacts(taskId, 0)).artifacts.map(one => one.name), [name]);
  assert.deepEqual((await old.listLatestArtifacts(taskId)).artifacts.map(one => one.name), [name]);
  const { url } = await queue.getArtifact(taskId, 0, name);
  assert.equal(await (await fetch(url)).text(), 'text');
});

test('0.17: a bewit opens a private artifact', async () => {
  const { taskId, run } = await claimed();
  const { putUrl } = await run.createArtifact(taskId, 0, 'private/deep/x', {
    storageType: 's3', expires: fromNow('1 hour'), contentType: 'text/plain' });
  await fetch(putUrl, { method: 'PUT', body: 'secret', headers: { 'content-type': 'text/plain' } });
  const url = old.buildSignedUrl(old.getLatestArtifact, taskId, 'private/deep/x', { expiration: 60 });
  assert.equal(await (await fetch(url)).text(), 'secret');
  assert.equal((await fetch(url.replace('deep/x', 'deep/y'))).status, 401);
});

test('0.17: defineTask, scheduleTask, getPendingTasks, claimTask, rerunTask', async () => {
  const { taskQueueId, ...made } = definition(newTaskQueue());
  const [provisionerId, workerType] = taskQueueId.split('/');
  const taskId = taskcluster.slugid();
  const defined = await old.defineTask(taskId, { ...made, provisionerId, workerType });
  assert.equal(defined.status.state, 'unscheduled');
  assert.equal((await old.scheduleTask(taskId)).status.state, 'pending');
  const { tasks } = await old.getPendingTasks(provisionerId);
  assert.ok(tasks.some(status => status.taskId === taskId));
  const claim = await old.claimTask(taskId, 0, worker);
  assert.equal(claim.workerId, worker.workerId);
  await queueOf(claim.credentials).reportCompleted(taskId, 0, { success: false });
  const { status } = await old.rerunTask(taskId);
  assert.equal(status.runs[1].reasonCreated, 'rerun');
});

test('0.17: the old base URL', async () => {
  const client = new oldest.Queue({ baseUrl: `${rootUrl}/queue/v1`, credentials: root, maxRetries: 1 });
  const taskId = await createTask(newTaskQueue());
  assert.equal((await client.status(taskId)).status.taskId, taskId);
  await assert.rejects(client.getTask(taskcluster.slugid()), error => error.statusCode === 404);
});

test('0.17: temporary credentials', async () => {
  const taskId = await createTask(newTaskQueue());
  const credentials = oldest.createTemporaryCredentials({
    scopes: [`queue:status:${taskId}`], expiry: new Date(Date.now() + 600_000), credentials: root });
  assert.equal((await queueOf(credentials).status(taskId)).status.taskId, taskId);
  await assert.rejects(queueOf(credentials).getTask(taskId), error => error.statusCode === 403);
});
