/** The watch page: one room, or one person in it, by WHEP. */

import { identityFor } from './call/identity.ts';
import { withoutToken } from './call/link.ts';
import { AdmissionError, readClaims, requestToken } from './call/token.ts';
import { type WatchChoice, watchForm } from './ui/watch-form.ts';
import { WatchView } from './ui/watch-view.ts';
import { parseWatchLink, watchLink, whepAddress } from './watch/link.ts';
import { Player } from './watch/whep.ts';

const root = document.querySelector<HTMLElement>('#app')!;
const link = parseWatchLink(location.search);
if (link.token) history.replaceState(null, '', withoutToken(location.href));
const claims = link.token ? readClaims(link.token) : undefined;
const asked: WatchChoice = { room: link.room || claims?.room || '', identity: link.identity };

if (asked.room === '') showForm(asked);
else watch(asked);

function showForm(choice: WatchChoice): void {
  document.title = 'drtc watch';
  root.replaceChildren(
    watchForm(choice, (chosen) => {
      history.replaceState(null, '', watchLink(location.href, chosen.room, chosen.identity));
      watch(chosen);
    }),
  );
  document.querySelector<HTMLInputElement>('#room')?.focus();
}

function watch(choice: WatchChoice): void {
  const view = new WatchView({
    ...choice,
    link: watchLink(location.href, choice.room, choice.identity),
    onAgain: () => void player.start(),
    onLeave: () => {
      player.stop();
      view.close();
      quit.abort();
      showForm(choice);
    },
  });
  const player: Player = new Player(
    {
      address: whepAddress(link.url || location.origin, choice.room, choice.identity),
      token: () => admit(choice.room),
    },
    {
      state: (state) => view.update(state, player.showing),
      track: (section, track) => view.track(section, track),
    },
  );
  const quit = new AbortController();
  const { signal } = quit;
  addEventListener('offline', () => player.offline(), { signal });
  addEventListener('online', () => void player.start(), { signal });
  addEventListener('pagehide', () => player.stop(), { signal });
  document.title = `${choice.identity || choice.room} · drtc watch`;
  root.replaceChildren(view.element);
  view.focus();
  void player.start();
}

/** The given token, or one of this page's server. */
async function admit(room: string): Promise<string> {
  if (link.token) return link.token;
  const identity = identityFor('watch', crypto.getRandomValues(new Uint8Array(4)));
  try {
    return (await requestToken({ identity, room, name: '' })).token;
  } catch (error) {
    throw error instanceof AdmissionError ? new Error(error.message) : error;
  }
}
