// taskcluster-client 87: tasks, claims, reports.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import { claimedTask, createTask, definition, failure, fromNow, newTaskQueue, queue, resolved, worker } from '../lib/world.js';

test('ping', async () => {
  const pong = await queue.ping();
  assert.equal(pong.alive, true);
  assert.ok(pong.uptime >= 0);
});

test('createTask answers with the status of a pending task', async () => {
  const taskId = taskcluster.slugid();
  const taskQueueId = newTaskQueue();
  const made = definition(taskQueueId, { retries: 3, priority: 'high' });
  const { status } = await queue.createTask(taskId, made);
  const [provisionerId, workerType] = taskQueueId.split('/');
  const { scheduled, ...run } = status.runs[0];
  assert.ok(Math.abs(Date.parse(scheduled) - Date.now()) < 60_000);
  assert.deepEqual(run, { runId: 0, state: 'pending', reasonCreated: 'scheduled' });
  assert.deepEqual({ ...status, runs: status.runs.length }, {
    taskId, provisionerId, workerType, taskQueueId, schedulerId: '-', projectId: 'none', taskGroupId: taskId,
    priority: 'high', deadline: made.deadline, expires: made.expires, retriesLeft: 3, state: 'pending', runs: 1,
  });
  assert.deepEqual(await queue.status(taskId), { status });
});

test('createTask again: equal is fine, different is a conflict', async () => {
  const taskId = taskcluster.slugid();
  const made = definition(newTaskQueue());
  const first = await queue.createTask(taskId, made);
  assert.deepEqual(await queue.createTask(taskId, made), first);
  await failure(409, 'RequestConflict', () => queue.createTask(taskId, { ...made, priority: 'high' }));
  assert.equal((await queue.status(taskId)).status.priority, 'lowest');
});

test('task returns the definition with its defaults', async () => {
  const taskId = taskcluster.slugid();
  const taskQueueId = newTaskQueue();
  const made = definition(taskQueueId, {
    payload: { text: 'grüße \u0001 \u{1F600}', number: 1.5, deep: [{ a: [null, true, ''] }] },
    tags: { kind: 'test' }, extra: { any: { thing: 1 } }, routes: ['a.route'], scopes: ['some:scope'],
    schedulerId: 'sched', projectId: 'a/project', taskGroupId: taskcluster.slugid(),
  });
  await queue.createTask(taskId, made);
  const [provisionerId, workerType] = taskQueueId.split('/');
  assert.deepEqual(await queue.task(taskId), {
    ...made, provisionerId, workerType, dependencies: [], requires: 'all-completed', priority: 'lowest', retries: 5,
  });
});

test('createTask takes provisionerId and workerType in place of taskQueueId', async () => {
  const taskId = taskcluster.slugid();
  const { taskQueueId, ...made } = definition(newTaskQueue());
  const [provisionerId, workerType] = taskQueueId.split('/');
  const { status } = await queue.createTask(taskId, { ...made, provisionerId, workerType });
  assert.equal(status.taskQueueId, taskQueueId);
});

test('createTask: expires is a year after the deadline by default, `normal` is `lowest`', async () => {
  const taskId = taskcluster.slugid();
  const { expires: _, ...made } = definition(newTaskQueue(), { priority: 'normal' });
  const { status } = await queue.createTask(taskId, made);
  const days = (Date.parse(status.expires) - Date.parse(made.deadline)) / 86_400_000;
  assert.ok(days >= 365 && days <= 366, `${days} days`);
  assert.equal(status.priority, 'lowest');
});

test('createTask refuses what is not a definition', async () => {
  const good = definition(newTaskQueue());
  const bad = {
    'no payload': { payload: undefined },
    'no metadata': { metadata: undefined },
    'unknown key': { colour: 'red' },
    'deadline before created': { deadline: fromNow('-1 hour') },
    'deadline more than 5 days away': { deadline: fromNow('6 days'), expires: fromNow('7 days') },
    'expires before deadline': { expires: fromNow('1 minute') },
    'created an hour ago': { created: fromNow('-1 hour') },
    priority: { priority: 'urgent' },
    retries: { retries: 50 },
    'task queue': { taskQueueId: 'no-slash' },
    scopes: { scopes: ['two-stars**'] },
    routes: { routes: ['same', 'same'] },
    source: { metadata: { ...good.metadata, source: 'not a url' } },
  };
  // Well formed, but it cannot be: Taskcluster tells these from what its schema refuses.
  const contradictions = ['deadline before created', 'deadline more than 5 days away', 'expires before deadline',
    'created an hour ago', 'scopes'];
  for (const [what, change] of Object.entries(bad)) {
    const code = contradictions.includes(what) ? 'InputError' : 'InputValidationError';
    const error = await failure(400, code, () => queue.createTask(taskcluster.slugid(), { ...good, ...change }))
      .catch(cause => { throw new Error(`${what}: ${cause.message}`, { cause }); });
    assert.equal(error.body.requestInfo.method, 'createTask');
  }
  await failure(400, 'InvalidRequestArguments', () => queue.createTask('not-a-slugid', good));
});

