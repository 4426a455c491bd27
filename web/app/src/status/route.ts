/** Which page an address is of, and the addresses of pages. */

import { isId } from './model.ts';

export type Route =
  | { page: 'overview' | 'nodes' | 'epochs' | 'payouts' | 'tests' | 'lost' }
  | { page: 'node'; id: string }
  | { page: 'epoch'; number: number };

const lists = ['nodes', 'epochs', 'payouts', 'tests'] as const;

export function parseRoute(path: string): Route {
  const [root, list, item, ...more] = path.replace(/^\/|\/$/g, '').split('/');
  if (root !== 'status' || more.length > 0) return { page: 'lost' };
  if (list === undefined) return { page: 'overview' };
  if (item === undefined) {
    const page = lists.find((name) => name === list);
    return page ? { page } : { page: 'lost' };
  }
  if (list === 'nodes' && isId(item.toLowerCase())) return { page: 'node', id: item.toLowerCase() };
  if (list === 'epochs' && /^\d{1,15}$/.test(item)) return { page: 'epoch', number: Number(item) };
  return { page: 'lost' };
}

export const nodePath = (id: string): string => `/status/nodes/${id}`;
export const epochPath = (number: number): string => `/status/epochs/${number}`;
export const testsPath = (node: string): string => `/status/tests?node=${node}`;
