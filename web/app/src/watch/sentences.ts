/** What the player is doing, said so that a person knows what to expect and what to do. */

export type WatchState =
  | { kind: 'connecting' }
  /** Connected; what arrives of picture and sound. */
  | { kind: 'connected'; picture: boolean; sound: boolean }
  | { kind: 'offline' }
  /** Tried again in so many seconds; `said` is the server's cause, if it gave one. */
  | { kind: 'retrying'; seconds: number; said: string }
  | { kind: 'refused'; status: number; said: string }
  | { kind: 'stopped' };

export type Announcement = {
  /** A heading over the stage; empty while there is a picture. */
  title: string;
  /** What it means, or what to do. */
  detail: string;
  /** True when nothing goes on without the person. */
  final: boolean;
};

export function announce(state: WatchState, identity: string): Announcement {
  const who = identity === '' ? 'Nobody in the room' : `“${identity}”`;
  switch (state.kind) {
    case 'connecting':
      return { title: 'Connecting…', detail: '', final: false };
    case 'connected':
      if (state.picture) return { title: '', detail: '', final: false };
      if (state.sound) return { title: 'Sound only', detail: identity === '' ? 'Nobody sends a picture at the moment.' : `${who} sends no picture at the moment.`, final: false };
      return {
        title: 'Nothing to see yet',
        detail: `${identity === '' ? `${who} is sending` : `${who} is not sending`}. This page stays connected and begins by itself.`,
        final: false,
      };
    case 'offline':
      return { title: 'You are offline', detail: 'Watching goes on when your line is back.', final: false };
    case 'retrying':
      return {
        title: 'The connection was lost',
        detail: `${state.said === '' ? '' : `${sentence(state.said)} `}Trying again in ${state.seconds} s.`,
        final: false,
      };
    case 'refused':
      return { title: refusal(state.status), detail: sentence(state.said) || `The Orchestrator answered ${state.status}.`, final: true };
    case 'stopped':
      return { title: 'Stopped', detail: '', final: true };
  }
}

function refusal(status: number): string {
  if (status === 401) return 'You were not let in';
  if (status === 403) return 'This is not yours to watch';
  if (status === 406) return 'This browser cannot play it';
  return 'The Orchestrator refused';
}

/** The first line, without secrets, with a capital and a full stop. */
function sentence(said: string): string {
  const line = (said.split('\n')[0] ?? '')
    .replaceAll(/eyJ[\w-]+(\.[\w-]*){0,2}/g, '(token)')
    .trim()
    .slice(0, 240);
  if (line === '') return '';
  const capital = line.charAt(0).toUpperCase() + line.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
