/** Failures, said so that a person knows what happened and what to do. */

/** Why the call ended; the names of the client protocol's DisconnectReason. */
export function endedSentence(reason: string): string {
  switch (reason) {
    case 'CLIENT_INITIATED':
      return 'You left the call.';
    case 'DUPLICATE_IDENTITY':
      return 'You joined from somewhere else, so this window was taken out of the call.';
    case 'SERVER_SHUTDOWN':
      return 'The Orchestrator is shutting down. Join again in a moment.';
    case 'PARTICIPANT_REMOVED':
      return 'Somebody with the right to do so removed you from the room.';
    case 'ROOM_DELETED':
    case 'ROOM_CLOSED':
      return 'The room was closed.';
    case 'STATE_MISMATCH':
      return 'The network no longer knows this session. Join again.';
    case 'JOIN_FAILURE':
      return 'The connection for audio and video could not be set up. A firewall that blocks UDP is the usual cause.';
    case 'MIGRATION':
      return 'Your session was moved and could not be picked up again. Join again.';
    case 'SIGNAL_CLOSE':
    case 'CONNECTION_TIMEOUT':
      return 'The connection to the network was lost. Check your line and join again.';
    case 'MEDIA_FAILURE':
      return 'No Media Node could carry your audio and video any longer. Join again.';
    default:
      return 'The call ended, and no reason was given.';
  }
}

/** Why a device did not open; `error` is the name of a DOMException. */
export function deviceSentence(device: 'camera' | 'microphone' | 'screen', error: string): string {
  const article = device === 'screen' ? 'Screen sharing' : `The ${device}`;
  switch (error) {
    case 'NotAllowedError':
    case 'SecurityError':
      return device === 'screen'
        ? 'Screen sharing was not allowed.'
        : `${article} is blocked. Allow it beside the address of this page, or join without it.`;
    case 'NotFoundError':
    case 'DevicesNotFoundError':
      return device === 'screen' ? 'There is nothing to share.' : `No ${device} was found. You can join without one.`;
    case 'NotReadableError':
    case 'AbortError':
      return `${article} is in use by another program.`;
    case 'OverconstrainedError':
      return `${article} you chose is no longer there.`;
    default:
      return `${article} did not start (${error || 'no reason given'}).`;
  }
}

export type JoinFailure =
  | { kind: 'refused'; status: number; said: string }
  | { kind: 'unreachable' }
  | { kind: 'timeout' }
  | { kind: 'told-to-leave'; reason: string }
  | { kind: 'other'; said: string };

export function joinSentence(failure: JoinFailure): string {
  switch (failure.kind) {
    case 'refused':
      return `The Orchestrator refused you: ${sentence(failure.said) || `it answered ${failure.status}.`}`;
    case 'unreachable':
      return 'The Orchestrator could not be reached. Check your line and the address.';
    case 'timeout':
      return 'The connection took too long. A firewall that blocks UDP is the usual cause.';
    case 'told-to-leave':
      return endedSentence(failure.reason);
    case 'other':
      return `Joining failed: ${sentence(failure.said) || 'no reason was given.'}`;
  }
}

export function publishSentence(what: 'camera' | 'microphone' | 'screen', refused: boolean, said: string): string {
  const subject = what === 'screen' ? 'Your screen' : `Your ${what}`;
  return refused
    ? `${subject} was not sent: your token does not permit you to publish it. You can still watch and listen.`
    : `${subject} was not sent: ${sentence(said) || 'no reason was given.'}`;
}

/** The first line of what a machine said, cut to a readable length, without secrets, with a full stop. */
function sentence(said: string): string {
  const line = (said.split('\n')[0] ?? '')
    .replace(/^could not establish signal connection: /, '') // what the client SDK puts before the cause
    .replaceAll(/eyJ[\w-]+(\.[\w-]*){0,2}/g, '(token)')
    .trim()
    .slice(0, 240);
  return line === '' || /[.!?]$/.test(line) ? line : `${line}.`;
}
