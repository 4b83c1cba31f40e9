// taskcluster-client-web 87 in Chromium, on a page of another origin than the server's.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import { openPage } from '../lib/browser/browser.js';
import { test } from '../lib/harness.js';
import { claimedTask, definition, fromNow, newTaskQueue, queue, root, rootUrl } from '../lib/world.js';

let opened;
/** The page, opened by the first test that needs it; the browser ends with this program. */
const thePage = () => (opened ??= openPage());

/** What `act` returns when the page runs it with {rootUrl, credentials: root's, ...more}. */
async function inPage(act, more = {}) {
  const { page } = await thePage();
  return page.evaluate(act, { rootUrl, credentials: root, ...more });
}

function temporary(scopes) {
  return taskcluster.createTemporaryCredentials({ scopes, expiry: taskcluster.fromNow('10 minutes'), credentials: root });
}

test('browser: the page is of another origin, and a task is made and read after preflights', async () => {
  const { origin, preflights } = await thePage();
  assert.notEqual(origin, new URL(rootUrl).origin);
  const taskQueueId = newTaskQueue();
  const seen = await inPage(async ({ rootUrl, credentials, made }) => {
    const { Queue, slugid } = window.taskcluster;
    const queue = new Queue({ rootUrl, credentials, retries: 0 });
    const taskId = slugid();
    const created = await queue.createTask(taskId, made);
    return { taskId, created, status: await queue.status(taskId), task: await queue.task(taskId) };
  }, { made: definition(taskQueueId) });
  assert.equal(seen.created.status.state, 'pending');
  assert.deepEqual(seen.status, seen.created);
  assert.equal(seen.task.taskQueueId, taskQueueId);
  assert.deepEqual(await queue.status(seen.taskId), seen.status);
  const path = `/api/queue/v1/task/${seen.taskId}`;
  for (const url of [path, `${path}/status`]) {
    assert.ok(preflights.includes(rootUrl + url), `no preflight for ${url}, only for ${preflights}`);
  }
});

test('browser: a group is listed, page by page', async () => {
  const taskGroupId = taskcluster.slugid();
  const taskQueueId = newTaskQueue();
  const ids = [taskGroupId, taskcluster.slugid(), taskcluster.slugid()];
  for (const id of ids) await queue.createTask(id, definition(taskQueueId, { taskGroupId }));
  const seen = await inPage(async ({ rootUrl, credentials, taskGroupId }) => {
    const queue = new window.taskcluster.Queue({ rootUrl, credentials, retries: 0 });
    const ids = [];
    let query = { limit: 2 };
    for (;;) {
      const page = await queue.listTaskGroup(taskGroupId, query);
      ids.push(...page.tasks.map(({ status }) => status.taskId));
      if (!page.continuationToken) return ids;
      query = { limit: 2, continuationToken: page.continuationToken };
    }
  }, { taskGroupId });
  assert.deepEqual(seen.sort(), ids.sort());
});

test('browser: a page uploads an artifact, and fetches it by its signed URL', async () => {
  const { taskId, runId, claim } = await claimedTask();
  const seen = await inPage(async ({ rootUrl, credentials, runCredentials, taskId, runId, expires }) => {
    const { Queue } = window.taskcluster;
    const run = new Queue({ rootUrl, credentials: runCredentials, retries: 0 });
    const queue = new Queue({ rootUrl, credentials, retries: 0 });
    const name = 'private/a page & more';
    const contentType = 'text/x-greeting';
    const { putUrl } = await run.createArtifact(taskId, runId, name, { storageType: 's3', expires, contentType });
    const put = await fetch(putUrl, { method: 'PUT', body: 'from the page', headers: { 'content-type': contentType } });
    await run.reportCompleted(taskId, runId);
    const signed = await queue.buildSignedUrl(queue.getArtifact, taskId, runId, name);
    const got = await fetch(signed);
    const { url } = await queue.artifact(taskId, runId, name);
    const direct = await fetch(url, { headers: { 'if-none-match': '"none"', range: 'bytes=5-7' } });
    const unsigned = await fetch(queue.buildUrl(queue.getArtifact, taskId, runId, name));
    return {
      put: put.status, status: got.status, redirected: got.redirected, type: got.headers.get('content-type'),
      text: await got.text(), part: [direct.status, direct.headers.get('content-range'), await direct.text()],
      unsigned: unsigned.status, code: (await unsigned.json()).code,
    };
  }, { taskId, runId, runCredentials: claim.credentials, expires: fromNow('1 hour') });
  assert.deepEqual(seen, {
    put: 200, status: 200, redirected: true, type: 'text/x-greeting', text: 'from the page', part: [206, 'bytes 5-7/13', 'the'],
    unsigned: 403, code: 'InsufficientScopes',
  });
});

