// taskcluster-client 87: the life of tasks beyond one claim: definitions that wait, reruns, dependencies, priorities.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import {
  claimedTask, createTask, definition, failure, fromNow, newTaskQueue, newestQueue, queue, queueOf, root, waitFor, worker,
} from '../lib/world.js';

const stateOf = async taskId => (await queue.status(taskId)).status.state;
const becomes = (taskId, state) => waitFor(`${taskId} to be ${state}`, async () =>
  await stateOf(taskId) === state ? true : undefined);

/** Claims what comes next in the queue and ends it. */
async function finishNext(taskQueueId, how = 'reportCompleted') {
  const { tasks: [claim] } = await queue.claimWork(taskQueueId, worker);
  await queueOf(claim.credentials)[how](claim.status.taskId, claim.runId);
  return claim.status.taskId;
}

function limited(...scopes) {
  return queueOf(taskcluster.createTemporaryCredentials({
    scopes, start: new Date(Date.now() - 60_000), expiry: new Date(Date.now() + 600_000), credentials: root }));
}

test('scheduleTask: a task that depends on itself waits for it', async () => {
  const taskId = taskcluster.slugid();
  const made = definition(newTaskQueue(), { dependencies: [taskId] });
  assert.equal((await queue.createTask(taskId, made)).status.state, 'unscheduled');
  const { status } = await queue.scheduleTask(taskId);
  assert.equal(status.state, 'pending');
  assert.equal(status.runs[0].reasonCreated, 'scheduled');
  assert.deepEqual(await queue.scheduleTask(taskId), { status });
  assert.deepEqual((await queue.task(taskId)).dependencies, [taskId]);
});

test('rerunTask: a new run, and all retries again', async () => {
  const { taskId, taskQueueId, run } = await claimedTask();
  await run.reportException(taskId, 0, { reason: 'worker-shutdown' });
  assert.equal((await queue.status(taskId)).status.retriesLeft, 4);
  await finishNext(taskQueueId, 'reportFailed');
  const { status } = await queue.rerunTask(taskId);
  assert.equal(status.state, 'pending');
  assert.equal(status.retriesLeft, 5);
  assert.equal(status.runs.at(-1).reasonCreated, 'rerun');
  assert.deepEqual(await queue.rerunTask(taskId), { status });
  await finishNext(taskQueueId);
  assert.equal(await stateOf(taskId), 'completed');
});

test('schedule, rerun and cancel: any of three ways to be allowed', async () => {
  const taskQueueId = newTaskQueue();
  for (const verb of ['schedule', 'rerun', 'cancel']) {
    const taskId = await createTask(taskQueueId, { schedulerId: 'sched', projectId: 'proj' });
    const act = client => client[`${verb}Task`](taskId);
    await act(limited(`queue:${verb}-task:sched/${taskId}/${taskId}`));
    await act(limited(`queue:${verb}-task-in-project:proj`));
    await act(limited(`queue:${verb}-task`, `assume:scheduler-id:sched/${taskId}`));
    await failure(403, 'InsufficientScopes', () => act(limited(`queue:${verb}-task`)));
    await failure(404, 'ResourceNotFound', () => queue[`${verb}Task`](taskcluster.slugid()));
  }
});

test('dependencies: all-completed and all-resolved', async () => {
  const taskQueueId = newTaskQueue();
  const failing = await createTask(taskQueueId);
  const strict = await createTask(taskQueueId, { dependencies: [failing] });
  const lenient = await createTask(taskQueueId, { dependencies: [failing], requires: 'all-resolved' });
  assert.equal(await stateOf(strict), 'unscheduled');
  await finishNext(taskQueueId, 'reportFailed');
  await becomes(lenient, 'pending');
  assert.equal(await stateOf(strict), 'unscheduled');
  const { tasks } = await queue.listDependentTasks(failing);
  assert.deepEqual(tasks.map(({ status }) => status.taskId).sort(), [strict, lenient].sort());
  await queue.rerunTask(failing);
  assert.equal(await finishNext(taskQueueId), failing, 'the oldest task goes first');
  await becomes(strict, 'pending');
  assert.equal(await stateOf(lenient), 'pending');
});

test('a chain of dependencies runs in order', async () => {
  const taskQueueId = newTaskQueue();
  const ids = [];
  for (let i = 0; i < 5; ++i) {
    ids.push(await createTask(taskQueueId, { dependencies: ids.slice(-1), expires: fromNow('2 days') }));
  }
  const order = [];
  for (let i = 0; i < ids.length; ++i) order.push(await finishNext(taskQueueId));
  assert.deepEqual(order, ids);
});

