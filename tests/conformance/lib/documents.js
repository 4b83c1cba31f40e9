// Documents made from a JSON schema (draft 6, as far as the schemas of this server use it): good ones, and for each a
// series in which one thing is changed at a time. Which of these are still good is for a validator to say; here is only
// what lies at the edges. The same seed makes the same documents, but for times, which are of the next day.

const itemsMax = 10_001;  // of an array that is made to be too long
const fillMax = 40_000;   // of a text that is made to be too long

/** A source of numbers in [0, 1) (mulberry32). */
function numbersFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = state + 0x6D2B79F5 >>> 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
}

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
/** What fits each pattern: `[characters, length, prefix]`; a new pattern must be added here. */
const fitting = new Map([
  ['^[ -~]*$', [`${letters} :*!`, 8]],
  ['^[\\x20-\\x7e]+$', [`${letters} :/`, 8]],
  ['^[0-9a-f]{64}$', ['0123456789abcdef', 64]],
  ['^[0-9a-f]{128}$', ['0123456789abcdef', 128]],
  ['^[A-Za-z0-9!@/:.+|_-]+$', [`${letters}@/:.+|_-`, 8]],
  ['^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$', null],
  ['^[a-zA-Z0-9-_]*$', [`${letters}-_`, 8]],
  ['^[a-zA-Z0-9-_]{1,38}$', [`${letters}-_`, 8]],
  ['^[a-zA-Z0-9-_]{1,38}/[a-zA-Z0-9-_]{1,38}$', [`${letters}-_`, 8, 'p/']],
  ['^[a-zA-Z0-9._/-]*$', [`${letters}._/-`, 8]],
  ['^[a-zA-Z0-9_-]{1,38}$', [`${letters}_-`, 8]],
  ['^[a-zA-Z0-9_-]{22,66}$', [`${letters}_-`, 22]],
  ['^(https?://|ssh://|git@)', [letters, 8, 'https://']],
  // Of payloads.
  ['^[A-Za-z0-9._:@+][A-Za-z0-9._:@+/-]*$', [`${letters}._:@+/-`, 8, 'a']],
  ['^[^\\u0000]*$', [`${letters} =ä\u{1}`, 8]],
  ['^/[^\\u0000]*$', [`${letters} /.ä`, 8, '/']],
  ["^[a-zA-Z0-9_!~*'()%-]+(\\.[a-zA-Z0-9_!~*'()%-]+)*$", [`${letters}_!~*'()%-`, 8]],
  ['^https?://[\\x21-\\x7e]+$', [letters, 8, 'https://']],
  ['^[A-Za-z0-9+/]+={0,2}$', [`${letters}+/`, 8]],
  ['^([0-9]+\\.?[0-9]*|\\.[0-9]+)[kKmMgGtT]?([iI]?[bB])?$', ['0123456789', 9, '1']],
]);
const edgesOfFormat = {
  'date-time': ['2026-02-28T23:59:59Z', '2027-01-31T12:00:00.123456Z', '2027-01-31T12:00:00+01:00', '2027-01-31t12:00:00z',
    '2027-01-31', '2027-01-31T12:00:00', '2027-41-31T12:00:00Z', '12:00:00Z', 'yesterday', '2027-01-31T12:00:00Zx', ''],
  uri: ['http://x', 'https://example.com/a?b=c#d', 'urn:x:y', 'nothing', '/relative', 'http://a b', ''],
  hostname: ['a.example', '127.0.0.1', '-a', 'a_b', 'a..b', 'x'.repeat(64), `${'x'.repeat(63)}.de`, ''],
};
const oddNames = ['', ' ', '/', 'a=b', 'a:b', 'a::b', ':::', 'a\u2028::', 'ä', 'a\n', '\u007F', 'a\u0000', 'n'.repeat(255), 'n'.repeat(256),
  'n'.repeat(1024), 'n'.repeat(1025)];
const oddTexts = ['', ' ', 'ä', '\u{1F600}', 'a\n', 'a/b', 'a.b', 'a*', '\u007F', '\u0001'];
/** One of each kind; where it is the right kind it is just another value. */
const kinds = [null, true, 0, 1.5, 'text', [], {}, ['text'], { key: 'value' }];

export class DocumentMaker {
  #random;
  #schemas;

  /** `documents`: all schemas, so that references between them can be followed. */
  constructor(documents, seed) {
    this.#random = numbersFrom(seed);
    this.#schemas = new Map(documents.map(one => [one.$id, one]));
  }

  /** A good document for the schema of this $id, with every member, or with some of those that are not required. */
  sample(id, every = true) {
    return this.#sample(this.#at(id), every);
  }

  /** Documents in which one thing is different from this good one, or from another if there is none. */
  variants(id, base = undefined) {
    return [...this.#variants(this.#at(id), base)];
  }

  #below(limit) {
    return Math.floor(this.#random() * limit);
  }
  #pick(list) {
    return list[this.#below(list.length)];
  }

  /** A place in a schema: what is there, and the $id of its document; references are followed. */
  #at(id, schema = this.#schemas.get(id)) {
    if (!schema) throw new Error(`there is no schema ${id}`);
    if (!schema.$ref) return { id, schema };
    const url = new URL(schema.$ref, `http://host${id}`);
    const document = `${url.pathname}#`;
    let found = this.#schemas.get(document);
    for (const step of url.hash.slice(1).split('/').filter(Boolean)) found = found[step];
    return this.#at(document, found);
  }

