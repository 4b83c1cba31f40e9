// taskcluster-client 87 with the auth service: clients, roles, scopes, and what becomes of credentials.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import { createTask, failure, fromNow, newTaskQueue, queueOf, root, rootUrl } from '../lib/world.js';

const authOf = (credentials, options = {}) => new taskcluster.Auth({ rootUrl, credentials, retries: 0, ...options });
const auth = authOf(root);
const everybodys = ['assume:anonymous', 'queue:get-artifact:public/*'];
let count = 0;
const newId = () => `conformance/${process.pid}/${++count}`;
const clientOf = scopes => ({ description: 'made by tests/conformance', expires: fromNow('1 day'), scopes });
const roleOf = scopes => ({ description: 'made by tests/conformance', scopes });

async function newClient(scopes) {
  const clientId = newId();
  const { accessToken } = await auth.createClient(clientId, clientOf(scopes));
  return { clientId, accessToken };
}

test('a client is created, works, issues credentials, is disabled, enabled, reset and deleted', async () => {
  const taskId = await createTask(newTaskQueue());
  const clientId = newId();
  const made = await auth.createClient(clientId, clientOf([`queue:status:${taskId}`, 'auth:create-client:tmp/*']));
  assert.equal(made.clientId, clientId);
  assert.match(made.accessToken, /^[a-zA-Z0-9_-]{22,66}$/);
  const credentials = { clientId, accessToken: made.accessToken };
  const scopes = [`queue:status:${taskId}`];
  const times = { start: new Date(), expiry: new Date(Date.now() + 600_000) };
  const unnamed = taskcluster.createTemporaryCredentials({ scopes, credentials, ...times });
  const named = taskcluster.createTemporaryCredentials({ scopes, credentials, clientId: 'tmp/x', ...times });
  const misnamed = taskcluster.createTemporaryCredentials({ scopes, credentials, clientId: 'other/x', ...times });
  const wider = taskcluster.createTemporaryCredentials({ scopes: ['queue:*'], credentials, ...times });
  const all = [credentials, unnamed, named];
  for (const one of all) await queueOf(one).status(taskId);
  for (const one of [misnamed, wider]) await failure(401, 'AuthenticationFailed', () => queueOf(one).status(taskId));
  await failure(403, 'InsufficientScopes', () => queueOf(credentials).task(taskId));

  assert.equal((await auth.disableClient(clientId)).disabled, true);
  for (const one of all) {
    const error = await failure(401, 'AuthenticationFailed', () => queueOf(one).status(taskId));
    assert.match(error.body.message, /disabled/);
  }
  assert.equal((await auth.enableClient(clientId)).disabled, false);
  for (const one of all) await queueOf(one).status(taskId);

  const reset = await auth.resetAccessToken(clientId);
  assert.notEqual(reset.accessToken, made.accessToken);
  for (const one of all) await failure(401, 'AuthenticationFailed', () => queueOf(one).status(taskId));
  await queueOf({ clientId, accessToken: reset.accessToken }).status(taskId);

  await auth.deleteClient(clientId);
  await auth.deleteClient(clientId);
  await failure(401, 'AuthenticationFailed', () => queueOf({ clientId, accessToken: reset.accessToken }).status(taskId));
  await failure(404, 'ResourceNotFound', () => auth.client(clientId));
});

test('a client is shown with everything but its token', async () => {
  const clientId = newId();
  const input = { ...clientOf(['b', 'a:*']), deleteOnExpiration: true };
  const { accessToken, ...made } = await auth.createClient(clientId, input);
  assert.equal(typeof accessToken, 'string');
  const shown = await auth.client(clientId);
  assert.deepEqual(shown, made);
  assert.deepEqual(Object.keys(shown).sort(), ['clientId', 'created', 'deleteOnExpiration', 'description', 'disabled',
    'expandedScopes', 'expires', 'lastDateUsed', 'lastModified', 'lastRotated', 'scopes']);
  assert.deepEqual({ ...shown, ...input }, shown);
  assert.deepEqual(shown.expandedScopes, ['a:*', 'b']);
  assert.equal((await auth.createClient(clientId, input)).accessToken, accessToken);
  await failure(409, 'RequestConflict', () => auth.createClient(clientId, { ...input, description: 'another' }));
  const updated = await auth.updateClient(clientId, { description: 'new', expires: input.expires });
  assert.deepEqual(updated.scopes, ['b', 'a:*']);
  assert.equal(updated.description, 'new');
  assert.equal(updated.deleteOnExpiration, false);
});

