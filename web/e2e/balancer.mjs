// One address in front of several Orchestrators, as a load balancer without affinity: each connection goes to the next
// that takes it.

import net from 'node:net';

/** Resolves to { url, close }; the url is that of a WebSocket. */
export async function startBalancer(targets) {
  const open = new Set();
  let turn = 0;
  const server = net.createServer((client) => {
    open.add(client);
    client.on('error', () => client.destroy());
    client.on('close', () => open.delete(client));
    const first = turn++;
    attach(client, targets.map((_, index) => targets[(first + index) % targets.length]));
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `ws://127.0.0.1:${server.address().port}`,
    close() {
      server.close();
      for (const client of open) client.destroy();
    },
  };
}

/** Joins a connection with the first of the candidates that answers. */
function attach(client, [target, ...others]) {
  if (!target) return client.destroy();
  const { hostname, port } = new URL(target);
  const server = net.connect({ host: hostname, port: Number(port) });
  let joined = false;
  server.on('connect', () => {
    joined = true;
    client.pipe(server).pipe(client);
    client.once('close', () => server.destroy());
  });
  server.on('error', () => server.destroy());
  server.on('close', () => (joined ? client.destroy() : attach(client, others)));
}
