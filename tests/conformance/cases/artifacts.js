// taskcluster-client 87: what runs leave behind.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from '../lib/harness.js';
import { claimedTask, failure, fromNow, queue, queueOf, root, worker } from '../lib/world.js';

const anonymous = queueOf({});
const expires = fromNow('10 hours');

const s3 = { storageType: 's3', expires, contentType: 'application/octet-stream' };
const reference = { storageType: 'reference', expires, url: 'http://example.com/there', contentType: 'text/html' };

/** Records an artifact of type s3 with the run's credentials, and uploads it. */
async function upload({ run, taskId, runId }, name, bytes, contentType = 'application/octet-stream') {
  const made = await run.createArtifact(taskId, runId, name, { ...s3, contentType, contentLength: bytes.length });
  assert.equal(made.storageType, 's3');
  assert.equal(made.contentType, contentType);
  const minutes = (Date.parse(made.expires) - Date.now()) / 60_000;
  assert.ok(minutes > 5 && minutes <= 45, `${minutes} minutes`);
  const answer = await fetch(made.putUrl, { method: 'PUT', body: bytes, headers: { 'content-type': contentType } });
  assert.equal(answer.status, 200, await answer.text());
  return made.putUrl;
}

async function download(url, headers = {}) {
  const answer = await fetch(url, { headers, redirect: 'manual' });
  return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) };
}

test('an s3 artifact comes back as it was uploaded', async () => {
  const claimed = await claimedTask();
  const bytes = randomBytes(300_000);
  await upload(claimed, 'public/data.bin', bytes);
  for (const found of [await queue.getArtifact(claimed.taskId, 0, 'public/data.bin'),
    await queue.getLatestArtifact(claimed.taskId, 'public/data.bin')]) {
    assert.equal(found.storageType, 's3');
    const got = await download(found.url);
    assert.equal(got.status, 200);
    assert.equal(got.headers.get('content-type'), 'application/octet-stream');
    assert.equal(got.headers.get('content-length'), '300000');
    assert.ok(got.bytes.equals(bytes));
  }
});

test('a part of an artifact: Range', async () => {
  const claimed = await claimedTask();
  const bytes = randomBytes(10_000);
  await upload(claimed, 'public/data.bin', bytes);
  const { url } = await queue.getLatestArtifact(claimed.taskId, 'public/data.bin');
  for (const [range, from, to] of [['0-0', 0, 0], ['100-199', 100, 199], ['9000-', 9000, 9999], ['-10', 9990, 9999],
    ['9999-20000', 9999, 9999]]) {
    const got = await download(url, { range: `bytes=${range}` });
    assert.equal(got.status, 206, range);
    assert.equal(got.headers.get('content-range'), `bytes ${from}-${to}/10000`);
    assert.ok(got.bytes.equals(bytes.subarray(from, to + 1)), range);
  }
  const beyond = await download(url, { range: 'bytes=10000-' });
  assert.equal(beyond.status, 416);
  assert.equal(beyond.headers.get('content-range'), 'bytes */10000');
});

test('an empty artifact, and one whose name needs every escape', async () => {
  const claimed = await claimedTask();
  const name = 'public/with space/%2F/a+b&c=d?e#f/"quoted"';
  await upload(claimed, 'public/empty', Buffer.alloc(0), 'text/plain');
  await upload(claimed, name, Buffer.from('odd'), 'text/plain');
  const listed = (await queue.listArtifacts(claimed.taskId, 0)).artifacts.map(artifact => artifact.name);
  assert.deepEqual(listed.sort(), ['public/empty', name].sort());
  assert.equal((await download((await queue.getArtifact(claimed.taskId, 0, 'public/empty')).url)).bytes.length, 0);
  const odd = await download((await queue.getArtifact(claimed.taskId, 0, name)).url);
  assert.equal(odd.bytes.toString(), 'odd');
});