test('browser: errors are readable in the page', async () => {
  const errors = await inPage(async ({ rootUrl, credentials, limited, made }) => {
    const { Queue, Secrets, slugid } = window.taskcluster;
    const told = async act => {
      try {
        return { answer: await act() };
      } catch (error) {
        const { message, body, response } = error;
        return { message, code: body?.code, status: response?.status, requestId: response?.headers.get('x-for-request-id') };
      }
    };
    const queue = new Queue({ rootUrl, credentials, retries: 0 });
    const wrong = new Queue({ rootUrl, credentials: { ...credentials, accessToken: 'wrong' }, retries: 0 });
    const secrets = new Secrets({ rootUrl, credentials: limited, retries: 0 });
    return {
      denied: await told(() => secrets.get('browser/secret')),
      anonymous: await told(() => new Secrets({ rootUrl, retries: 0 }).get('browser/secret')),
      wrongToken: await told(() => wrong.status(slugid())),
      missing: await told(() => queue.status(slugid())),
      invalid: await told(() => queue.createTask(slugid(), { ...made, deadline: 'tomorrow' })),
    };
  }, { limited: temporary(['secrets:get:other/*']), made: definition(newTaskQueue()) });
  for (const [what, status, code] of [
    ['denied', 403, 'InsufficientScopes'], ['anonymous', 403, 'InsufficientScopes'],
    ['wrongToken', 401, 'AuthenticationFailed'], ['missing', 404, 'ResourceNotFound'],
    ['invalid', 400, 'InputValidationError'],
  ]) {
    const { message, requestId, ...rest } = errors[what];
    assert.deepEqual(rest, { code, status }, `${what}: ${message}`);
    assert.ok(requestId, `${what}: the page sees the request's id`);
  }
  assert.match(errors.denied.message, /secrets:get:browser\/secret/);
});

test('browser: temporary credentials, authorizedScopes and credentials that the page itself makes', async () => {
  const name = `browser/${process.pid}`;
  const seen = await inPage(async ({ rootUrl, credentials, name, expires }) => {
    const { Secrets, createTemporaryCredentials, fromNow } = window.taskcluster;
    const writer = new Secrets({ rootUrl, credentials, authorizedScopes: [`secrets:set:${name}`], retries: 0 });
    await writer.set(name, { secret: { from: 'page' }, expires });
    const limited = createTemporaryCredentials({
      scopes: [`secrets:get:${name}`], start: fromNow('-1 minute'), expiry: fromNow('10 minutes'), credentials });
    const reader = new Secrets({ rootUrl, credentials: limited, retries: 0 });
    const codeOf = act => act.then(() => 'none', error => error.body.code);
    return {
      read: (await reader.get(name)).secret,
      readerSets: await codeOf(reader.set(name, { secret: {}, expires })),
      writerReads: await codeOf(writer.get(name)),
    };
  }, { name, expires: fromNow('1 hour') });
  assert.deepEqual(seen, { read: { from: 'page' }, readerSets: 'InsufficientScopes', writerReads: 'InsufficientScopes' });
});