test('clients and roles are listed in pages', async () => {
  const prefix = newId();
  for (const n of [3, 1, 2]) await auth.createClient(`${prefix}/${n}`, clientOf([]));
  const seen = [];
  let query = { prefix: `${prefix}/`, limit: 2 };
  for (;;) {
    const page = await auth.listClients(query);
    seen.push(...page.clients.map(({ clientId }) => clientId));
    if (!page.continuationToken) break;
    query = { ...query, continuationToken: page.continuationToken };
  }
  assert.deepEqual(seen, [1, 2, 3].map(n => `${prefix}/${n}`));
  await auth.createRole(`${prefix}/a b`, roleOf(['x']));
  const all = await auth.listRoles();
  const role = await auth.role(`${prefix}/a b`);
  assert.deepEqual(all.find(({ roleId }) => roleId === role.roleId), role);
  assert.deepEqual((await auth.listRoles2()).roles, all);
  assert.deepEqual((await auth.listRoleIds()).roleIds, all.map(({ roleId }) => roleId));
  assert.equal((await auth.listRoles2({ limit: 1 })).roles.length, 1);
});

test('roles give scopes, at once and to credentials that were used before', async () => {
  const name = newId();
  const taskId = await createTask(newTaskQueue());
  const client = await newClient([`assume:${name}/x`]);
  await failure(403, 'InsufficientScopes', () => queueOf(client).status(taskId));
  const role = await auth.createRole(`${name}/*`, roleOf([`queue:status:${taskId}`, 'p:<..>']));
  assert.deepEqual(role.scopes, ['p:<..>', `queue:status:${taskId}`]);
  assert.deepEqual(role.expandedScopes, [`assume:${name}/*`, 'p:*', `queue:status:${taskId}`]);
  await queueOf(client).status(taskId);
  assert.deepEqual((await auth.client(client.clientId)).expandedScopes,
    [`assume:${name}/x`, 'p:x', `queue:status:${taskId}`]);
  assert.deepEqual((await auth.expandScopes({ scopes: [`assume:${name}/y*`, 'q'] })).scopes,
    [`assume:${name}/y*`, 'p:y*', 'q', `queue:status:${taskId}`]);
  assert.deepEqual(await auth.createRole(`${name}/*`, roleOf([`queue:status:${taskId}`, 'p:<..>'])), role);
  await failure(409, 'RequestConflict', () => auth.createRole(`${name}/*`, roleOf([])));
  await failure(400, 'InputError', () => auth.updateRole(`${name}/*`, roleOf([`assume:${name}/z`])));
  await failure(404, 'ResourceNotFound', () => auth.updateRole(`${name}-none`, roleOf([])));
  assert.deepEqual((await auth.updateRole(`${name}/*`, roleOf(['z']))).scopes, ['z']);
  await failure(403, 'InsufficientScopes', () => queueOf(client).status(taskId));
  await auth.deleteRole(`${name}/*`);
  await auth.deleteRole(`${name}/*`);
  await failure(404, 'ResourceNotFound', () => auth.role(`${name}/*`));
});

test('nobody gives away what they do not hold', async () => {
  const name = newId();
  const admin = authOf(await newClient([`auth:create-client:${name}/*`, `auth:create-role:${name}/*`, 'have:*',
    `auth:update-role:${name}/*`]));
  await admin.createClient(`${name}/a`, clientOf(['have:this']));
  const error = await failure(403, 'InsufficientScopes', () => admin.createClient(`${name}/b`, clientOf(['have:this', 'not:this'])));
  assert.match(error.body.message, /not:this/);
  assert.doesNotMatch(error.body.message, /have:this/);
  await failure(403, 'InsufficientScopes', () => admin.createClient(`${name}b`, clientOf([])));
  await admin.createRole(`${name}/r`, roleOf(['have:this']));
  await failure(403, 'InsufficientScopes', () => admin.createRole(`${name}/s`, roleOf(['not:this'])));
  await failure(403, 'InsufficientScopes', () => admin.updateRole(`${name}/r`, roleOf(['have:this', 'not:this'])));
  await failure(403, 'InsufficientScopes', () => admin.resetAccessToken(`${name}/a`));
  await failure(403, 'InsufficientScopes', () => authOf({}).listClients());
});

