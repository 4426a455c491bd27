/** The watch page: a stage with a large and a small picture, what is going on, and four buttons. */

import { announce, type WatchState } from '../watch/sentences.ts';
import type { Section } from '../watch/whep.ts';
import { h, isEditing, setText } from './dom.ts';
import { icon, type IconName } from './icons.ts';

export type WatchViewOptions = {
  room: string;
  identity: string;
  /** The address that shows somebody else the same. */
  link: string;
  onAgain: () => void;
  onLeave: () => void;
};

export class WatchView {
  readonly element: HTMLElement;
  private readonly videos: Record<'camera' | 'screen', HTMLVideoElement>;
  private readonly audio = h('audio', { autoplay: true });
  private readonly title = h('h2');
  private readonly detail = h('p');
  private readonly again = h('button', { type: 'button', class: 'primary' }, 'Try again');
  private readonly cover: HTMLElement;
  private readonly stage: HTMLElement;
  private readonly toast = h('p', { class: 'toast', role: 'status' });
  private readonly buttons: Record<'sound' | 'swap' | 'full', HTMLButtonElement>;
  private readonly press = (event: KeyboardEvent): void => this.key(event);
  private showing = { camera: false, screen: false };
  private swapped = false;
  private said = '';

  constructor(private readonly options: WatchViewOptions) {
    this.videos = { camera: this.video('Camera'), screen: this.video('Shared screen') };
    this.again.addEventListener('click', () => options.onAgain());
    this.cover = h('div', { class: 'cover', role: 'status' }, this.title, this.detail);
    this.stage = h('section', { class: 'watch-stage', 'aria-label': 'Picture' }, this.videos.camera, this.videos.screen, this.cover, this.again);
    this.buttons = {
      sound: this.button('Sound', 'm', 'sound', () => this.sound()),
      swap: this.button('Swap', 's', 'swap', () => this.swap()),
      full: this.button('Full', 'f', 'full', () => this.full()),
    };
    this.element = h(
      'main',
      { class: 'watch' },
      h(
        'header',
        { class: 'top' },
        h('h1', {}, options.identity === '' ? options.room : `${options.identity} in ${options.room}`),
        h('p', { class: 'facts' }, options.identity === '' ? 'Whoever speaks' : ''),
        h('button', { type: 'button', class: 'invite', onclick: () => void this.copy() }, icon('link'), h('span', {}, 'Copy link')),
      ),
      this.stage,
      this.audio,
      this.toast,
      h(
        'nav',
        { class: 'controls', 'aria-label': 'Controls' },
        this.buttons.sound,
        this.buttons.swap,
        this.buttons.full,
        h('button', { type: 'button', class: 'leave', 'aria-label': 'Stop watching', title: 'Stop watching', onclick: () => options.onLeave() }, h('span', { class: 'disc' }, icon('leave')), h('span', { class: 'word' }, 'Stop')),
      ),
    );
    document.addEventListener('keydown', this.press);
    this.paint();
  }

  /** Takes the view off the page's keys. */
  close(): void {
    document.removeEventListener('keydown', this.press);
  }

  focus(): void {
    this.buttons.sound.focus({ preventScroll: true });
  }

  track(section: Section, track: MediaStreamTrack): void {
    const element = section === 'audio' ? this.audio : this.videos[section];
    element.srcObject = new MediaStream([track]);
    void this.play();
  }

  update(state: WatchState, showing: { camera: boolean; screen: boolean }): void {
    this.showing = { ...showing };
    const { title, detail, final } = announce(state, this.options.identity);
    if (this.said !== title + detail) {
      this.said = title + detail;
      setText(this.title, title);
      setText(this.detail, detail);
    }
    this.cover.hidden = title === '';
    if (this.again.hidden === final) {
      this.again.hidden = !final;
      if (final) this.again.focus();
    }
    this.paint();
  }

  private video(label: string): HTMLVideoElement {
    const video = h('video', { autoplay: true, playsinline: true, muted: true, 'aria-label': label });
    video.muted = true; // sound has an element of its own
    return video;
  }

  private button(word: string, key: string, name: IconName, act: () => void): HTMLButtonElement {
    return h('button', { type: 'button', 'aria-keyshortcuts': key, onclick: act }, h('span', { class: 'disc' }, icon(name)), h('span', { class: 'word' }, word));
  }

  /** A browser may hold sound back until the person has touched the page. */
  private async play(): Promise<void> {
    try {
      await this.audio.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return; // replaced by a newer stream
      this.audio.muted = true;
      void this.audio.play().catch(() => undefined);
      setText(this.toast, 'Your browser holds the sound back. Press m, or the Sound button.');
    }
    this.paint();
  }

  private sound(): void {
    this.audio.muted = !this.audio.muted;
    setText(this.toast, '');
    void this.audio.play().catch(() => undefined);
    this.paint();
  }

  private swap(): void {
    if (!this.both()) return;
    this.swapped = !this.swapped;
    this.paint();
  }

  private full(): void {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.stage.requestFullscreen?.().catch(() => setText(this.toast, 'This browser does not do full screen here.'));
  }

  private async copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.options.link);
      setText(this.toast, 'Link copied.');
    } catch {
      setText(this.toast, this.options.link);
    }
  }

  private both(): boolean {
    return this.showing.camera && this.showing.screen;
  }

  /** The shared screen is large, the camera small beside it; Swap turns them round. */
  private paint(): void {
    const { camera, screen } = this.showing;
    const large = screen && !(this.swapped && camera) ? 'screen' : 'camera';
    for (const name of ['camera', 'screen'] as const) {
      this.videos[name].hidden = !this.showing[name];
      this.videos[name].classList.toggle('small', this.showing[name] && name !== large);
    }
    label(this.buttons.sound, this.audio.muted ? 'Turn sound on (m)' : 'Turn sound off (m)');
    this.buttons.sound.classList.toggle('off', this.audio.muted);
    label(this.buttons.swap, 'Swap screen and camera (s)');
    this.buttons.swap.hidden = !this.both();
    label(this.buttons.full, 'Full screen (f)');
    this.buttons.full.hidden = !document.fullscreenEnabled;
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isEditing(event.target)) return;
    const act = { m: () => this.sound(), s: () => this.swap(), f: () => this.full() }[event.key.toLowerCase()];
    act?.();
  }
}

function label(button: HTMLButtonElement, text: string): void {
  button.setAttribute('aria-label', text);
  button.title = text;
}
