// taskcluster-client 87: credentials, scopes, and what a browser needs.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import {
  claimedTask, createTask, definition, failure, fromNow, newTaskQueue, queue, queueOf, root, rootUrl, worker,
} from '../lib/world.js';

const minute = 60_000;
const at = minutes => new Date(Date.now() + minutes * minute);

function temporary(scopes, changes = {}) {
  return taskcluster.createTemporaryCredentials({ scopes, start: at(-1), expiry: at(10), credentials: root, ...changes });
}

test('a wrong access token, an unknown client and broken certificates are AuthenticationFailed', async () => {
  const taskId = await createTask(newTaskQueue());
  const good = temporary(['*']);
  const certificate = JSON.parse(good.certificate);
  const withCertificate = changes => ({ ...good, certificate: JSON.stringify({ ...certificate, ...changes }) });
  for (const [what, credentials] of Object.entries({
    token: { ...root, accessToken: 'wrong' },
    client: { ...root, clientId: 'nobody' },
    'changed scopes': { ...temporary(['a']), certificate: withCertificate({ scopes: ['*'] }).certificate },
    'prolonged life': withCertificate({ expiry: certificate.expiry + 1 }),
    seed: withCertificate({ seed: certificate.seed.split('').reverse().join('') }),
    issuer: withCertificate({ issuer: 'someone' }),
    'another name': { ...temporary(['*'], { clientId: 'named' }), clientId: 'renamed' },
    'no certificate': { clientId: good.clientId, accessToken: good.accessToken },
  })) {
    await failure(401, 'AuthenticationFailed', () => queueOf(credentials).status(taskId))
      .catch(cause => { throw new Error(`${what}: ${cause.message}`, { cause }); });
  }
  const answer = await fetch(`${rootUrl}/api/queue/v1/task/${taskId}/status`, { headers: { authorization: 'Hawk nonsense' } });
  assert.equal(answer.status, 401);
  assert.equal(answer.headers.get('www-authenticate')?.toLowerCase(), 'hawk');
});

test('without credentials nothing but the open calls work', async () => {
  const anonymous = queueOf({});
  const taskQueueId = newTaskQueue();
  const taskId = await createTask(taskQueueId);
  await anonymous.ping();
  for (const act of [
    () => anonymous.createTask(taskcluster.slugid(), definition(taskQueueId)), () => anonymous.status(taskId),
    () => anonymous.task(taskId), () => anonymous.cancelTask(taskId), () => anonymous.claimWork(taskQueueId, worker),
    () => anonymous.reportCompleted(taskId, 0), () => anonymous.listArtifacts(taskId, 0),
  ]) await failure(403, 'InsufficientScopes', act);
  assert.equal((await queue.status(taskId)).status.state, 'pending');
});

test("a run's credentials are for that run alone, and for the task's own scopes", async () => {
  const taskQueueId = newTaskQueue();
  const { taskId, run } = await claimedTask({ scopes: [`queue:status:*`] });
  const other = await claimedTask();
  await run.status(other.taskId);
  for (const act of [
    () => run.reportCompleted(other.taskId, 0), () => run.reclaimTask(other.taskId, 0),
    () => run.reportCompleted(taskId, 1), () => run.cancelTask(taskId), () => run.task(taskId),
    () => run.createTask(taskcluster.slugid(), definition(taskQueueId)), () => run.claimWork(taskQueueId, worker),
    () => run.createArtifact(other.taskId, 0, 'public/x', { storageType: 's3', expires: fromNow('1 hour'), contentType: 'a/b' }),
  ]) {
    const error = await failure(403, 'InsufficientScopes', act);
    assert.match(error.body.message, /queue:/);
  }
  await run.reportCompleted(taskId, 0);
});

test('createTask needs a scope for the priority or a higher one, and the scopes it gives away', async () => {
  const taskQueueId = newTaskQueue();
  const base = ['queue:scheduler-id:-', 'queue:create-task:project:none'];
  const make = (scopes, changes) =>
    queueOf(temporary([...base, ...scopes])).createTask(taskcluster.slugid(), definition(taskQueueId, changes));
  const refused = (scopes, changes) => failure(403, 'InsufficientScopes', () => make(scopes, changes));
  const medium = `queue:create-task:medium:${taskQueueId}`;
  await make([medium], { priority: 'medium' });
  await make([medium], { priority: 'low' });
  await make([`queue:create-task:highest:${taskQueueId}`], {});
  await make([medium, 'give:*'], { scopes: ['give:this'] });
  await make([medium, 'queue:route:r.*'], { routes: ['r.1'] });
  await refused([medium], { priority: 'high' });
  await refused([medium], { scopes: ['give:this'] });
  await refused([medium], { routes: ['r.1'] });
  await refused([medium], { projectId: 'other' });
  await refused([medium], { schedulerId: 'other' });
  await refused([`queue:create-task:medium:${taskQueueId}x`], { priority: 'medium' });
  await refused([], {});
});

