// taskcluster-client 24.2 (2020): task queues as two parts of a path, names percent-encoded. A spot check.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import middle from 'taskcluster-client-24';
import { test } from '../lib/harness.js';
import { createTask, definition, fromNow, newTaskQueue, root, rootUrl, worker } from '../lib/world.js';

const queueWith = credentials => new middle.Queue({ rootUrl, credentials, retries: 0 });
const queue = queueWith(root);

test('24.2: a task from creation to its end', async () => {
  const { taskQueueId, ...made } = definition(newTaskQueue());
  const [provisionerId, workerType] = taskQueueId.split('/');
  const taskId = taskcluster.slugid();
  await queue.createTask(taskId, { ...made, provisionerId, workerType });
  assert.equal((await queue.pendingTasks(provisionerId, workerType)).pendingTasks, 1);
  const { tasks: [claim] } = await queue.claimWork(provisionerId, workerType, worker);
  const run = queueWith(claim.credentials);
  await run.createArtifact(taskId, 0, 'public/a b/c', {
    storageType: 'reference', expires: fromNow('1 hour'), url: 'http://example.com/x', contentType: 'text/html' });
  assert.deepEqual((await queue.listLatestArtifacts(taskId)).artifacts.map(one => one.name), ['public/a b/c']);
  const { status } = await run.reportCompleted(taskId, 0);
  assert.equal(status.state, 'completed');
  assert.equal((await queue.rerunTask(taskId)).status.state, 'pending');
});

test('24.2: groups and workers', async () => {
  const taskQueueId = newTaskQueue();
  const taskId = await createTask(taskQueueId);
  assert.equal((await queue.listTaskGroup(taskId)).tasks.length, 1);
  await queue.claimWork(...taskQueueId.split('/'), worker);
  const seen = await queue.getWorker(...taskQueueId.split('/'), worker.workerGroup, worker.workerId);
  assert.equal(seen.recentTasks[0].taskId, taskId);
});
