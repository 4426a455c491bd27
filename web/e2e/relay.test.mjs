// The relay itself, with plain UDP: what the rebind test stands on.

import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { UdpRelay } from './relay.mjs';

async function socket() {
  const made = dgram.createSocket('udp4');
  made.bind(0, '127.0.0.1');
  await once(made, 'listening');
  return made;
}

test('the relay carries both ways, and after a rebind the node sees another port', async () => {
  const node = await socket();
  const client = await socket();
  const relay = await UdpRelay.open([node.address().port]);
  try {
    node.on('message', (packet, from) => node.send(`echo ${packet}`, from.port, from.address));
    const seen = [];
    node.on('message', (_, from) => seen.push(from.port));
    const front = relay.ports[node.address().port];
    for (const word of ['one', 'two']) {
      client.send(word, front, '127.0.0.1');
      const [packet, from] = await once(client, 'message');
      assert.equal(String(packet), `echo ${word}`);
      assert.equal(from.port, front, 'the client always sees the front port');
      await relay.rebind();
    }
    assert.equal(seen.length, 2);
    assert.notEqual(seen[0], seen[1], 'the node sees a new port after a rebind');
    assert.deepEqual(relay.counts, { up: 2, down: 2 });
  } finally {
    relay.close();
    client.close();
    node.close();
  }
});

test('two clients of one relay are two flows', async () => {
  const node = await socket();
  const clients = [await socket(), await socket()];
  const relay = await UdpRelay.open([node.address().port]);
  try {
    node.on('message', (packet, from) => node.send(packet, from.port, from.address));
    const front = relay.ports[node.address().port];
    await Promise.all(
      clients.map(async (client, index) => {
        client.send(`client ${index}`, front, '127.0.0.1');
        const [packet] = await once(client, 'message');
        assert.equal(String(packet), `client ${index}`);
      }),
    );
  } finally {
    relay.close();
    for (const client of clients) client.close();
    node.close();
  }
});
