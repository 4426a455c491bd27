// A room over several Media Nodes: who gets in where, which node carries whom, and what is on the links.

import { signToken } from './devnet.mjs';
import { until } from './exchange.mjs';

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** Each of some clients with the name of each other, as mediaFlows takes them. */
export const pairsOf = (people, names = Object.keys(people)) =>
  names.flatMap((viewer) => names.filter((name) => name !== viewer).map((name) => [people[viewer], name]));

export class SpanningRoom {
  constructor(devnet, room) {
    Object.assign(this, { devnet, room });
  }

  token(identity) {
    return signToken(this.devnet.ready, { identity, room: this.room });
  }

  /** Joins from a place, "lat,lon". */
  join(client, place) {
    return client.join(`${this.devnet.ready.url.replace(/^http/, 'ws')}?place=${place}`, this.token(client.label));
  }

  /** The id of the node that carries somebody. */
  async nodeOf(identity) {
    const response = await fetch(`${this.devnet.ready.url}/drtc/v1/session?access_token=${this.token(identity)}`);
    return response.ok ? (await response.json()).node.id : undefined;
  }

  /** What each node counts, summed over labels: a metric without its drtc_medianode_. */
  count(name) {
    const line = new RegExp(`^drtc_medianode_${name}(?:\\{[^}]*\\})? (.+)$`, 'gm');
    return Promise.all(
      this.devnet.ready.nodes.map(async (node) => sum([...(await (await fetch(node.metrics)).text()).matchAll(line)].map((found) => Number(found[1])))),
    );
  }

  /** How many layers each node sends to others. */
  layers() {
    return this.count('relay_layers_count');
  }

  /** Waits until so many layers are on all links together. */
  async layersBecome(wanted, limit = 8000) {
    await until(async () => sum(await this.layers()) === wanted, limit, `${wanted} layers on all links`).catch(async (error) => {
      throw new Error(`${error.message}: ${await this.layers()}`);
    });
  }
}

/** Waits until a publisher encodes its low layer alone. */
export function onlyLowIsEncoded(publisher) {
  const others = async () => Object.entries(await publisher.call('encodings')).some(([rid, active]) => rid !== 'q' && active);
  return until(async () => !(await others()), 12_000, `${publisher.label} encodes the low layer alone`);
}