test('a putUrl is for its own object, for PUT, and must not be changed', async () => {
  const claimed = await claimedTask();
  const putUrl = await upload(claimed, 'public/one', Buffer.from('first'), 'text/plain');
  const elsewhere = putUrl.replace('one', 'two');
  assert.notEqual(elsewhere, putUrl);
  for (const [url, method] of [[elsewhere, 'PUT'], [putUrl, 'GET'], [`${putUrl}x`, 'PUT'], [putUrl.split('?')[0], 'PUT']]) {
    const answer = await fetch(url, { method, body: method === 'PUT' ? 'second' : undefined });
    assert.equal(answer.status, 403, `${method} ${url}`);
  }
  const { url } = await queue.getArtifact(claimed.taskId, 0, 'public/one');
  assert.equal((await fetch(url, { method: 'PUT', body: 'second' })).status, 403);
  assert.equal((await download(url)).bytes.toString(), 'first');
});

test('createArtifact again: equal is fine, different is a conflict', async () => {
  const { run, taskId } = await claimedTask();
  const make = changes => run.createArtifact(taskId, 0, 'public/x', { ...s3, ...changes });
  await make();
  await make();
  await make({ expires: fromNow('11 hours') });
  await failure(409, 'RequestConflict', () => make({ contentType: 'text/plain' }));
  await failure(409, 'RequestConflict', () => run.createArtifact(taskId, 0, 'public/x', reference));
});

test('createArtifact refuses what is not an artifact', async () => {
  const { run, taskId } = await claimedTask();
  for (const bad of [
    { ...s3, storageType: 'azure' }, { ...s3, contentType: undefined }, { ...s3, expires: undefined },
    { ...reference, url: 'not a url' }, { ...s3, colour: 'red' },
    { storageType: 'error', expires, reason: 'no-reason', message: 'x' },
  ]) await failure(400, 'InputValidationError', () => run.createArtifact(taskId, 0, 'public/x', bad));
  await failure(400, 'InputError', () => run.createArtifact(taskId, 0, 'public/x', { ...s3, expires: fromNow('2 days') }));
  assert.deepEqual(await queue.listArtifacts(taskId, 0), { artifacts: [] });
});

test('a reference leads where it says, and may become another reference', async () => {
  const { run, taskId } = await claimedTask();
  assert.deepEqual(await run.createArtifact(taskId, 0, 'public/page', reference), { storageType: 'reference' });
  assert.deepEqual(await queue.getArtifact(taskId, 0, 'public/page'), { storageType: 'reference', url: reference.url });
  await run.createArtifact(taskId, 0, 'public/page', { ...reference, url: 'https://example.com/other' });
  const answer = await download(queue.buildUrl(queue.getLatestArtifact, taskId, 'public/page'));
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get('location'), 'https://example.com/other');
  assert.equal(answer.headers.get('x-taskcluster-artifact-storage-type'), 'reference');
});

test('a link is followed; a loop, a lost end and a private end are errors', async () => {
  const claimed = await claimedTask();
  const { run, taskId } = claimed;
  const link = (name, artifact) => run.createArtifact(taskId, 0, name, { storageType: 'link', expires, artifact });
  await upload(claimed, 'public/end', Buffer.from('the end'), 'text/plain');
  await upload(claimed, 'private/end', Buffer.from('secret'), 'text/plain');
  assert.deepEqual(await link('public/start', 'public/middle'), { storageType: 'link' });
  await link('public/middle', 'public/end');
  await link('public/loop', 'public/loop');
  await link('public/lost', 'public/nowhere');
  await link('public/leak', 'private/end');
  const { url, storageType } = await anonymous.getLatestArtifact(taskId, 'public/start');
  assert.equal(storageType, 's3');
  assert.equal((await download(url)).bytes.toString(), 'the end');
  await failure(400, 'InputError', () => queue.getArtifact(taskId, 0, 'public/loop'));
  await failure(404, 'ResourceNotFound', () => queue.getArtifact(taskId, 0, 'public/lost'));
  await failure(403, 'InsufficientScopes', () => anonymous.getLatestArtifact(taskId, 'public/leak'));
});

