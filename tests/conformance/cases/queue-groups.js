// taskcluster-client 87: task groups.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import { createTask, failure, newTaskQueue, newestQueue, queue, resolved } from '../lib/world.js';

async function newGroup(count, changes = {}) {
  const taskGroupId = taskcluster.slugid();
  const taskQueueId = newTaskQueue();
  const taskIds = [];
  for (let i = 0; i < count; ++i) {
    taskIds.push(await createTask(taskQueueId, { taskGroupId, schedulerId: 'sched', ...changes }));
  }
  return { taskGroupId, taskQueueId, taskIds };
}

test('group: listTaskGroup in order of creation, whole and in pages', async () => {
  const { taskGroupId, taskIds } = await newGroup(7);
  const whole = await queue.listTaskGroup(taskGroupId);
  assert.equal(whole.schedulerId, 'sched');
  assert.deepEqual(whole.tasks.map(({ status }) => status.taskId), taskIds);
  assert.ok(whole.tasks.every(({ task }) => task.taskGroupId === taskGroupId));
  assert.equal(whole.continuationToken, undefined);
  const seen = [];
  let query = { limit: 3 };
  for (;;) {
    const page = await queue.listTaskGroup(taskGroupId, query);
    assert.ok(page.tasks.length <= 3);
    seen.push(...page.tasks.map(({ status }) => status.taskId));
    if (!page.continuationToken) break;
    query = { limit: 3, continuationToken: page.continuationToken };
  }
  assert.deepEqual(seen, taskIds);
  const group = await queue.getTaskGroup(taskGroupId);
  assert.deepEqual(Object.keys(group).sort(), ['expires', 'schedulerId', 'taskGroupId']);
});

test('group: a task alone is one, and may get company', async () => {
  const taskQueueId = newTaskQueue();
  const taskId = await createTask(taskQueueId);
  assert.equal((await queue.listTaskGroup(taskId)).tasks.length, 1);
  const second = await createTask(taskQueueId, { taskGroupId: taskId });
  const { tasks } = await queue.listTaskGroup(taskId);
  assert.deepEqual(tasks.map(({ status }) => status.taskId), [taskId, second]);
  await failure(409, 'RequestConflict', () => createTask(taskQueueId, { taskGroupId: taskId, schedulerId: 'other' }));
});

test('group: sealed, it takes no more tasks, and can be cancelled', async () => {
  const { taskGroupId, taskIds, taskQueueId } = await newGroup(40);
  await failure(409, 'RequestConflict', () => queue.cancelTaskGroup(taskGroupId));
  const sealed = await queue.sealTaskGroup(taskGroupId);
  assert.ok(Date.parse(sealed.sealed) > 0);
  assert.deepEqual(await queue.sealTaskGroup(taskGroupId), sealed);
  assert.deepEqual(await queue.getTaskGroup(taskGroupId), sealed);
  await failure(409, 'RequestConflict', () => createTask(taskQueueId, { taskGroupId, schedulerId: 'sched' }));
  const cancelled = await queue.cancelTaskGroup(taskGroupId);
  assert.equal(cancelled.taskGroupSize, 40);
  assert.equal(cancelled.cancelledCount, 40);
  assert.deepEqual([...cancelled.taskIds].sort(), [...taskIds].sort());
  for (const taskId of taskIds) assert.equal((await resolved(taskId)).runs[0].reasonResolved, 'canceled');
  assert.equal((await queue.cancelTaskGroup(taskGroupId)).cancelledCount, 0);
});

test('group: a priority for all of it', async () => {
  const { taskGroupId, taskIds } = await newGroup(3);
  const changed = await (await newestQueue()).changeTaskGroupPriority(taskGroupId, { newPriority: 'high' });
  assert.equal(changed.tasksAffected, 3);
  assert.deepEqual([...changed.taskIds].sort(), [...taskIds].sort());
  for (const taskId of taskIds) assert.equal((await queue.status(taskId)).status.priority, 'high');
});

test('group: what is not there is ResourceNotFound', async () => {
  const nobody = taskcluster.slugid();
  const newest = await newestQueue();
  for (const act of [() => queue.getTaskGroup(nobody), () => queue.listTaskGroup(nobody), () => queue.sealTaskGroup(nobody),
    () => queue.cancelTaskGroup(nobody), () => newest.changeTaskGroupPriority(nobody, { newPriority: 'low' })]) {
    await failure(404, 'ResourceNotFound', act);
  }
});
