// docker-exec-websocket-client 3.0.0, which Taskcluster's shell page is made of, against the agent in `gantry dev`.
import assert from 'node:assert/strict';
import docker from 'docker-exec-websocket-client';
import { test } from '../lib/harness.js';
import { createTask, nativeQueue, queue, waitFor } from '../lib/world.js';

const { DockerExecClient } = docker;

const shellArtifact = 'private/docker-worker/shell.html';

/** A task with a shell, and the URL of its socket as Taskcluster's tools find it: through the artifact. */
async function taskWithShell() {
  const taskId = await createTask(nativeQueue, { payload: {
    image: 'gantry/example:1', command: ['sleep', '60'], maxRunTime: 60, features: { interactive: true },
  } });
  const { storageType, url } = await waitFor('the shell', () =>
    queue.latestArtifact(taskId, shellArtifact).catch(error => {
      assert.equal(error.statusCode, 404);
      return undefined;
    }));
  assert.equal(storageType, 'reference');
  const page = await (await fetch(url)).json();
  assert.equal(page.taskId, taskId);
  assert.equal(page.runId, 0);
  // The artifact is there before the container runs.
  await waitFor('the container', async () => {
    const { code } = await run(page.socketUrl, { tty: false, command: 'true' });
    return code === 0 ? true : undefined;
  });
  return { taskId, socketUrl: page.socketUrl };
}

/** Runs one command to its end: {code, out, err, error}. */
async function run(url, options, talk = () => {}) {
  const client = new DockerExecClient({ url, ...options });
  const result = { out: [], err: [] };
  const ended = new Promise(resolve => {
    client.on('exit', code => { result.code = code; resolve(); });
    client.on('error', reason => { result.error = reason.toString(); resolve(); });
  });
  await client.execute();
  client.stdout.on('data', data => result.out.push(data));
  client.stderr.on('data', data => result.err.push(data));
  await talk(client);
  await ended;
  client.close();
  return { ...result, out: Buffer.concat(result.out).toString(), err: Buffer.concat(result.err).toString() };
}

/** Until what the client has read matches. */
function see(client, pattern) {
  return new Promise(resolve => {
    let seen = '';
    client.stdout.on('data', data => {
      seen += data;
      if (pattern.test(seen)) resolve(seen);
    });
  });
}

test('shell: input, output and exit codes', async () => {
  const { taskId, socketUrl } = await taskWithShell();
  const cat = await run(socketUrl, { tty: false, command: ['sh', '-c', 'cat; echo err >&2; exit 42'] }, client => {
    client.stdin.write('one\n');
    client.stdin.end('two\n');
  });
  assert.deepEqual(cat, { code: 42, out: 'one\ntwo\n', err: 'err\n' });
  await queue.cancelTask(taskId);
});

test('shell: a terminal with a size', async () => {
  const { taskId, socketUrl } = await taskWithShell();
  const shell = await run(socketUrl, { tty: true, command: 'sh' }, async client => {
    client.resize(41, 143);
    client.stdin.write('echo $((6*7)); stty size\n');
    await see(client, /\r\n42\r\n41 143\r\n/);
    client.stdin.write('exit 5\n');
  });
  assert.equal(shell.code, 5);
  await queue.cancelTask(taskId);
});

test('shell: megabytes both ways', async () => {
  const { taskId, socketUrl } = await taskWithShell();
  const megabytes = Buffer.alloc(12 << 20, 'shell ');
  const cat = await run(socketUrl, { tty: false, command: 'cat' }, client => {
    for (let at = 0; at < megabytes.length; at += 1 << 20) client.stdin.write(megabytes.subarray(at, at + (1 << 20)));
    client.stdin.end();
  });
  assert.equal(cat.code, 0);
  assert.ok(cat.out === megabytes.toString(), `${cat.out.length} of ${megabytes.length} bytes`);
  await queue.cancelTask(taskId);
});

test('shell: the eleventh session is told that it is one too many', async () => {
  const { taskId, socketUrl } = await taskWithShell();
  const clients = [];
  for (let i = 0; i < 10; ++i) {
    const client = new DockerExecClient({ url: socketUrl, tty: false, command: 'cat' });
    const ready = new Promise(resolve => client.on('resumed', resolve));
    await client.execute();
    await ready;
    clients.push(client);
  }
  const { error } = await run(socketUrl, { tty: false, command: 'true' });
  assert.equal(error, 'Too many sessions active!');
  for (const client of clients) client.close();
  await queue.cancelTask(taskId);
});
