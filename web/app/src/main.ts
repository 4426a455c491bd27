/** The call page: the lobby, then the call, then the lobby again with the reason the call ended. */

import { identityFor } from './call/identity.ts';
import { type CallLink, inviteLink, parseLink, withoutToken } from './call/link.ts';
import { CallSession, JoinError } from './call/session.ts';
import { type Admission, AdmissionError, readClaims, requestToken } from './call/token.ts';
import { CallView } from './ui/call-view.ts';
import { type Choice, LobbyView } from './ui/lobby-view.ts';
import { Preview } from './ui/preview.ts';
import { recall, remember } from './ui/memory.ts';

const root = document.querySelector<HTMLElement>('#app')!;
const link = parseLink(location.search);
if (link.token) history.replaceState(null, '', withoutToken(location.href));

showLobby('', link.room);

function showLobby(farewell: string, room: string): void {
  const claims = link.token ? readClaims(link.token) : undefined;
  const preview = new Preview();
  const lobby = new LobbyView(preview, {
    name: link.name || claims?.name || claims?.identity || recall('name'),
    room: room || claims?.room || 'lobby',
    fixed: claims !== undefined,
    farewell,
    onJoin: (choice) => void join(choice, lobby, preview),
  });
  root.replaceChildren(lobby.element);
  document.title = 'drtc call';
  lobby.focus();
  void preview.open();
}

async function join(choice: Choice, lobby: LobbyView, preview: Preview): Promise<void> {
  lobby.setBusy(true);
  remember('name', choice.name);
  try {
    const admission = await admit(link, choice);
    await enter(admission, choice, preview);
  } catch (error) {
    lobby.setBusy(false);
    lobby.fail(error instanceof JoinError || error instanceof AdmissionError ? error.message : `Joining failed: ${error}`);
  }
}

function admit(asked: CallLink, choice: Choice): Promise<Admission> {
  if (asked.token) {
    const url = asked.url || location.origin.replace(/^http/, 'ws');
    return Promise.resolve({ token: asked.token, url });
  }
  return requestToken({ identity: identityOf(choice.name), room: choice.room, name: choice.name }).then((given) => ({
    token: given.token,
    url: asked.url || given.url,
  }));
}

/** One identity per tab and name, so that a reload replaces the old session instead of doubling it. */
function identityOf(name: string): string {
  const key = `drtc.identity.${name}`;
  const known = sessionStorage.getItem(key);
  if (known) return known;
  const identity = identityFor(name, crypto.getRandomValues(new Uint8Array(4)));
  sessionStorage.setItem(key, identity);
  return identity;
}

async function enter(admission: Admission, choice: Choice, preview: Preview): Promise<void> {
  let over = false;
  const view = new CallView({
    setMicrophone: (on) => session.setMicrophone(on),
    setCamera: (on) => session.setCamera(on),
    setScreen: (on) => session.setScreen(on),
    send: (text) => session.send(text),
    report: () => session.report(),
    unsilence: () => session.unsilence(),
    leave: () => session.leave(),
  });
  const session = new CallSession(
    {
      url: admission.url,
      token: admission.token,
      camera: preview.cameraOn,
      microphone: preview.microphoneOn,
      cameraId: preview.cameraId,
      microphoneId: preview.microphoneId,
    },
    {
      change: (state) => view.update(state),
      message: (message) => view.receive(message),
      notice: (sentence, tone) => view.notice(sentence, tone),
      ended: (sentence) => {
        if (!over && root.contains(view.element)) showLobby(sentence, choice.room);
        over = true;
        view.close();
      },
    },
  );
  try {
    await session.join();
  } catch (error) {
    over = true;
    view.close();
    throw error;
  }
  history.replaceState(null, '', inviteLink(location.href, choice.room));
  document.title = `${choice.room} · drtc call`;
  root.replaceChildren(view.element);
  view.focus();
  await session.publishChosen();
  preview.close();
}