test('createTask refuses a definition that is too large', async () => {
  const huge = definition(newTaskQueue(), { payload: { text: 'x'.repeat(11 * 1024 * 1024) } });
  await failure(413, 'InputTooLarge', () => queue.createTask(taskcluster.slugid(), huge));
});

test('a task that is not there is ResourceNotFound', async () => {
  const taskId = taskcluster.slugid();
  for (const act of [
    () => queue.status(taskId), () => queue.task(taskId), () => queue.cancelTask(taskId),
    () => queue.reclaimTask(taskId, 0), () => queue.reportCompleted(taskId, 0),
    () => queue.listLatestArtifacts(taskId), () => queue.getLatestArtifact(taskId, 'public/x'),
  ]) {
    const error = await failure(404, 'ResourceNotFound', act);
    assert.ok(error.body.message.includes(taskId));
  }
});

test('claimWork returns the claim with its task', async () => {
  const before = Date.now();
  const { taskId, claim } = await claimedTask({ payload: { some: 'work' } });
  const { status, runId, workerGroup, workerId, takenUntil, task, credentials } = claim;
  assert.deepEqual({ runId, workerGroup, workerId }, { runId: 0, ...worker });
  assert.equal(status.state, 'running');
  assert.equal(status.runs[0].takenUntil, takenUntil);
  assert.equal(status.runs[0].workerId, worker.workerId);
  assert.ok(status.runs[0].started);
  const term = (Date.parse(takenUntil) - before) / 1000;
  assert.ok(term >= 1199 && term < 1260, `${term} s`);
  assert.deepEqual(task, await queue.task(taskId));
  assert.equal(typeof credentials.certificate, 'string');
  const until = Math.floor(Date.parse(takenUntil) / 1000);
  assert.equal(credentials.clientId, `task-client/${taskId}/0/on/${workerGroup}/${workerId}/until/${until}`);
  assert.deepEqual(JSON.parse(credentials.certificate).scopes.sort(), [
    // The first is ours: agents ask what a task may do.
    'auth:current-scopes', `queue:create-artifact:${taskId}/0`, `queue:reclaim-task:${taskId}/0`, `queue:resolve-task:${taskId}/0`]);
});

test('claimWork: highest priority first, then the oldest; at most `tasks`', async () => {
  const taskQueueId = newTaskQueue();
  const ids = {};
  for (const [name, priority] of [
    ['lowest', 'lowest'], ['medium 1', 'medium'], ['highest', 'highest'], ['medium 2', 'medium'], ['low', 'low'],
    ['very high', 'very-high'],
  ]) ids[await createTask(taskQueueId, { priority })] = name;
  const order = [];
  for (const tasks of [2, 1, 32]) {
    const claimed = await queue.claimWork(taskQueueId, { ...worker, tasks });
    assert.ok(claimed.tasks.length <= tasks);
    order.push(...claimed.tasks.map(claim => ids[claim.status.taskId]));
  }
  assert.deepEqual(order, ['highest', 'very high', 'medium 1', 'medium 2', 'low', 'lowest']);
});

test('claimWork waits for a task, and is woken by it', async () => {
  const taskQueueId = newTaskQueue();
  const claimed = queue.claimWork(taskQueueId, worker);
  const early = await Promise.race([claimed, new Promise(resolve => setTimeout(resolve, 300, 'waits'))]);
  assert.equal(early, 'waits');
  const taskId = await createTask(taskQueueId);
  const { tasks } = await claimed;
  assert.deepEqual(tasks.map(claim => claim.status.taskId), [taskId]);
});

test('claimWork with nothing to do answers empty before the client gives up', async () => {
  const started = Date.now();
  assert.deepEqual(await queue.claimWork(newTaskQueue(), worker), { tasks: [] });
  const seconds = (Date.now() - started) / 1000;
  assert.ok(seconds > 5 && seconds < 28, `${seconds} s`);
});

test('claimWork refuses a bad worker', async () => {
  for (const bad of [{ ...worker, tasks: 0 }, { ...worker, tasks: 33 }, { workerGroup: 'x' }, { ...worker, workerId: 'a b' }]) {
    await failure(400, 'InputValidationError', () => queue.claimWork(newTaskQueue(), bad));
  }
});

test('reclaimTask prolongs the claim and gives new credentials', async () => {
  const { taskId, claim, run } = await claimedTask();
  const again = await run.reclaimTask(taskId, 0);
  assert.ok(again.takenUntil >= claim.takenUntil);
  assert.equal(again.runId, 0);
  assert.equal(again.workerId, worker.workerId);
  assert.equal(again.status.runs[0].takenUntil, again.takenUntil);
  assert.notEqual(again.credentials.accessToken, claim.credentials.accessToken);
  const renewed = run.use({ credentials: again.credentials });
  assert.equal((await renewed.reportCompleted(taskId, 0)).status.state, 'completed');
  await failure(409, 'RequestConflict', () => renewed.reclaimTask(taskId, 0));
});

