/** What the address of the watch page asks for. */

export type WatchLink = {
  room: string;
  /** Whose camera and microphone; empty means: whoever speaks. */
  identity: string;
  /** Address of an Orchestrator; empty means: the page's own origin. */
  url: string;
  /** A ready access token; empty means: ask the page's own origin for one. */
  token: string;
};

export function parseWatchLink(search: string): WatchLink {
  const query = new URLSearchParams(search);
  const read = (key: string): string => (query.get(key) ?? '').trim();
  return { room: read('room'), identity: read('identity'), url: read('url'), token: read('token') };
}

/** The address that shows somebody else the same. */
export function watchLink(href: string, room: string, identity: string): string {
  const address = new URL(href);
  address.search = new URLSearchParams(identity === '' ? { room } : { room, identity }).toString();
  address.hash = '';
  return address.toString();
}

/** Where to play: an Orchestrator's address may be given as that of its WebSocket. */
export function whepAddress(orchestrator: string, room: string, identity: string): string {
  const base = orchestrator.replace(/^ws/, 'http').replace(/\/+$/, '');
  const who = identity === '' ? '' : `/${encodeURIComponent(identity)}`;
  return `${base}/whep/${encodeURIComponent(room)}${who}`;
}
