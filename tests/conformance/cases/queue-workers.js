// taskcluster-client 87: task queues and workers as people look at them; quarantine.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.js';
import { claimedTask, createTask, failure, fromNow, newTaskQueue, queue, worker } from '../lib/world.js';

const at = [worker.workerGroup, worker.workerId];

test('explorer: what is pending and claimed in a queue', async () => {
  const { taskQueueId, taskId } = await claimedTask();
  const pending = [await createTask(taskQueueId), await createTask(taskQueueId)];
  const [provisionerId, workerType] = taskQueueId.split('/');
  assert.deepEqual(await queue.pendingTasks(taskQueueId), { provisionerId, workerType, taskQueueId, pendingTasks: 2 });
  assert.deepEqual(await queue.taskQueueCounts(taskQueueId), {
    provisionerId, workerType, taskQueueId, pendingTasks: 2, claimedTasks: 1 });
  const first = await queue.listPendingTasks(taskQueueId, { limit: 1 });
  const rest = await queue.listPendingTasks(taskQueueId, { continuationToken: first.continuationToken });
  assert.deepEqual([...first.tasks, ...rest.tasks].map(one => one.taskId), pending);
  assert.equal(rest.continuationToken, undefined);
  const { tasks } = await queue.listClaimedTasks(taskQueueId);
  assert.equal(tasks[0].taskId, taskId);
  assert.equal(tasks[0].workerId, worker.workerId);
  assert.equal(tasks[0].task.taskQueueId, taskQueueId);
});

test('explorer: queues, provisioners and worker types', async () => {
  const taskQueueId = newTaskQueue();
  const [provisionerId, workerType] = taskQueueId.split('/');
  await failure(404, 'ResourceNotFound', () => queue.getTaskQueue(taskQueueId));
  await createTask(taskQueueId);
  const known = await queue.getTaskQueue(taskQueueId);
  assert.equal(known.taskQueueId, taskQueueId);
  assert.equal(known.stability, 'experimental');
  const listed = [];
  let query = { limit: 10 };
  for (;;) {
    const page = await queue.listTaskQueues(query);
    listed.push(...page.taskQueues);
    if (!page.continuationToken) break;
    query = { limit: 10, continuationToken: page.continuationToken };
  }
  assert.ok(listed.some(one => one.taskQueueId === taskQueueId));
  assert.equal((await queue.getProvisioner(provisionerId)).provisionerId, provisionerId);
  assert.ok((await queue.listProvisioners()).provisioners.some(one => one.provisionerId === provisionerId));
  assert.equal((await queue.getWorkerType(provisionerId, workerType)).workerType, workerType);
  assert.ok((await queue.listWorkerTypes(provisionerId)).workerTypes.some(one => one.taskQueueId === taskQueueId));
});

test('explorer: a worker, quarantined and let go', async () => {
  const { taskQueueId, taskId } = await claimedTask();
  const [provisionerId, workerType] = taskQueueId.split('/');
  const seen = await queue.getWorker(provisionerId, workerType, ...at);
  assert.deepEqual(seen.recentTasks, [{ taskId, runId: 0 }]);
  const { workers } = await queue.listWorkers(provisionerId, workerType);
  assert.deepEqual(workers[0].latestTask, { taskId, runId: 0 });
  const until = fromNow('1 hour');
  const quarantined = await queue.quarantineWorker(provisionerId, workerType, ...at, {
    quarantineUntil: until, quarantineInfo: 'it is on fire' });
  assert.equal(quarantined.quarantineUntil, until);
  assert.equal(quarantined.quarantineDetails[0].quarantineInfo, 'it is on fire');
  const waiting = await createTask(taskQueueId);
  const started = Date.now();
  assert.deepEqual(await queue.claimWork(taskQueueId, worker), { tasks: [] });
  assert.ok(Date.now() - started > 15_000);
  assert.equal((await queue.listWorkers(provisionerId, workerType, { quarantined: 'true' })).workers.length, 1);
  assert.equal((await queue.listWorkers(provisionerId, workerType, { quarantined: 'false' })).workers.length, 0);
  await queue.quarantineWorker(provisionerId, workerType, ...at, { quarantineUntil: fromNow('-1 second') });
  const { tasks } = await queue.claimWork(taskQueueId, worker);
  assert.equal(tasks[0].status.taskId, waiting);
});

test('explorer: declareWorker makes a worker known', async () => {
  const [provisionerId, workerType] = newTaskQueue().split('/');
  await failure(404, 'ResourceNotFound', () => queue.getWorker(provisionerId, workerType, ...at));
  const expires = fromNow('3 hours');
  const declared = await queue.declareWorker(provisionerId, workerType, ...at, { expires });
  assert.equal(declared.expires, expires);
  assert.deepEqual((await queue.getWorker(provisionerId, workerType, ...at)).recentTasks, []);
});