test('authorizedScopes narrow, and never widen', async () => {
  const taskId = await createTask(newTaskQueue());
  const other = await createTask(newTaskQueue());
  const narrow = queueOf(root, { authorizedScopes: [`queue:status:${taskId}`] });
  await narrow.status(taskId);
  await failure(403, 'InsufficientScopes', () => narrow.status(other));
  await failure(403, 'InsufficientScopes', () => narrow.task(taskId));
  const none = queueOf(root, { authorizedScopes: [] });
  await failure(403, 'InsufficientScopes', () => none.status(taskId));
  const wide = queueOf(temporary([`queue:status:${taskId}`]), { authorizedScopes: ['queue:status:*'] });
  await failure(401, 'AuthenticationFailed', () => wide.status(taskId));
  const both = queueOf(temporary(['queue:status:*']), { authorizedScopes: [`queue:status:${taskId}`] });
  await both.status(taskId);
  await failure(403, 'InsufficientScopes', () => both.status(other));
});

for (const [kind, changes] of [['unnamed', {}], ['named', { clientId: 'tmp/some-client' }]]) {
  test(`${kind} temporary credentials work within their scopes and time`, async () => {
    const taskId = await createTask(newTaskQueue());
    const scopes = [`queue:status:${taskId}`, 'another:*'];
    const credentials = temporary(scopes, changes);
    assert.equal(credentials.clientId, changes.clientId ?? root.clientId);
    const client = queueOf(credentials);
    await client.status(taskId);
    await failure(403, 'InsufficientScopes', () => client.task(taskId));
    // A clock may be up to 5 minutes off.
    await queueOf(temporary(scopes, { ...changes, start: at(-20), expiry: at(-4) })).status(taskId);
    await queueOf(temporary(scopes, { ...changes, start: at(4), expiry: at(20) })).status(taskId);
    for (const times of [{ start: at(-20), expiry: at(-6) }, { start: at(6), expiry: at(20) }]) {
      await failure(401, 'AuthenticationFailed', () => queueOf(temporary(scopes, { ...changes, ...times })).status(taskId));
    }
  });
}

test('temporary credentials for 31 days work', async () => {
  const taskId = await createTask(newTaskQueue());
  await queueOf(temporary(['*'], { start: at(0), expiry: at(31 * 24 * 60) })).status(taskId);
});

test('a page of any origin may call', async () => {
  const origin = 'https://elsewhere.example';
  const url = `${rootUrl}/api/queue/v1/task/${taskcluster.slugid()}`;
  const asked = await fetch(url, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization,content-type' },
  });
  assert.ok([200, 204].includes(asked.status));
  assert.ok(['*', origin].includes(asked.headers.get('access-control-allow-origin')));
  assert.ok(asked.headers.get('access-control-allow-methods').includes('PUT'));
  const allowed = asked.headers.get('access-control-allow-headers').toLowerCase();
  for (const header of ['authorization', 'content-type']) assert.ok(allowed.includes(header), header);
  for (const [path, status] of [['ping', 200], [`task/${taskcluster.slugid()}`, 403]]) {
    const answer = await fetch(`${rootUrl}/api/queue/v1/${path}`, { headers: { origin } });
    assert.equal(answer.status, status);
    assert.ok(['*', origin].includes(answer.headers.get('access-control-allow-origin')));
    assert.match(answer.headers.get('cache-control'), /no-store/);
    assert.ok(answer.headers.get('x-for-request-id'));
  }
});

test('what is not there: routes, methods, query parameters', async () => {
  const gone = await fetch(`${rootUrl}/api/queue/v1/no-such-thing`);
  assert.equal(gone.status, 404);
  assert.deepEqual(await gone.json(), { error: 'Not found' });
  const unknown = await fetch(`${rootUrl}/api/queue/v1/ping?colour=red`);
  assert.equal(unknown.status, 400);
  for (const [body, type] of [['{"broken', 'application/json'], ['{}', 'text/plain'], ['[]', 'application/json']]) {
    const { header } = await signed('PUT', `/api/queue/v1/task/${taskcluster.slugid()}`);
    const answer = await fetch(header.url, { method: 'PUT', body, headers: { authorization: header.value, 'content-type': type } });
    assert.equal(answer.status, 400, body);
    assert.equal((await answer.json()).code.length > 0, true);
  }
});

/** A Hawk header as the client's own library makes it, for requests that the client refuses to send. */
async function signed(method, path) {
  const { default: hawk } = await import('hawk');
  const url = rootUrl + path;
  const credentials = { id: root.clientId, key: root.accessToken, algorithm: 'sha256' };
  return { header: { url, value: hawk.client.header(url, method, { credentials }).header } };
}
