// Runs every file in cases/, one after the other, against the server that `run` has started. All requests go through a
// recorder; the last test says whether every answer was of the form that the server's references promise.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { runAll, test } from './lib/harness.js';
import { Recorder } from './lib/recorder.js';

const recorder = new Recorder(process.env.GANTRY_ENDPOINT.trim());
process.env.GANTRY_ENDPOINT = await recorder.start();

const cases = readdirSync(new URL('./cases/', import.meta.url)).filter(name => name.endsWith('.js')).sort();
for (const name of cases) await import(`./cases/${name}`);
const part = process.argv[2] ?? '';
if (part === '') {
  test('every answer so far was of its schema', async () => {
    assert.ok(recorder.count > 100, `${recorder.count} answers`);
    assert.deepEqual(recorder.complaints, []);
  });
}
const code = await runAll(part);
for (const complaint of part === '' ? [] : recorder.complaints) console.log(`note: ${complaint}`);
recorder.stop();
process.exit(code);