test('what a client may be called and given', async () => {
  await failure(400, 'InvalidRequestArguments', () => auth.createClient('with space', clientOf([])));
  await failure(400, 'InputError', () => auth.createClient('static/x', clientOf([])));
  await failure(400, 'InputError', () => auth.createClient(newId(), clientOf(['a**'])));
  await failure(400, 'InputValidationError', () => auth.createClient(newId(), { ...clientOf([]), extra: 1 }));
  await failure(400, 'InputValidationError', () => auth.createClient(newId(), { description: 'no end' }));
});

test('currentScopes tells what is left of them', async () => {
  const client = await newClient(['auth:current-scopes', 'a:*']);
  assert.deepEqual((await authOf(client).currentScopes()).scopes, ['a:*', 'assume:anonymous', 'auth:current-scopes', everybodys[1]]);
  assert.deepEqual((await authOf(client, { authorizedScopes: ['auth:current-scopes'] }).currentScopes()).scopes,
    ['assume:anonymous', 'auth:current-scopes', everybodys[1]]);
});

test('testAuthenticate and testAuthenticateGet know the tester alone', async () => {
  const tester = { clientId: 'tester', accessToken: 'no-secret' };
  const input = { clientScopes: ['test:*', 'auth:create-client:tmp/*'], requiredScopes: ['test:a'] };
  assert.deepEqual(await authOf(tester).testAuthenticate(input),
    { clientId: 'tester', scopes: ['assume:anonymous', 'auth:create-client:tmp/*', 'test:*'] });
  const times = { start: new Date(), expiry: new Date(Date.now() + 600_000) };
  const named = taskcluster.createTemporaryCredentials({ scopes: ['test:a'], credentials: tester, clientId: 'tmp/x', ...times });
  assert.deepEqual(await authOf(named).testAuthenticate(input), { clientId: 'tmp/x', scopes: ['assume:anonymous', 'test:a'] });
  await failure(403, 'InsufficientScopes', () => authOf(tester, { authorizedScopes: ['test:b'] }).testAuthenticate(input));
  await failure(401, 'AuthenticationFailed', () => authOf({ ...tester, accessToken: 'wrong' }).testAuthenticate(input));
  await failure(401, 'AuthenticationFailed', () => auth.testAuthenticateGet());
  assert.equal((await authOf(tester).testAuthenticateGet()).clientId, 'tester');
  const answer = await fetch(authOf(tester).buildSignedUrl(auth.testAuthenticateGet, { expiration: 60 }));
  assert.equal((await answer.json()).clientId, 'tester');
});

test('authenticateHawk checks what another service was sent', async () => {
  const { default: hawk } = await import('hawk');
  const client = await newClient(['a']);
  const sign = (url, id = client.clientId, key = client.accessToken) =>
    hawk.client.header(url, 'GET', { credentials: { id, key, algorithm: 'sha256' } }).header;
  const url = 'https://service.example/x?y=1';
  const asked = { method: 'get', resource: '/x?y=1', host: 'service.example', port: 443, sourceIp: '127.0.0.1' };
  const anyone = authOf({});
  const good = await anyone.authenticateHawk({ ...asked, authorization: sign(url) });
  assert.deepEqual({ ...good, expires: 0 }, { status: 'auth-success', scheme: 'hawk', clientId: client.clientId,
    scopes: ['a', ...everybodys], expires: 0 });
  assert.ok(new Date(good.expires) > new Date());
  for (const authorization of [sign(`${url}2`), sign(url, 'nobody'), sign(url, client.clientId, 'wrong'), 'Hawk x']) {
    const bad = await anyone.authenticateHawk({ ...asked, authorization });
    assert.equal(bad.status, 'auth-failed');
    assert.equal(typeof bad.message, 'string');
  }
  const none = await anyone.authenticateHawk(asked);
  assert.deepEqual({ ...none, expires: 0 }, { status: 'no-auth', scheme: 'none', scopes: everybodys, expires: 0 });
});
