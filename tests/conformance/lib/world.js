// What the tests share: the server under test, clients of it, task definitions, and errors as the client shows them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import taskcluster from 'taskcluster-client';

const waitMsMax = 30_000;
const pollMs = 50;

export const rootUrl = process.env.GANTRY_ENDPOINT.trim();
const rootFile = JSON.parse(readFileSync(process.env.GANTRY_CREDENTIALS, 'utf8'));
/** A client that may do everything. */
export const root = { clientId: rootFile.clientId, accessToken: rootFile.accessToken };
/** A queue on which no agent works, so that the tests are its worker. */
export const workerQueue = 'conformance/npm';
/** The queue of the agent in `gantry dev`. */
export const nativeQueue = process.env.GANTRY_NATIVE_QUEUE;
export const worker = { workerGroup: 'here', workerId: 'npm-client' };

/** A client with these credentials (or none: `{}`); further options are taskcluster-client's. */
export function queueOf(credentials, options = {}) {
  return new taskcluster.Queue({ rootUrl, credentials, retries: 0, ...options });
}

export const queue = queueOf(root);

/** A client of the same kind for the methods that are newer than its package: made from our own reference. */
export async function newestQueue() {
  const reference = await (await fetch(`${rootUrl}/references/queue/v1/api.json`)).json();
  const Queue = taskcluster.createClient(reference, 'queue');
  return new Queue({ rootUrl, credentials: root, retries: 0 });
}

export function fromNow(offset) {
  return taskcluster.fromNow(offset).toJSON();
}

let uniqueCount = 0;
/** A task queue that no other test uses. */
export function newTaskQueue() {
  return `conformance/q-${process.pid}-${++uniqueCount}`;
}

/** A definition; `changes` replace its fields. */
export function definition(taskQueueId, changes = {}) {
  return {
    taskQueueId,
    created: new Date().toJSON(),
    deadline: fromNow('1 hour'),
    expires: fromNow('1 day'),
    payload: {},
    metadata: {
      name: 'conformance',
      description: 'made by tests/conformance',
      owner: 'nobody@example.com',
      source: 'https://example.com/conformance',
    },
    ...changes,
  };
}

/** Creates a task and returns its id. */
export async function createTask(taskQueueId, changes = {}) {
  const taskId = taskcluster.slugid();
  await queue.createTask(taskId, definition(taskQueueId, changes));
  return taskId;
}

/** A new task, claimed: {taskId, runId, claim, run: a client with the run's credentials}. */
export async function claimedTask(changes = {}) {
  const taskQueueId = newTaskQueue();
  const taskId = await createTask(taskQueueId, changes);
  const { tasks } = await queue.claimWork(taskQueueId, worker);
  assert.equal(tasks.length, 1);
  assert.equal(tasks[0].status.taskId, taskId);
  return { taskQueueId, taskId, runId: tasks[0].runId, claim: tasks[0], run: queueOf(tasks[0].credentials) };
}

/** The error that `act` ends with; it must have this status and code, and the shape of Taskcluster's errors. */
export async function failure(statusCode, code, act) {
  let error;
  try {
    await act();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `expected ${statusCode} ${code}, but the call succeeded`);
  assert.equal(error.statusCode, statusCode, error.stack);
  assert.equal(error.code, code);
  assert.equal(error.body.code, code);
  assert.match(error.body.message, new RegExp(`\\n---\\n[^]*errorCode: +${code}\\n[^]*statusCode: +${statusCode}`));
  assert.equal(typeof error.body.requestInfo.method, 'string');
  return error;
}

/** Polls until `probe` returns something that is not undefined. */
export async function waitFor(what, probe) {
  const until = Date.now() + waitMsMax;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error(`waited ${waitMsMax / 1000} s for ${what}`);
    await new Promise(resolve => setTimeout(resolve, pollMs));
  }
}

/** The task's status once it is resolved. */
export async function resolved(taskId) {
  return waitFor(`the end of task ${taskId}`, async () => {
    const { status } = await queue.status(taskId);
    return ['completed', 'failed', 'exception'].includes(status.state) ? status : undefined;
  });
}
