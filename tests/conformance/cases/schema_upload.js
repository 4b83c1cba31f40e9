// `gantry schema upload s3://...` against s3rver 3.7.1. It reads signatures of version 4 but does not compare them: that
// they are right is shown by Amazon's examples (src/wire/aws_signature_test.cc).
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import S3rver from 's3rver';
import { test } from '../lib/harness.js';

const execute = promisify(execFile);
const key = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER', AWS_SESSION_TOKEN: '', AWS_REGION: '' };

/** {code, out, err} of the program under test. */
async function gantry(env, ...words) {
  try {
    const { stdout, stderr } = await execute(process.env.GANTRY_PROGRAM, words, { env: { ...process.env, ...env } });
    return { code: 0, out: stdout, err: stderr };
  } catch (failure) {
    return { code: failure.code, out: failure.stdout, err: failure.stderr };
  }
}

async function withBucket(work) {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-s3-'));
  const server = new S3rver({ port: 0, silent: true, directory, configureBuckets: [{ name: 'schemas', configs: [] }] });
  const { address, port } = await server.run();
  try {
    await work(`http://${address}:${port}`);
  } finally {
    await server.close();
    rmSync(directory, { recursive: true });
  }
}

test('the schema of payloads is uploaded to a bucket', () => withBucket(async endpoint => {
  const { out: schema } = await gantry({}, 'schema', 'show');
  for (const [to, path] of [['s3://schemas', 'schemas'], ['s3://schemas/ci/one/', 'schemas/ci/one']]) {
    const done = await gantry(key, 'schema', 'upload', to, '--endpoint', endpoint);
    assert.deepEqual(done, { code: 0, out: `${endpoint}/${path}/docker-worker/v1/payload.json\n`, err: '' });
    const kept = await fetch(done.out.trim());
    assert.equal(await kept.text(), schema);
    assert.equal(kept.headers.get('content-type'), 'application/json');
  }
}));

test('a bucket that refuses says why', () => withBucket(async endpoint => {
  const upload = (env, to) => gantry({ ...key, ...env }, 'schema', 'upload', to, '--endpoint', endpoint);
  const wrong = await upload({ AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'not-to-be-shown' }, 's3://schemas');
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /answered 403: The AWS Access Key Id you provided does not exist/);
  assert.doesNotMatch(wrong.err, /not-to-be-shown/);
  const missing = await upload({}, 's3://nothing');
  assert.match(missing.err, /answered 404: The specified bucket does not exist/);
  const none = await upload({ AWS_ACCESS_KEY_ID: '' }, 's3://schemas');
  assert.match(none.err, /no credentials for the bucket[^]*AWS_ACCESS_KEY_ID/);
  assert.match((await upload({}, 's3://')).err, /names no bucket/);
}));
