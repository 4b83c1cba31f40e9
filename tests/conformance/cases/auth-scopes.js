// The algebra of scopes against npm's taskcluster-lib-scopes, and the expansion of roles against its definition written
// with that library, on scopes and roles that a seed decides (GANTRY_SCOPES_SEED; printed when a case differs).
import assert from 'node:assert/strict';
import scopesOf from 'taskcluster-lib-scopes';
import taskcluster from 'taskcluster-client';
import { test } from '../lib/harness.js';
import { root, rootUrl } from '../lib/world.js';

const { patternMatch, scopeCompare, normalizeScopeSet, satisfiesExpression } = scopesOf;
const auth = new taskcluster.Auth({ rootUrl, credentials: root, retries: 0 });
const tester = new taskcluster.Auth({ rootUrl, credentials: { clientId: 'tester', accessToken: 'no-secret' }, retries: 0 });
const seed = Number(process.env.GANTRY_SCOPES_SEED ?? process.pid);

/** mulberry32: numbers in [0, n). */
function generator(state) {
  return n => {
    state = (state + 0x6D2B79F5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const normal = scopes => normalizeScopeSet([...scopes].sort(scopeCompare));
const times = (n, make) => Array.from({ length: n }, make);
const unique = list => [...new Set(list)];

test('covering, sorting and reducing scopes is as in taskcluster-lib-scopes', async () => {
  const random = generator(seed);
  // Not with two stars at the end: in the library "x**" satisfies "x*", which is more than it says. Here it does not.
  const text = () => times(random(5), () => 'ab*:'[random(4)]).join('').replace(/\*+$/, '*');
  for (let round = 0; round < 200; ++round) {
    const clientScopes = unique(times(random(5), text));
    const requiredScopes = unique(times(random(3), text));
    const what = `seed ${seed}, round ${round}: ${JSON.stringify({ clientScopes, requiredScopes })}`;
    const held = normal([...clientScopes, 'assume:anonymous']);
    const expected = satisfiesExpression(held, { AllOf: requiredScopes });
    let answer;
    try {
      answer = await tester.testAuthenticate({ clientScopes, requiredScopes });
    } catch (error) {
      assert.equal(error.statusCode, 403, `${what}: ${error.message}`);
    }
    assert.equal(answer !== undefined, expected, what);
    if (answer) assert.deepEqual(answer.scopes, held, what);
  }
});

/** By the definition: whoever holds what matches assume:<roleId> has its scopes. */
function expanded(roles, given) {
  const scopes = [...given];
  for (let i = 0; i < scopes.length; ++i) {
    for (const { roleId, scopes: granted } of roles) {
      const pattern = `assume:${roleId}`;
      if (!patternMatch(pattern, scopes[i]) && !patternMatch(scopes[i], pattern)) continue;
      const stem = pattern.slice(0, -1);
      const rest = scopes[i].startsWith(stem) ? scopes[i].slice(stem.length) : '*';
      for (const scope of granted) {
        const [before, after] = scope.split('<..>');
        const parameterized = roleId.endsWith('*') && after !== undefined;
        const one = parameterized ? before + rest + (rest.endsWith('*') ? '' : after) : scope;
        if (!scopes.includes(one)) scopes.push(one);
      }
    }
  }
  return normal(scopes);
}

test('roles expand as they are defined, whatever their stars and parameters', async () => {
  const random = generator(seed + 1);
  const prefix = `oracle/${process.pid}/`;
  const text = () => times(random(4), () => 'ab'[random(2)]).join('') + (random(3) ? '' : '*');
  const heads = ['', 'x', `assume:${prefix}`];
  let refused = 0;
  for (let round = 0; round < 20; ++round) {
    const roles = [];
    for (const id of unique(times(1 + random(6), text))) {
      const roleId = prefix + id;
      const scopes = unique(times(random(4), () => heads[random(3)] + 'c'.repeat(random(2)) + text() +
        (random(2) ? '' : `<..>${text()}`))).filter(scope => !/\*\*$|\*<\.\.>$/.test(scope) && !/^(a|as|)\*/.test(scope));
      try {
        await auth.createRole(roleId, { description: '', scopes });
        roles.push({ roleId, scopes });
      } catch (error) {
        assert.equal(error.statusCode, 400, error.message);
        assert.match(error.message, /cycle/);
        ++refused;
      }
    }
    for (let n = 0; n < 10; ++n) {
      const given = unique(times(random(4), () => heads[random(3)] + text())).filter(scope => !/^(a|as|)\*/.test(scope));
      const what = `seed ${seed}, round ${round}: ${JSON.stringify({ roles, given })}`;
      assert.deepEqual((await auth.expandScopes({ scopes: given })).scopes, expanded(roles, given), what);
    }
    for (const { roleId } of roles) await auth.deleteRole(roleId);
  }
  assert.ok(refused > 0, 'some of them would have been cycles');
});