test('a reference may become a link, as a live log does', async () => {
  const claimed = await claimedTask();
  const { run, taskId } = claimed;
  await run.createArtifact(taskId, 0, 'public/live.log', reference);
  await upload(claimed, 'public/live_backing.log', Buffer.from('all of it'), 'text/plain');
  await run.createArtifact(taskId, 0, 'public/live.log', { storageType: 'link', expires, artifact: 'public/live_backing.log' });
  const { url } = await anonymous.getLatestArtifact(taskId, 'public/live.log');
  assert.equal((await download(url)).bytes.toString(), 'all of it');
});

test('an error artifact answers 424 with its reason', async () => {
  const { run, taskId } = await claimedTask();
  const error = { storageType: 'error', expires, reason: 'file-missing-on-worker', message: 'there was no such file' };
  assert.deepEqual(await run.createArtifact(taskId, 0, 'public/gone', error), { storageType: 'error' });
  await assert.rejects(queue.getArtifact(taskId, 0, 'public/gone'), thrown => {
    assert.equal(thrown.statusCode, 424);
    assert.deepEqual(thrown.body, { reason: error.reason, message: error.message });
    return true;
  });
});

test('listArtifacts, whole and in pages', async () => {
  const { run, taskId } = await claimedTask();
  const names = Array.from({ length: 7 }, (_, i) => `public/n ${i}`);
  for (const name of [...names].reverse()) await run.createArtifact(taskId, 0, name, reference);
  const all = await queue.listArtifacts(taskId, 0);
  assert.deepEqual(all.artifacts.map(artifact => artifact.name).sort(), names);
  assert.deepEqual(Object.keys(all), ['artifacts']);
  assert.deepEqual(all.artifacts[0], { storageType: 'reference', name: all.artifacts[0].name, expires, contentType: 'text/html' });
  assert.deepEqual(await queue.listLatestArtifacts(taskId), all);
  const paged = [];
  let query = { limit: 3 };
  for (let pages = 1; ; ++pages) {
    assert.ok(pages <= 3);
    const page = await queue.listArtifacts(taskId, 0, query);
    assert.ok(page.artifacts.length <= 3);
    paged.push(...page.artifacts);
    if (!page.continuationToken) break;
    query = { limit: 3, continuationToken: page.continuationToken };
  }
  assert.deepEqual(paged, all.artifacts);
  for (const limit of [0, 'x']) {
    await failure(400, 'InvalidRequestArguments', () => queue.listArtifacts(taskId, 0, { limit }));
  }
  assert.deepEqual(await queue.listArtifacts(taskId, 0, { limit: 5000 }), all);
  await failure(400, 'InvalidRequestArguments', () => queue.listArtifacts(taskId, 0, { continuationToken: 'made-up' }));
});

test('artifacts belong to their run; the latest are those of the newest run', async () => {
  const { taskQueueId, taskId, run } = await claimedTask();
  await run.createArtifact(taskId, 0, 'public/x', { ...reference, url: 'http://example.com/0' });
  await run.reportException(taskId, 0, { reason: 'worker-shutdown' });
  // The log of a run that ended as an exception may come late.
  await run.createArtifact(taskId, 0, 'public/late', reference);
  const { tasks: [claim] } = await queue.claimWork(taskQueueId, worker);
  const second = queueOf(claim.credentials);
  await second.createArtifact(taskId, 1, 'public/x', { ...reference, url: 'http://example.com/1' });
  assert.equal((await queue.getArtifact(taskId, 0, 'public/x')).url, 'http://example.com/0');
  assert.equal((await queue.getLatestArtifact(taskId, 'public/x')).url, 'http://example.com/1');
  await failure(404, 'ResourceNotFound', () => queue.getLatestArtifact(taskId, 'public/late'));
  await failure(404, 'ResourceNotFound', () => queue.getArtifact(taskId, 2, 'public/x'));
  await second.reportCompleted(taskId, 1);
  await failure(409, 'RequestConflict', () => second.createArtifact(taskId, 1, 'public/after', reference));
});

