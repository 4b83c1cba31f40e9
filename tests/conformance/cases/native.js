// taskcluster-client 87 against the agent in `gantry dev`: a real container.
import assert from 'node:assert/strict';
import { test } from '../lib/harness.js';
import { createTask, failure, fromNow, nativeQueue, queue, queueOf, resolved, rootUrl, waitFor } from '../lib/world.js';

const image = 'gantry/example:1';
const logName = 'public/logs/live.log';
const anonymous = queueOf({});

function shell(script, changes = {}) {
  return { payload: { image, command: ['sh', '-c', script], maxRunTime: 60, ...changes } };
}

async function fetchArtifact(taskId, name) {
  const { url } = await queue.getLatestArtifact(taskId, name);
  const answer = await fetch(url);
  assert.equal(answer.status, 200, name);
  return { text: await answer.text(), type: answer.headers.get('content-type') };
}

/** Reads a stream until what has come contains `text`. */
async function readUntil(reader, text) {
  const decoder = new TextDecoder();
  let got = '';
  while (!got.includes(text)) {
    const { value, done } = await reader.read();
    assert.ok(!done, `the log ended without "${text}": ${got}`);
    got += decoder.decode(value, { stream: true });
  }
  return got;
}

/** How many polls of agents the server has answered. */
async function pollCount() {
  const text = await (await fetch(`${rootUrl}/metrics`)).text();
  return Number(text.match(/^gantry_requests_total\{method="pollNode",status="200"\} (\d+)$/m)[1]);
}

/** The container's own lines, without what the agent says around them. */
function containerLines(log) {
  return log.split(/\r?\n/).filter(line => line.startsWith('line '));
}

test('native: a task runs in a container and its log comes back', async () => {
  const taskId = await createTask(nativeQueue, shell('for i in 1 2 3; do echo line $i; done; echo line err >&2', {
    env: { UNUSED: 'x' } }));
  const status = await resolved(taskId);
  assert.equal(status.state, 'completed');
  assert.equal(status.runs.length, 1);
  const { text, type } = await fetchArtifact(taskId, logName);
  assert.match(type, /^text\/plain/);
  assert.deepEqual(containerLines(text).sort(), ['line 1', 'line 2', 'line 3', 'line err']);
});

test('native: the live log can be read by anyone while the task runs', async () => {
  // The container waits for its cancellation, so what is read before that was read while it ran.
  const taskId = await createTask(nativeQueue, shell('echo line first; sleep 300; echo line never'));
  const found = await waitFor('the live log', () => anonymous.getLatestArtifact(taskId, logName).catch(error => {
    assert.equal(error.statusCode, 404);
    return undefined;
  }));
  assert.equal(found.storageType, 'reference');
  const answer = await fetch(found.url);
  assert.equal(answer.status, 200);
  const reader = answer.body.getReader();
  const got = await readUntil(reader, 'line first');
  assert.ok(!got.includes('never'));
  assert.equal((await queue.status(taskId)).status.state, 'running');
  const pollsBefore = await pollCount();
  const { status } = await queue.cancelTask(taskId);
  assert.equal(status.runs[0].reasonResolved, 'canceled');
  // The stream ends by itself once the run is over.
  for (let done = false; !done;) ({ done } = await reader.read());
  const after = await waitFor('the finished log', async () => {
    const { artifacts } = await queue.listArtifacts(taskId, 0);
    return artifacts.find(one => one.name === logName && one.storageType === 'link');
  });
  assert.ok(after);
  assert.deepEqual(containerLines((await fetchArtifact(taskId, logName)).text), ['line first']);
  const polls = await pollCount() - pollsBefore;
  assert.ok(polls <= 10, `the agent polled ${polls} times to learn of one cancellation`);
});

test('native: a container that fails makes the task failed', async () => {
  const taskId = await createTask(nativeQueue, shell('echo line before; exit 7'));
  const status = await resolved(taskId);
  assert.equal(status.state, 'failed');
  assert.equal(status.runs[0].reasonResolved, 'failed');
  assert.deepEqual(containerLines((await fetchArtifact(taskId, logName)).text), ['line before']);
});

test('native: an image that is not there ends the task as an exception or a failure, with the reason in its log', async () => {
  const taskId = await createTask(nativeQueue, { ...shell('true', { image: 'localhost:1/no/such:image' }), retries: 0 });
  const status = await resolved(taskId);
  assert.notEqual(status.state, 'completed');
  assert.ok((await fetchArtifact(taskId, logName)).text.includes('localhost:1/no/such:image'));
});

test('native: artifacts of type file and directory are uploaded', async () => {
  const script = 'mkdir -p /out/deep && printf alpha > /out/a.txt && printf "<p>beta" > /out/deep/b.html && printf one > /one.bin';
  const expires = fromNow('2 hours');
  const taskId = await createTask(nativeQueue, shell(script, {
    artifacts: {
      'public/one.bin': { type: 'file', path: '/one.bin', expires },
      'public/out': { type: 'directory', path: '/out' },
    },
  }));
  assert.equal((await resolved(taskId)).state, 'completed');
  const { artifacts } = await queue.listLatestArtifacts(taskId);
  const types = Object.fromEntries(artifacts.map(artifact => [artifact.name, artifact.storageType]));
  assert.deepEqual(types, {
    'public/one.bin': 's3', 'public/out/a.txt': 's3', 'public/out/deep/b.html': 's3',
    'public/logs/live.log': 'link', 'public/logs/live_backing.log': 's3',
  });
  assert.equal(artifacts.find(artifact => artifact.name === 'public/one.bin').expires, expires);
  assert.equal((await fetchArtifact(taskId, 'public/one.bin')).text, 'one');
  assert.equal((await fetchArtifact(taskId, 'public/out/a.txt')).text, 'alpha');
  const html = await fetchArtifact(taskId, 'public/out/deep/b.html');
  assert.equal(html.text, '<p>beta');
  assert.match(html.type, /^text\/html/);
});

test('native: an artifact that is missing or of another type is an error artifact, and fails the task', async () => {
  const taskId = await createTask(nativeQueue, shell('mkdir /folder', {
    artifacts: {
      'public/missing': { type: 'file', path: '/missing' },
      'public/folder': { type: 'file', path: '/folder' },
    },
  }));
  assert.equal((await resolved(taskId)).state, 'failed');
  for (const [name, reason] of [['missing', 'file-missing-on-worker'], ['folder', 'invalid-resource-on-worker']]) {
    const error = await queue.getLatestArtifact(taskId, `public/${name}`).catch(thrown => thrown);
    assert.equal(error.statusCode, 424);
    assert.equal(error.body.reason, reason);
  }
});

test('native: maxRunTime ends a container', async () => {
  const taskId = await createTask(nativeQueue, shell('echo line start; sleep 300', { maxRunTime: 1 }));
  const status = await resolved(taskId);
  assert.equal(status.state, 'failed');
  assert.deepEqual(containerLines((await fetchArtifact(taskId, logName)).text), ['line start']);
});

test('native: a payload that the agent could not run is refused at creation', async () => {
  for (const change of [{ image: '' }, { maxRunTime: undefined }, { maxRunTime: 0 }, { comand: ['x'] }, { command: 'a string' }]) {
    await failure(400, 'InputValidationError', () => createTask(nativeQueue, shell('true', change)));
  }
});
