/** All nodes of a network, page by page. */

import { type Answer, type Feed, valueOf } from '../../status/feed.ts';
import type { Node } from '../../status/model.ts';

type Part = { nodes: Node[]; after?: string };

/** `more` says that there are further ones, which are not shown; `problem` that these are old, or fewer than there are. */
export type AllNodes = { nodes: Node[]; more: boolean; problem?: string };

const mostPages = 10; // of 500

export async function loadNodes(feed: Feed): Promise<AllNodes> {
  const all: AllNodes = { nodes: [], more: false };
  let after: string | undefined;
  for (let page = 0; page < mostPages; page++) {
    const answer: Answer<Part> = await feed.get<Part>(`/network/nodes${after ? `?after=${after}` : ''}`);
    const part = valueOf(answer);
    if (answer.kind === 'away') all.problem = answer.problem;
    if (!part) return all;
    all.nodes.push(...part.nodes);
    after = part.after;
    if (!after) return all;
  }
  all.more = true;
  return all;
}

/** Names of nodes by their ids, for pages about something else. */
export function namesOf(all: AllNodes | undefined): (id: string) => string | undefined {
  const names = new Map((all?.nodes ?? []).map((node) => [node.nodeId, node.placeName]));
  return (id) => names.get(id);
}