test('everyone may read public artifacts, and no others', async () => {
  const claimed = await claimedTask();
  await upload(claimed, 'public/x', Buffer.from('open'), 'text/plain');
  await upload(claimed, 'private/x', Buffer.from('closed'), 'text/plain');
  const { taskId } = claimed;
  assert.equal((await download((await anonymous.getArtifact(taskId, 0, 'public/x')).url)).bytes.toString(), 'open');
  await failure(403, 'InsufficientScopes', () => anonymous.getArtifact(taskId, 0, 'private/x'));
  await failure(403, 'InsufficientScopes', () => anonymous.getLatestArtifact(taskId, 'publicity/x'));
  await failure(403, 'InsufficientScopes', () => anonymous.createArtifact(taskId, 0, 'public/y', reference));
});

test('buildSignedUrl: a bewit opens one private artifact for a while', async () => {
  const claimed = await claimedTask();
  const { taskId } = claimed;
  await upload(claimed, 'private/deep/x.txt', Buffer.from('closed'), 'text/plain');
  await upload(claimed, 'private/other', Buffer.from('other'), 'text/plain');
  for (const url of [queue.buildSignedUrl(queue.getArtifact, taskId, 0, 'private/deep/x.txt'),
    queue.buildSignedUrl(queue.getLatestArtifact, taskId, 'private/deep/x.txt', { expiration: 60 })]) {
    const followed = await fetch(url);
    assert.equal(followed.status, 200);
    assert.equal(await followed.text(), 'closed');
    assert.equal((await fetch(url.replace('deep%2Fx.txt', 'other'))).status, 401);
    assert.equal((await fetch(url, { method: 'POST' })).status >= 400, true);
    assert.equal((await fetch(url, { headers: { authorization: 'Hawk id="x"' } })).status, 401);
  }
  const old = queue.buildSignedUrl(queue.getArtifact, taskId, 0, 'private/other', { expiration: -3600 });
  assert.equal((await fetch(old)).status, 401);
});

test('buildSignedUrl with temporary credentials carries the certificate', async () => {
  const claimed = await claimedTask({ scopes: ['queue:get-artifact:private/mine/*'] });
  const { run, taskId } = claimed;
  await upload(claimed, 'private/mine/x', Buffer.from('mine'), 'text/plain');
  await upload(claimed, 'private/other', Buffer.from('other'), 'text/plain');
  assert.equal(await (await fetch(run.buildSignedUrl(run.getArtifact, taskId, 0, 'private/mine/x'))).text(), 'mine');
  assert.equal((await fetch(run.buildSignedUrl(run.getArtifact, taskId, 0, 'private/other'))).status, 403);
  const narrow = queueOf(root, { authorizedScopes: ['queue:get-artifact:private/other'] });
  assert.equal((await fetch(narrow.buildSignedUrl(narrow.getArtifact, taskId, 0, 'private/other'))).status, 200);
  assert.equal((await fetch(narrow.buildSignedUrl(narrow.getArtifact, taskId, 0, 'private/mine/x'))).status, 403);
});

test('an artifact that has expired is gone', async () => {
  const { run, taskId } = await claimedTask();
  await run.createArtifact(taskId, 0, 'public/short', { ...reference, expires: new Date(Date.now() + 1000).toJSON() });
  await queue.getArtifact(taskId, 0, 'public/short');
  await new Promise(resolve => setTimeout(resolve, 1100));
  const error = await queue.getArtifact(taskId, 0, 'public/short').catch(thrown => thrown);
  assert.ok([404, 410].includes(error.statusCode), `${error.statusCode}`);
});
