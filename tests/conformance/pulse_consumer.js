// A consumer of Gantry's events, by npm's amqplib: one durable queue bound to every exchange. Prints "ready" once that is
// so, and then a line of JSON for each message, before it acknowledges it. Comes again whenever the broker is back.
//
// Usage: node pulse_consumer.js AMQP-URL QUEUE
import amqplib from 'amqplib';

const [url, queue] = process.argv.slice(2);
const prefetch = 200;
const retryMs = 200;
const exchanges = [
  'task-defined', 'task-pending', 'task-running', 'artifact-created', 'task-completed', 'task-failed', 'task-exception',
  'task-group-resolved', 'task-group-sealed', 'task-priority-changed', 'task-group-priority-changed',
].map(name => `exchange/taskcluster-queue/v1/${name}`).concat('exchange/gantry/v1/events-lost');

function lineOf(message) {
  const body = JSON.parse(message.content.toString());
  return JSON.stringify({
    event: message.fields.exchange.split('/').pop(),
    exchange: message.fields.exchange,
    routingKey: message.fields.routingKey,
    redelivered: message.fields.redelivered,
    persistent: message.properties.deliveryMode === 2,
    contentType: message.properties.contentType,
    cc: message.properties.headers.CC,
    body,
  });
}

async function consume() {
  const connection = await amqplib.connect(url, { timeout: 10_000 });
  const closed = new Promise(resolve => {
    connection.on('error', () => {});
    connection.on('close', resolve);
  });
  const channel = await connection.createChannel();
  channel.on('error', () => {});
  await channel.prefetch(prefetch);
  await channel.assertQueue(queue, { durable: true });
  for (const exchange of exchanges) {
    await channel.assertExchange(exchange, 'topic', { durable: true });
    await channel.bindQueue(queue, exchange, 'primary.#');
    await channel.bindQueue(queue, exchange, 'route.#');
  }
  await channel.consume(queue, message => {
    if (message === null) return;
    try {
      console.log(lineOf(message));
    } catch (error) {
      console.error(`consumer: a message that it does not understand: ${error.stack}`);
      process.exit(1);
    }
    channel.ack(message);
  });
  console.log('ready');
  await closed;
}

for (let told = '';;) {
  try {
    await consume();
    told = '';
  } catch (error) {
    if (told !== error.message) console.error(`consumer: ${error.message}`);  // the broker is away
    told = error.message;
  }
  await new Promise(resolve => setTimeout(resolve, retryMs));
}
