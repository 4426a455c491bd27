/** What the page's address asks for, and the address to hand to somebody else. */

export type CallLink = {
  room: string;
  name: string;
  /** WebSocket or HTTP address of an Orchestrator; empty means: ask the page's own origin. */
  url: string;
  /** A ready access token; empty means: ask the page's own origin for one. */
  token: string;
};

export function parseLink(search: string): CallLink {
  const query = new URLSearchParams(search);
  const read = (key: string): string => (query.get(key) ?? '').trim();
  return { room: read('room'), name: read('name'), url: read('url'), token: read('token') };
}

/** The path and query to show in the address bar: everything but the token, which is a secret. */
export function withoutToken(href: string): string {
  const address = new URL(href);
  address.searchParams.delete('token');
  return address.pathname + address.search + address.hash;
}

/** The address that brings somebody else into the same room. */
export function inviteLink(href: string, room: string): string {
  const address = new URL(href);
  address.search = new URLSearchParams({ room }).toString();
  address.hash = '';
  return address.toString();
}
