/** The bar of buttons at the foot of the call. */

import type { CallState } from '../call/session.ts';
import type { Shortcut } from '../call/shortcuts.ts';
import { h, setText } from './dom.ts';
import { icon, type IconName } from './icons.ts';

type Control = { button: HTMLButtonElement; face: HTMLElement; shown: IconName | undefined };

export class Controls {
  readonly element: HTMLElement;
  private readonly microphone: Control;
  private readonly camera: Control;
  private readonly screen: Control;
  private readonly chat: Control;
  private readonly node: Control;
  private readonly badge = h('b', { class: 'badge' });

  constructor(act: (shortcut: Shortcut) => void, leave: () => void) {
    const control = (word: string, key: string, shortcut: Shortcut): Control => {
      const face = h('span', { class: 'disc' });
      const button = h('button', { type: 'button', 'aria-keyshortcuts': key, onclick: () => act(shortcut) }, face, h('span', { class: 'word' }, word));
      return { button, face, shown: undefined };
    };
    this.microphone = control('Mic', 'm', 'microphone');
    this.camera = control('Camera', 'v', 'camera');
    this.screen = control('Share', 's', 'screen');
    this.chat = control('Chat', 'c', 'chat');
    this.node = control('Node', 'n', 'node');
    this.badge.hidden = true;
    this.chat.button.append(this.badge);
    if (!navigator.mediaDevices?.getDisplayMedia) this.screen.button.hidden = true;
    this.element = h(
      'nav',
      { class: 'controls', 'aria-label': 'Call controls' },
      this.microphone.button,
      this.camera.button,
      this.screen.button,
      this.chat.button,
      this.node.button,
      h('button', { type: 'button', class: 'leave', 'aria-label': 'Leave the call', title: 'Leave the call', onclick: leave }, h('span', { class: 'disc' }, icon('leave')), h('span', { class: 'word' }, 'Leave')),
    );
  }

  focus(panel?: 'chat' | 'node'): void {
    (panel ? this[panel] : this.microphone).button.focus();
  }

  update(state: CallState, open: 'chat' | 'node' | undefined, unread: number): void {
    paint(this.microphone, state.microphone ? 'microphone' : 'microphoneOff', state.microphone ? 'Mute (m)' : 'Unmute (m)');
    paint(this.camera, state.camera ? 'camera' : 'cameraOff', state.camera ? 'Turn camera off (v)' : 'Turn camera on (v)');
    paint(this.screen, 'screen', state.screen ? 'Stop sharing your screen (s)' : 'Share your screen (s)');
    paint(this.chat, 'chat', unread > 0 ? `Chat (c), ${unread} unread` : 'Chat (c)');
    paint(this.node, 'node', 'Your node (n)');
    this.microphone.button.classList.toggle('off', !state.microphone);
    this.camera.button.classList.toggle('off', !state.camera);
    this.screen.button.classList.toggle('on', state.screen);
    for (const control of [this.microphone, this.camera, this.screen]) {
      control.button.classList.toggle('barred', !state.mayPublish);
    }
    for (const name of ['chat', 'node'] as const) {
      this[name].button.classList.toggle('on', open === name);
      this[name].button.setAttribute('aria-expanded', String(open === name));
    }
    this.badge.hidden = unread === 0;
    setText(this.badge, unread > 9 ? '9+' : String(unread));
  }
}

function paint(control: Control, shown: IconName, label: string): void {
  if (control.shown !== shown) control.face.replaceChildren(icon(shown));
  control.shown = shown;
  control.button.setAttribute('aria-label', label);
  control.button.title = label;
}
