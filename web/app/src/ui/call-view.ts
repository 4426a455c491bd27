/** The call: tiles, controls, and one panel at a time beside them. */

import { elapsed } from '../call/format.ts';
import { inviteLink } from '../call/link.ts';
import type { NodeReport } from '../call/node-report.ts';
import type { CallState, Message } from '../call/session.ts';
import { type Shortcut, shortcutFor } from '../call/shortcuts.ts';
import { ChatPanel } from './chat-panel.ts';
import { Controls } from './controls.ts';
import { h, isEditing, setText } from './dom.ts';
import { icon } from './icons.ts';
import { NodePanel } from './node-panel.ts';
import { StageView } from './stage.ts';

export type CallActions = {
  setMicrophone(on: boolean): Promise<void>;
  setCamera(on: boolean): Promise<void>;
  setScreen(on: boolean): Promise<void>;
  send(text: string): Promise<void>;
  report(): Promise<NodeReport>;
  unsilence(): Promise<void>;
  leave(): Promise<void>;
};

type PanelName = 'chat' | 'node';

const titles: Record<PanelName, string> = { chat: 'Chat', node: 'Your node' };

const bannerTexts: Partial<Record<CallState['line'], string>> = {
  'signal-reconnecting': 'The line to the Orchestrator broke. Audio and video go on while it is restored…',
  reconnecting: 'The connection broke. Reconnecting…',
};

export class CallView {
  readonly element: HTMLElement;
  private readonly stage = new StageView();
  private readonly controls: Controls;
  private readonly chat: ChatPanel;
  private readonly node: NodePanel;
  private readonly banner = h('p', { class: 'banner', role: 'status' });
  private readonly notices = h('div', { class: 'notices', role: 'log', 'aria-label': 'What happens in this call' });
  private readonly room = h('h1', {});
  private readonly people = h('span', {});
  private readonly clock = h('time', {});
  private readonly sound = h('button', { type: 'button', class: 'sound', onclick: () => void this.actions.unsilence() }, icon('sound'), 'Turn sound on');
  private readonly panel = h('aside', { class: 'panel', tabindex: -1 });
  private readonly startedAt = Date.now();
  private readonly ticking: number;
  private open: PanelName | undefined;
  private unread = 0;
  private state: CallState | undefined;

  constructor(private readonly actions: CallActions) {
    this.controls = new Controls((shortcut) => this.act(shortcut), () => void actions.leave());
    this.chat = new ChatPanel((text) => actions.send(text));
    this.node = new NodePanel(() => actions.report());
    this.panel.hidden = true;
    this.sound.hidden = true;
    this.banner.hidden = true;
    this.element = h(
      'main',
      { class: 'call' },
      h(
        'header',
        { class: 'top' },
        this.room,
        h('p', { class: 'facts' }, this.people, this.clock),
        h('button', { type: 'button', class: 'invite', onclick: () => void this.invite() }, icon('link'), h('span', {}, 'Copy invitation')),
      ),
      this.banner,
      h('div', { class: 'middle' }, h('div', { class: 'stage-area' }, this.stage.element, this.sound, this.notices), this.panel),
      this.controls.element,
    );
    this.ticking = window.setInterval(() => this.tick(), 1000);
    this.tick();
    document.addEventListener('keydown', this.onKey);
  }

  focus(): void {
    this.controls.focus();
  }

  update(state: CallState): void {
    this.state = state;
    setText(this.room, state.room);
    const people = state.tiles.filter((tile) => tile.source === 'camera').length;
    setText(this.people, people === 1 ? 'Only you so far' : `${people} people`);
    const banner = bannerTexts[state.line] ?? '';
    this.banner.hidden = banner === '';
    setText(this.banner, banner);
    this.sound.hidden = !state.silenced;
    this.stage.update(state.tiles);
    this.controls.update(state, this.open, this.unread);
    this.chat.setAllowed(state.maySend);
  }

  receive(message: Message): void {
    this.chat.receive(message);
    if (this.open === 'chat' || message.own) return;
    this.unread++;
    this.notice(`${message.from}: ${message.text.slice(0, 120)}`, 'info');
    this.refreshControls();
  }

  notice(sentence: string, tone: 'info' | 'error'): void {
    const note = h('p', { class: tone }, sentence);
    this.notices.append(note);
    while (this.notices.childElementCount > 4) this.notices.firstElementChild?.remove();
    setTimeout(() => note.remove(), tone === 'error' ? 12_000 : 4_000);
  }

  close(): void {
    clearInterval(this.ticking);
    document.removeEventListener('keydown', this.onKey);
    this.node.close();
    this.stage.close();
  }

  private readonly onKey = (event: KeyboardEvent): void => {
    const shortcut = shortcutFor({
      key: event.key,
      ctrl: event.ctrlKey,
      alt: event.altKey,
      meta: event.metaKey,
      repeat: event.repeat,
      editing: isEditing(event.target),
    });
    if (!shortcut) return;
    if (shortcut !== 'close') event.preventDefault();
    this.act(shortcut);
  };

  private act(shortcut: Shortcut): void {
    const { state } = this;
    switch (shortcut) {
      case 'chat':
      case 'node':
        return this.show(this.open === shortcut ? undefined : shortcut);
      case 'close':
        return this.show(undefined);
    }
    if (!state?.mayPublish) return this.notice('Your token does not permit you to publish.', 'error');
    switch (shortcut) {
      case 'microphone':
        return void this.actions.setMicrophone(!state.microphone);
      case 'camera':
        return void this.actions.setCamera(!state.camera);
      case 'screen':
        return void this.actions.setScreen(!state.screen);
    }
  }

  private show(name: PanelName | undefined): void {
    const before = this.open;
    if (before === name) return;
    if (before === 'node') this.node.close();
    this.open = name;
    this.panel.hidden = name === undefined;
    this.element.classList.toggle('with-panel', name !== undefined);
    if (name) {
      this.panel.setAttribute('aria-label', titles[name]);
      const closer = h('button', { type: 'button', class: 'round quiet', 'aria-label': `Close ${titles[name]}`, title: 'Close (Esc)', onclick: () => this.show(undefined) }, icon('close'));
      this.panel.replaceChildren(h('header', {}, h('h2', {}, titles[name]), closer), name === 'chat' ? this.chat.element : this.node.element);
    }
    if (name === 'chat') {
      this.unread = 0;
      this.chat.focus();
    } else if (name === 'node') {
      this.node.open();
      this.panel.focus();
    } else if (before) {
      this.controls.focus(before);
    }
    this.refreshControls();
  }

  private refreshControls(): void {
    if (this.state) this.controls.update(this.state, this.open, this.unread);
  }

  private async invite(): Promise<void> {
    const link = inviteLink(location.href, this.state?.room ?? '');
    try {
      await navigator.clipboard.writeText(link);
      this.notice('The invitation is in your clipboard.', 'info');
    } catch {
      this.notice(`Invite with this address: ${link}`, 'info');
    }
  }

  private tick(): void {
    setText(this.clock, elapsed(Date.now() - this.startedAt));
  }
}