test('createTask refuses dependencies that are not there, or expire too early', async () => {
  const taskQueueId = newTaskQueue();
  await failure(400, 'InputError', () => createTask(taskQueueId, { dependencies: [taskcluster.slugid()] }));
  const early = await createTask(taskQueueId, { expires: fromNow('70 minutes') });
  await failure(400, 'InputError', () => createTask(taskQueueId, { dependencies: [early], deadline: fromNow('2 hours') }));
  const twice = await createTask(taskQueueId);
  await failure(400, 'InputValidationError', () => createTask(taskQueueId, { dependencies: [twice, twice] }));
});

test('changeTaskPriority: the queue, the status and the definition follow', async () => {
  const taskQueueId = newTaskQueue();
  const older = await createTask(taskQueueId);
  const newer = await createTask(taskQueueId);
  const newest = await newestQueue();
  const { status } = await newest.changeTaskPriority(newer, { newPriority: 'very-high' });
  assert.equal(status.priority, 'very-high');
  assert.equal((await queue.task(newer)).priority, 'very-high');
  const { tasks } = await queue.claimWork(taskQueueId, { ...worker, tasks: 2 });
  assert.deepEqual(tasks.map(claim => claim.status.taskId), [newer, older]);
  assert.equal(tasks[0].task.priority, 'very-high');
  await queueOf(tasks[0].credentials).reportCompleted(newer, 0);
  await failure(409, 'RequestConflict', () => newest.changeTaskPriority(newer, { newPriority: 'low' }));
  await failure(400, 'InputValidationError', () => newest.changeTaskPriority(older, { newPriority: 'urgent' }));
});

test('tasks and statuses: many at once, in pages', async () => {
  const taskQueueId = newTaskQueue();
  const taskIds = [];
  for (let i = 0; i < 5; ++i) taskIds.push(await createTask(taskQueueId));
  const asked = { taskIds: [...taskIds, taskcluster.slugid()] };
  const { statuses } = await queue.statuses(asked);
  assert.deepEqual(statuses.map(one => one.taskId), taskIds);
  assert.ok(statuses.every(one => one.status.state === 'pending'));
  const seen = [];
  let query = { limit: 2 };
  for (;;) {
    const page = await queue.tasks(asked, query);
    assert.ok(page.tasks.length <= 2);
    seen.push(...page.tasks);
    if (!page.continuationToken) break;
    query = { limit: 2, continuationToken: page.continuationToken };
  }
  assert.deepEqual(seen.map(one => one.taskId), taskIds);
  assert.equal(seen[0].task.taskQueueId, taskQueueId);
});

test('claimTask: one run by its name', async () => {
  const taskQueueId = newTaskQueue();
  const taskId = await createTask(taskQueueId);
  const claim = await queue.claimTask(taskId, 0, worker);
  assert.equal(claim.status.state, 'running');
  assert.equal(claim.task.taskQueueId, taskQueueId);
  await queue.claimTask(taskId, 0, worker);
  await failure(409, 'RequestConflict', () => queue.claimTask(taskId, 0, { ...worker, workerId: 'other' }));
  await failure(404, 'ResourceNotFound', () => queue.claimTask(taskId, 1, worker));
  await queueOf(claim.credentials).reportCompleted(taskId, 0);
});

test('artifactInfo, latestArtifactInfo, artifact and latestArtifact', async () => {
  const { run, taskId } = await claimedTask();
  const reference = { storageType: 'reference', expires: fromNow('10 hours'), url: 'http://example.com/x', contentType: 'text/html' };
  await run.createArtifact(taskId, 0, 'public/r', reference);
  await run.createArtifact(taskId, 0, 'public/l', { storageType: 'link', expires: reference.expires, artifact: 'public/r' });
  await run.createArtifact(taskId, 0, 'public/e', {
    storageType: 'error', expires: reference.expires, reason: 'file-missing-on-worker', message: 'it is not there' });
  const info = { storageType: 'reference', name: 'public/r', expires: reference.expires, contentType: 'text/html' };
  assert.deepEqual(await queue.artifactInfo(taskId, 0, 'public/r'), info);
  assert.deepEqual(await queue.latestArtifactInfo(taskId, 'public/r'), info);
  assert.equal((await queue.artifactInfo(taskId, 0, 'public/l')).storageType, 'link');
  const content = { storageType: 'reference', url: reference.url };
  assert.deepEqual(await queue.artifact(taskId, 0, 'public/l'), content);
  assert.deepEqual(await queue.latestArtifact(taskId, 'public/r'), content);
  assert.deepEqual(await queue.artifact(taskId, 0, 'public/e'), {
    storageType: 'error', reason: 'file-missing-on-worker', message: 'it is not there' });
  await failure(404, 'ResourceNotFound', () => queue.artifactInfo(taskId, 0, 'public/none'));
  await failure(404, 'ResourceNotFound', () => queue.artifact(taskId, 0, 'public/none'));
});
