// Stands between the clients and the server, changes nothing, and holds every answer of the API against the schema that
// the server's own references name for it.
import http from 'node:http';
import net from 'node:net';
import { createRequire } from 'node:module';
import Ajv from 'ajv';

const complaintsMax = 20;
// Parameters whose values may hold slashes.
const withSlashes = new Set(['name', 'taskQueueId', 'workerPoolId', 'clientId', 'roleId']);

const errorSchema = {
  type: 'object',
  required: ['code', 'message', 'requestInfo'],
  additionalProperties: false,
  properties: {
    code: { type: 'string', pattern: '^[A-Z][A-Za-z]+$' },
    message: { type: 'string' },
    requestInfo: {
      type: 'object',
      required: ['method', 'params', 'payload', 'time'],
      additionalProperties: false,
      properties: { method: { type: 'string' }, params: { type: 'object' }, payload: {}, time: { format: 'date-time' } },
    },
  },
};
/** Answers without a schema of their own. */
const fixed = {
  ping: { type: 'object', required: ['alive', 'uptime'], additionalProperties: false,
    properties: { alive: { const: true }, uptime: { type: 'number' } } },
  lbheartbeat: { type: 'object', maxProperties: 0 },
  heartbeat: { type: 'object', maxProperties: 0 },
  version: { type: 'object', required: ['version'] },
  findArtifactFromTask: { $ref: '/schemas/queue/v1/get-artifact-response.json#' },
};
/** Methods of 2014 and old forms that no reference has had since. */
const unpublished = /^\/(pending-tasks\/|namespaces|tasks(\/|$)|poll-task-url\/)/;
const errorArtifact = { type: 'object', required: ['reason', 'message'], additionalProperties: false,
  properties: { reason: { type: 'string' }, message: { type: 'string' } } };

async function json(url) {
  const answer = await fetch(url);
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** A validator that knows these schemas by their $id. */
export function validatorOf(documents) {
  const draft6 = createRequire(import.meta.url)('ajv/lib/refs/json-schema-draft-06.json');
  const ajv = new Ajv({ schemaId: '$id', meta: false, defaultMeta: draft6.$id, allErrors: true });
  ajv.addMetaSchema(draft6);
  for (const { $schema, ...document } of documents) {
    // What the metaschemas say is that draft; the validator takes only absolute addresses for $schema.
    if (!/^(http:\/\/json-schema.org|\/schemas\/common)\//.test($schema)) throw new Error(`${document.$id}: ${$schema}`);
    ajv.addSchema(document);
  }
  return ajv;
}

/** The schemas of a server, and a validator that knows them. */
export async function loadSchemas(origin) {
  const { schemas } = await json(`${origin}/schemas/manifest.json`);
  const documents = await Promise.all(schemas.map(path => json(origin + path)));
  return { ajv: validatorOf(documents), documents };
}

function compile(route) {
  const parts = route.split(/(<[^>]+>)/);
  const pattern = parts.map(part => part.startsWith('<')
    ? (withSlashes.has(part.slice(1, -1)) ? '.+' : '[^/]+')
    : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('');
  const literal = parts.filter(part => !part.startsWith('<')).join('').length;
  return { regexp: new RegExp(`^${pattern}$`), literal };
}

/** The methods of all services: {service, entry, regexp, literal}. */
async function loadMethods(origin) {
  const methods = [];
  const { references } = await json(`${origin}/references/manifest.json`);
  for (const path of references.filter(one => one.endsWith('/api.json'))) {
    const reference = await json(origin + path);
    for (const entry of reference.entries) {
      methods.push({ service: reference.serviceName, entry, ...compile(entry.route) });
    }
  }
  return methods;
}

export class Recorder {
  #origin;
  #server;
  #ajv;
  #methods;
  #complaints = new Set();
  count = 0;

  constructor(origin) {
    this.#origin = new URL(origin);
  }

  /** Starts listening; returns the URL that clients are to use. */
  async start() {
    ({ ajv: this.#ajv } = await loadSchemas(this.#origin.origin));
    this.#methods = await loadMethods(this.#origin.origin);
    this.#server = http.createServer((request, response) => this.#forward(request, response));
    this.#server.keepAliveTimeout = 1000;
    this.#server.on('upgrade', (request, socket, head) => this.#pass(request, socket, head));
    await new Promise(resolve => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** What was wrong with answers, each once. */
  get complaints() {
    return [...this.#complaints].slice(0, complaintsMax);
  }

  /** A WebSocket, byte for byte. */
  #pass(request, socket, head) {
    const onward = net.connect(this.#origin.port, this.#origin.hostname, () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      onward.write(`${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    for (const [one, other] of [[socket, onward], [onward, socket]]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  }

  #forward(request, response) {
    const { hostname, port } = this.#origin;
    const onward = http.request({ hostname, port, method: request.method, path: request.url, agent: false,
      headers: request.headers, setHost: false });
    let answered = false;
    onward.on('response', answer => {
      answered = true;
      const chunks = [];
      response.writeHead(answer.statusCode, answer.statusMessage, answer.rawHeaders);
      answer.on('data', chunk => chunks.push(chunk));
      answer.on('end', () => this.#check(request, answer, Buffer.concat(chunks)));
      answer.pipe(response);
    });
    onward.on('error', () => {
      if (!answered) response.destroy();
    });
    response.on('close', () => onward.destroy());
    // The whole body first: a server may refuse it early and close, and then the client would still be sending to us.
    const body = [];
    request.on('data', chunk => body.push(chunk));
    request.on('end', () => onward.end(Buffer.concat(body)));
  }

  #check(request, answer, body) {
    const path = request.url.split('?')[0];
    const place = path.match(/^(?:\/api)?\/([a-z-]+)\/v1(\/.*)$/);
    if (!place || !['auth', 'index', 'object', 'purge-cache', 'queue', 'secrets'].includes(place[1])) return;
    ++this.count;
    const complain = text => this.#complaints.add(`${request.method} ${path} ${answer.statusCode}: ${text}`);
    try {
      this.#validate(request.method, place[1], place[2], answer.statusCode, body, complain);
    } catch (error) {
      complain(error.message);
    }
  }

  #validate(method, service, path, status, body, complain) {
    const wanted = method === 'HEAD' ? 'get' : method.toLowerCase();
    const fitting = this.#methods.filter(one => one.service === service && one.entry.method === wanted &&
      one.regexp.test(path)).sort((a, b) => b.literal - a.literal);
    const entry = fitting[0]?.entry;
    if (body.length === 0) {
      if (method !== 'HEAD' && entry?.output && status < 300) complain('has no body');
      return;
    }
    const document = JSON.parse(body);
    if (status === 424) return this.#against(errorArtifact, document, complain);
    if (status >= 400) {
      const unknown = status === 404 && Object.keys(document).join() === 'error';
      return unknown ? undefined : this.#against(errorSchema, document, complain);
    }
    if (!entry) return unpublished.test(path) ? undefined : complain('no reference has this method');
    const schema = entry.output ? { $ref: `/schemas/${service}/${entry.output}` } : fixed[entry.name] ?? { maxProperties: 0 };
    this.#against(schema, document, complain);
  }

  #against(schema, document, complain) {
    if (this.#ajv.validate(schema, document)) return;
    const errors = this.#ajv.errors.slice(0, 3).map(one => `${one.dataPath} ${one.message} ${JSON.stringify(one.params)}`);
    complain(`${errors.join('; ')}: ${JSON.stringify(document).slice(0, 300)}`);
  }
}
