// Runs every file in cases/, one after the other, against the server that `run` has started.
import { readdirSync } from 'node:fs';
import { runAll } from './lib/harness.js';

const cases = readdirSync(new URL('./cases/', import.meta.url)).filter(name => name.endsWith('.js')).sort();
for (const name of cases) await import(`./cases/${name}`);
process.exit(await runAll(process.argv[2] ?? ''));