test('reportCompleted: again is fine, contradicting it is a conflict', async () => {
  const { taskId, run } = await claimedTask();
  const { status } = await run.reportCompleted(taskId, 0);
  assert.equal(status.state, 'completed');
  assert.equal(status.runs[0].reasonResolved, 'completed');
  assert.ok(status.runs[0].resolved);
  assert.deepEqual(await run.reportCompleted(taskId, 0), { status });
  await failure(409, 'RequestConflict', () => run.reportFailed(taskId, 0));
  await failure(409, 'RequestConflict', () => run.reportException(taskId, 0, { reason: 'internal-error' }));
  assert.deepEqual(await queue.status(taskId), { status });
});

test('reportFailed', async () => {
  const { taskId, run } = await claimedTask();
  const { status } = await run.reportFailed(taskId, 0);
  assert.equal(status.state, 'failed');
  assert.equal(status.runs[0].reasonResolved, 'failed');
  assert.deepEqual(await run.reportFailed(taskId, 0), { status });
  await failure(409, 'RequestConflict', () => run.reportCompleted(taskId, 0));
});

for (const [reason, created] of [['worker-shutdown', 'retry'], ['intermittent-task', 'task-retry']]) {
  test(`reportException ${reason} makes another run until no retries are left`, async () => {
    const { taskQueueId, taskId, run } = await claimedTask({ retries: 1 });
    const first = (await run.reportException(taskId, 0, { reason })).status;
    assert.equal(first.state, 'pending');
    assert.equal(first.retriesLeft, 0);
    assert.deepEqual(first.runs.map(one => one.state), ['exception', 'pending']);
    assert.equal(first.runs[0].reasonResolved, reason);
    assert.equal(first.runs[1].reasonCreated, created);
    const { tasks: [claim] } = await queue.claimWork(taskQueueId, worker);
    assert.equal(claim.runId, 1);
    await failure(403, 'InsufficientScopes', () => run.reportCompleted(taskId, 1));
    const last = (await run.use({ credentials: claim.credentials }).reportException(taskId, 1, { reason })).status;
    assert.equal(last.state, 'exception');
    assert.equal(last.runs.length, 2);
  });
}

for (const reason of ['malformed-payload', 'resource-unavailable', 'internal-error']) {
  test(`reportException ${reason} ends the task`, async () => {
    const { taskId, run } = await claimedTask();
    const { status } = await run.reportException(taskId, 0, { reason });
    assert.equal(status.state, 'exception');
    assert.equal(status.runs[0].reasonResolved, reason);
    assert.equal(status.runs.length, 1);
    assert.equal(status.retriesLeft, 5);
    assert.deepEqual(await run.reportException(taskId, 0, { reason }), { status });
  });
}

test('reportException refuses other reasons', async () => {
  const { taskId, run } = await claimedTask();
  for (const reason of ['completed', 'deadline-exceeded', 'canceled', 'nonsense']) {
    await failure(400, 'InputValidationError', () => run.reportException(taskId, 0, { reason }));
  }
  await failure(400, 'InputValidationError', () => run.reportException(taskId, 0, {}));
  assert.equal((await queue.status(taskId)).status.state, 'running');
});

test('cancelTask ends a pending task, which is then never claimed', async () => {
  const taskQueueId = newTaskQueue();
  const taskId = await createTask(taskQueueId);
  const { status } = await queue.cancelTask(taskId);
  assert.equal(status.state, 'exception');
  assert.equal(status.runs[0].reasonResolved, 'canceled');
  assert.deepEqual(await queue.cancelTask(taskId), { status });
  const other = await createTask(taskQueueId);
  const { tasks } = await queue.claimWork(taskQueueId, { ...worker, tasks: 32 });
  assert.deepEqual(tasks.map(claim => claim.status.taskId), [other]);
});

test('cancelTask takes a running task away from its worker', async () => {
  const { taskId, run } = await claimedTask();
  await queue.cancelTask(taskId);
  await failure(409, 'RequestConflict', () => run.reclaimTask(taskId, 0));
  await failure(409, 'RequestConflict', () => run.reportCompleted(taskId, 0));
  assert.equal((await queue.status(taskId)).status.runs[0].reasonResolved, 'canceled');
});

test('cancelTask leaves a completed task alone', async () => {
  const { taskId, run } = await claimedTask();
  const { status } = await run.reportCompleted(taskId, 0);
  assert.deepEqual(await queue.cancelTask(taskId), { status });
});

test('a deadline ends a pending and a running task', async () => {
  const taskQueueId = newTaskQueue();
  const deadline = new Date(Date.now() + 1500).toJSON();
  const pending = await createTask(newTaskQueue(), { deadline });
  const running = await createTask(taskQueueId, { deadline });
  await queue.claimWork(taskQueueId, worker);
  for (const taskId of [pending, running]) {
    const status = await resolved(taskId);
    assert.equal(status.runs[0].reasonResolved, 'deadline-exceeded');
    assert.ok(status.runs[0].resolved >= deadline);
    await failure(409, 'RequestConflict', () => queue.reportCompleted(taskId, 0));
  }
});
