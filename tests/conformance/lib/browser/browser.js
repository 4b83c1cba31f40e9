// A page in a real Chromium (Debian's), on an origin of its own, so that whatever it asks of the server under test goes
// through the browser's rules for other origins: preflights, and answers that the page may not read unless they say so.
import { existsSync } from 'node:fs';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const chromiumPath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const startMsMax = 30_000;
const here = name => fileURLToPath(new URL(name, import.meta.url));

async function bundle() {
  const { outputFiles } = await build({
    entryPoints: [here('page.js')],
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'iife',
    define: { global: 'globalThis' },
    inject: [here('node_globals.js')],
    alias: { crypto: 'crypto-browserify', stream: 'stream-browserify' },
    logLevel: 'error',
  });
  return outputFiles[0].text;
}

/** Serves the page and its script; returns {origin, close}. */
async function serve(script) {
  const server = http.createServer((request, response) => {
    const [type, body] = request.url === '/page.js'
      ? ['text/javascript', script]
      : ['text/html', '<!doctype html><meta charset="utf-8"><title>page</title><script src="/page.js"></script>'];
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(body);
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}

/** Opens the page: {page: playwright's, origin, preflights: what the browser asked before it asked: [url]}. */
export async function openPage() {
  if (!existsSync(chromiumPath)) throw new Error(`there is no ${chromiumPath}: scripts/lib/install.sh test`);
  const site = await serve(await bundle());
  let browser;
  try {
    // Chromium's own sandbox needs user namespaces, which root in a container has not; the page is our own.
    browser = await chromium.launch({
      executablePath: chromiumPath, headless: true, chromiumSandbox: false, timeout: startMsMax, args: ['--disable-quic'],
    });
    browser.on('disconnected', site.close);
    const page = await browser.newPage();
    const preflights = [];
    const devtools = await page.context().newCDPSession(page);
    devtools.on('Network.requestWillBeSent', ({ request }) => {
      if (request.method === 'OPTIONS') preflights.push(request.url);
    });
    await devtools.send('Network.enable');
    await page.goto(site.origin, { timeout: startMsMax });
    return { page, origin: site.origin, preflights };
  } catch (error) {
    await browser?.close();
    site.close();
    throw error;
  }
}
