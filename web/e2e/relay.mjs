// A UDP relay whose outer address can change in mid-call, as a phone's does when it leaves the house.
//
//   browser <-> front (stays)   relay   back (changes on rebind) <-> Media Node

import dgram from 'node:dgram';
import { once } from 'node:events';

export class UdpRelay {
  /** One front port per node port: the caller does not know which node will be chosen. */
  static async open(nodePorts, host = '127.0.0.1') {
    const relay = new UdpRelay(host);
    for (const port of nodePorts) relay.paths.set(port, await relay.path(port));
    return relay;
  }

  paths = new Map(); // node port -> path
  rebinds = 0;

  constructor(host) {
    this.host = host;
  }

  /** Node port -> the port that the client must use instead. */
  get ports() {
    return Object.fromEntries([...this.paths].map(([port, path]) => [port, path.front.address().port]));
  }

  get counts() {
    const sum = { up: 0, down: 0 };
    for (const path of this.paths.values()) {
      sum.up += path.up;
      sum.down += path.down;
    }
    return sum;
  }

  /** From now on the nodes see other ports; what is on the way to the old ones is lost. */
  async rebind() {
    this.rebinds++;
    for (const path of this.paths.values()) {
      for (const flow of path.flows.values()) {
        const old = flow.back;
        flow.back = await this.back(path, flow);
        old.close();
      }
    }
  }

  close() {
    for (const path of this.paths.values()) {
      path.front.close();
      for (const flow of path.flows.values()) flow.back.close();
    }
    this.paths.clear();
  }

  async path(nodePort) {
    const path = { nodePort, front: await bound(this.host), flows: new Map(), up: 0, down: 0 };
    path.front.on('message', (packet, from) => {
      path.up++;
      void this.flow(path, from).then((flow) => flow.back.send(packet, nodePort, this.host, ignore));
    });
    return path;
  }

  /** A flow is one source address of the browser. */
  flow(path, from) {
    const key = `${from.address}:${from.port}`;
    const known = path.flows.get(key);
    if (known) return known.opened;
    const flow = { from };
    flow.opened = this.back(path, flow).then((socket) => {
      flow.back = socket;
      return flow;
    });
    path.flows.set(key, flow);
    return flow.opened;
  }

  async back(path, flow) {
    const socket = await bound(this.host);
    socket.on('message', (packet) => {
      path.down++;
      path.front.send(packet, flow.from.port, flow.from.address, ignore);
    });
    return socket;
  }
}

async function bound(host) {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  socket.setRecvBufferSize(1 << 20);
  return socket;
}

function ignore() {
  // a datagram may be lost: that is what the protocols above are for
}
