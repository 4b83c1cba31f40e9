// taskcluster-client 87 with the secrets service.
import assert from 'node:assert/strict';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import { failure, fromNow, root, rootUrl } from '../lib/world.js';

const secretsOf = credentials => new taskcluster.Secrets({ rootUrl, credentials, retries: 0 });
const secrets = secretsOf(root);
const prefix = `conformance/${process.pid}`;
const limited = scopes => taskcluster.createTemporaryCredentials({
  scopes, start: new Date(Date.now() - 60_000), expiry: new Date(Date.now() + 600_000), credentials: root,
});

test('a secret is set, read, replaced, listed and removed', async () => {
  const name = `${prefix}/a key`;
  const first = { secret: { password: 'hunter2', list: [1, { deep: null }] }, expires: fromNow('1 day') };
  await secrets.set(name, first);
  assert.deepEqual(await secrets.get(name), first);
  const second = { secret: {}, expires: fromNow('2 days') };
  await secrets.set(name, second);
  assert.deepEqual(await secrets.get(name), second);
  assert.ok((await secrets.list()).secrets.includes(name));
  await secrets.remove(name);
  await secrets.remove(name);
  await failure(404, 'ResourceNotFound', () => secrets.get(name));
  assert.ok(!(await secrets.list()).secrets.includes(name));
});

test('who may read and set a secret', async () => {
  const name = `${prefix}/guarded`;
  const reader = secretsOf(limited([`secrets:get:${name}`]));
  const writer = secretsOf(limited([`secrets:set:${name}`]));
  await failure(404, 'ResourceNotFound', () => reader.get(name));
  const value = { secret: { a: 1 }, expires: fromNow('1 hour') };
  await failure(403, 'InsufficientScopes', () => reader.set(name, value));
  await writer.set(name, value);
  assert.deepEqual(await reader.get(name), value);
  await failure(403, 'InsufficientScopes', () => writer.get(name));
  await failure(403, 'InsufficientScopes', () => reader.get(`${name}2`));
  await failure(403, 'InsufficientScopes', () => reader.list());
  await failure(403, 'InsufficientScopes', () => reader.remove(name));
  await failure(403, 'InsufficientScopes', () => secretsOf({}).get(name));
  await writer.remove(name);
});

test('no error repeats the value that it refuses', async () => {
  for (const body of [
    { secret: 'hunter2', expires: fromNow('1 hour') }, { secret: { p: 'hunter2' } },
    { secret: { p: 'hunter2' }, expires: 'hunter2' }, { value: 'hunter2', expires: fromNow('1 hour') },
  ]) {
    const error = await failure(400, 'InputValidationError', () => secrets.set(`${prefix}/bad`, body));
    assert.doesNotMatch(JSON.stringify(error.body), /hunter2/);
  }
});

test('an expired secret cannot be read, and lists come in pages', async () => {
  const name = `${prefix}/old`;
  await secrets.set(name, { secret: {}, expires: fromNow('-1 minute') });
  await failure(410, 'ResourceExpired', () => secrets.get(name));
  const names = [1, 2, 3].map(n => `${prefix}/page/${n}`);
  for (const one of names) await secrets.set(one, { secret: {}, expires: fromNow('1 hour') });
  const seen = [];
  let query = { limit: 2 };
  for (;;) {
    const page = await secrets.list(query);
    assert.ok(page.secrets.length <= 2);
    seen.push(...page.secrets);
    if (!page.continuationToken) break;
    query = { limit: 2, continuationToken: page.continuationToken };
  }
  for (const one of names) assert.equal(seen.filter(other => other === one).length, 1);
});