  #text({ pattern, format, minLength = 0, maxLength = Infinity }) {
    if (format === 'date-time') return new Date(Date.now() + 3_600_000 * (1 + this.#below(24))).toJSON();
    if (format === 'uri') return `https://example.com/${this.#below(1000)}`;
    if (format === 'hostname') return `host-${this.#below(1000)}.example`;
    if (pattern && !fitting.has(pattern)) throw new Error(`tests/conformance/lib/documents.js knows no text for ${pattern}`);
    const known = fitting.get(pattern ?? '^[ -~]*$');
    if (!known) return `${this.#letters(`${letters}_-`, 8)}Q${this.#letters(letters, 1)}C${this.#letters(letters, 10)}A`;
    const [characters, length, prefix = ''] = known;
    return prefix + this.#letters(characters, Math.min(Math.max(length, minLength), maxLength));
  }
  #letters(from, count) {
    return Array.from({ length: count }, () => this.#pick(from)).join('');
  }

  #sample({ id, schema }, every) {
    if ('const' in schema) return schema.const;
    if (schema.enum) return this.#pick(schema.enum);
    if (schema.oneOf) return this.#sample(this.#at(id, this.#pick(schema.oneOf)), every);
    const { minimum = -1000, maximum = minimum + 2000 } = schema;
    switch (schema.type) {
      case 'string': return this.#text(schema);
      case 'boolean': return this.#below(2) === 1;
      case 'integer': return minimum + this.#below(maximum - minimum + 1);
      case 'number': return minimum + this.#random() * (maximum - minimum);
      case 'array': return [this.#sample(this.#at(id, schema.items ?? {}), every)];
      default: return this.#object({ id, schema }, every);
    }
  }
  #object({ id, schema }, every) {
    const made = {};
    for (const [key, part] of Object.entries(schema.properties ?? {})) {
      const wanted = schema.required?.includes(key) || every || this.#below(2) === 1;
      if (wanted) made[key] = this.#sample(this.#at(id, part), every);
    }
    const others = schema.additionalProperties;
    if (typeof others === 'object') made[this.#letters(letters, 6)] = this.#sample(this.#at(id, others), every);
    return made;
  }

  * #variants(place, base = undefined) {
    const { id, schema } = place;
    yield* kinds;
    if (schema.oneOf) {
      for (const branch of schema.oneOf) yield* this.#variants(this.#at(id, branch));
      return;
    }
    if (schema.enum) yield* [...schema.enum, 'stranger', `${schema.enum[0]}`.toUpperCase(), `${schema.enum[0]} `];
    if ('const' in schema) yield schema.const;
    switch (schema.type) {
      case 'string': yield* this.#texts(schema); break;
      case 'boolean': yield* [true, false, 'true', 1]; break;
      case 'integer':
      case 'number': yield* this.#edges(schema); break;
      case 'array': yield* this.#arrays(place); break;
      case 'object': yield* this.#objects(place, base); break;
    }
  }

  * #texts(schema) {
    const { minLength, maxLength, format } = schema;
    yield this.#text(schema);
    yield* edgesOfFormat[format] ?? [];
    if (format || schema.enum) return;
    const some = this.#text(schema);
    yield* oddTexts;
    yield `${some}\n`;
    yield some.slice(1);
    yield some + some.slice(-1);
    for (const length of [minLength - 1, minLength, maxLength, maxLength + 1]) {
      if (!(length >= 0 && length <= fillMax)) continue;
      yield some.padEnd(length, some.slice(-1)).slice(0, length);
      if (length === maxLength) yield '\u{1F600}'.repeat(length);
    }
  }

  * #edges({ minimum, maximum, type }) {
    yield* [0, 1, -1, 7, '7', 1.5, Number.MAX_SAFE_INTEGER];
    for (const value of [minimum, maximum].filter(Number.isFinite)) yield* [value - 1, value, value + 1, value + 0.5];
    if (type === 'number') yield* [1e300, -1e300, 1e-300];
  }

  * #arrays({ id, schema }) {
    const items = this.#at(id, schema.items ?? {});
    const one = this.#sample(items, true);
    yield* [[], [one], [one, one], [one, null]];
    for (const item of this.#variants(items)) yield [item];
    for (const length of [schema.maxItems, schema.maxItems + 1]) {
      if (length <= itemsMax) yield Array.from({ length }, () => this.#sample(items, true));
    }
  }

  * #objects(place, base) {
    const { id, schema } = place;
    const whole = base ?? this.#object(place, true);
    yield whole;
    yield this.#object(place, false);
    yield { ...whole, stranger: 1 };
    yield { ...whole, stranger: 'text' };
    for (const [key, part] of Object.entries(schema.properties ?? {})) {
      const { [key]: _, ...rest } = whole;
      yield rest;
      for (const value of this.#variants(this.#at(id, part))) yield { ...whole, [key]: value };
    }
    if (typeof schema.additionalProperties === 'object') {
      for (const value of this.#variants(this.#at(id, schema.additionalProperties))) yield { ...whole, key: value };
    }
    if (schema.propertyNames) {
      const [name, value] = Object.entries(whole)[0];
      for (const odd of oddNames) yield { ...whole, [odd]: value };
      for (const odd of oddNames) yield { [`${odd}${name}`]: value };
    }
    for (const count of [schema.maxProperties, schema.maxProperties + 1]) {
      if (count <= itemsMax) yield Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'text']));
    }
  }
}
