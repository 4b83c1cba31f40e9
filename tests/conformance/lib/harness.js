// A list of named tests, run in order, each with a deadline; prints one line a test and the closing line.

const testMsMax = 60_000;
const tests = [];

/** Registers a test. */
export function test(name, act) {
  tests.push({ name, act });
}

function deadline(ms) {
  let timer;
  const passed = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${ms / 1000} s`)), ms);
  });
  return { passed, cancel: () => clearTimeout(timer) };
}

async function runOne({ name, act }) {
  const started = process.hrtime.bigint();
  const limit = deadline(testMsMax);
  let failure;
  try {
    await Promise.race([act(), limit.passed]);
  } catch (error) {
    failure = error ?? new Error('thrown without a reason');
  }
  limit.cancel();
  const ms = Number((process.hrtime.bigint() - started) / 1_000_000n);
  console.log(`${failure ? 'FAILED' : 'ok    '}  ${name} (${ms} ms)`);
  if (failure) console.log(`${failure.stack ?? failure}`.replace(/^/gm, '        '));
  return !failure;
}

/** Runs the tests whose name contains `part`; returns the process's exit code. */
export async function runAll(part) {
  const chosen = tests.filter(({ name }) => name.includes(part));
  let failed = 0;
  for (const one of chosen) {
    if (!await runOne(one)) ++failed;
  }
  console.log(`${chosen.length - failed} passed, ${failed} failed`);
  return failed > 0 || chosen.length === 0 ? 1 : 0;
}
