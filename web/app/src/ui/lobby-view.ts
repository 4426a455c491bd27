/** Before the call: who you are, which room, and how you look and sound. */

import { graticule } from '../call/globe.ts';
import { h, setText, svg } from './dom.ts';
import { icon } from './icons.ts';
import type { Preview } from './preview.ts';

export type Choice = { name: string; room: string };

export type LobbyOptions = {
  name: string;
  room: string;
  /** Name and room come from a token and cannot be changed here. */
  fixed: boolean;
  /** Why the last call ended, or empty. */
  farewell: string;
  onJoin: (choice: Choice) => void;
};

export class LobbyView {
  readonly element: HTMLElement;
  private readonly name: HTMLInputElement;
  private readonly room: HTMLInputElement;
  private readonly submit = h('button', { type: 'submit', class: 'primary' }, 'Join');
  private readonly error = h('p', { class: 'problem', role: 'alert' });
  private readonly video = h('video', { autoplay: true, playsinline: true, muted: true, 'aria-label': 'Your camera' });
  private readonly shade = h('p', { class: 'shade' });
  private readonly meter = h('span', { class: 'level' });
  private readonly trouble = h('p', { class: 'hint', role: 'status' });
  private readonly toggles: Record<'camera' | 'microphone', HTMLButtonElement>;
  private readonly selects: Record<'camera' | 'microphone', HTMLSelectElement>;
  private busy = false;

  constructor(
    private readonly preview: Preview,
    options: LobbyOptions,
  ) {
    const field = { required: true, maxlength: 64, autocomplete: 'off', readonly: options.fixed };
    this.name = h('input', { ...field, id: 'name', name: 'name', autocomplete: 'nickname', value: options.name });
    this.room = h('input', { ...field, id: 'room', name: 'room', spellcheck: 'false', value: options.room });
    this.toggles = { microphone: this.toggle('microphone'), camera: this.toggle('camera') };
    this.selects = { camera: this.select('camera'), microphone: this.select('microphone') };
    this.video.muted = true;
    this.element = h(
      'main',
      { class: 'lobby' },
      backdrop(),
      h('header', { class: 'brand' }, icon('node'), h('span', {}, 'drtc')),
      h(
        'section',
        { class: 'mirror', 'aria-label': 'Camera and microphone' },
        h('div', { class: 'stage' }, this.video, this.shade, h('div', { class: 'pills' }, this.toggles.microphone, this.toggles.camera)),
        h(
          'div',
          { class: 'devices' },
          h('label', {}, h('span', {}, 'Microphone'), this.selects.microphone),
          h('label', {}, h('span', {}, 'Camera'), this.selects.camera),
        ),
        this.trouble,
      ),
      h(
        'form',
        { class: 'entry', onsubmit: (event) => this.join(event, options.onJoin) },
        options.farewell !== '' && h('p', { class: 'farewell', role: 'status' }, options.farewell),
        h('h1', {}, 'Join a call'),
        h('p', { class: 'lead' }, 'An independent Media Node will carry it. In the call you see which one, where it stands, why it was chosen, and how well it does.'),
        h('label', { for: 'name' }, 'Your name'),
        this.name,
        h('label', { for: 'room' }, 'Room'),
        this.room,
        this.error,
        this.submit,
        h('p', { class: 'hint' }, 'Everybody who enters the same room name meets there. ', h('a', { href: '/watch' }, 'Watch only'), ' · ', h('a', { href: '/licenses.md' }, 'Licences')),
      ),
    );
    preview.onChange = () => this.refresh();
    this.refresh();
    this.animate();
  }

  focus(): void {
    (this.name.value === '' ? this.name : this.submit).focus({ preventScroll: true });
  }

  fail(sentence: string): void {
    this.error.replaceChildren(icon('warning'), h('span', {}, sentence));
    this.submit.scrollIntoView({ block: 'nearest' });
  }

  setBusy(busy: boolean): void {
    this.busy = busy;
    this.error.replaceChildren();
    this.submit.setAttribute('aria-disabled', String(busy));
    setText(this.submit, busy ? 'Joining…' : 'Join');
  }

  private join(event: Event, onJoin: (choice: Choice) => void): void {
    event.preventDefault();
    if (this.busy) return;
    onJoin({ name: this.name.value.trim(), room: this.room.value.trim() });
  }

  private toggle(kind: 'camera' | 'microphone'): HTMLButtonElement {
    return h('button', { type: 'button', class: 'pill', onclick: () => void this.preview.toggle(kind) });
  }

  private select(kind: 'camera' | 'microphone'): HTMLSelectElement {
    const choose = (event: Event): void => void this.preview.choose(kind, (event.target as HTMLSelectElement).value);
    return h('select', { onchange: choose });
  }

  private refresh(): void {
    const { preview } = this;
    const picture = preview.picture;
    if (this.video.srcObject !== picture) this.video.srcObject = picture;
    this.video.hidden = picture === null;
    setText(this.shade, picture ? '' : preview.problem.camera || (preview.cameraOn ? 'Starting the camera…' : 'Camera off'));
    setText(this.trouble, preview.problem.microphone);
    paintToggle(this.toggles.microphone, preview.microphoneOn, 'microphone', this.meter);
    paintToggle(this.toggles.camera, preview.cameraOn, 'camera');
    this.fill('camera', preview.cameraId);
    this.fill('microphone', preview.microphoneId);
  }

  private fill(kind: 'camera' | 'microphone', chosen: string): void {
    const devices = this.preview.devices[kind];
    const select = this.selects[kind];
    const options = devices.map((device) => h('option', { value: device.id, selected: device.id === chosen }, device.label));
    select.replaceChildren(...(options.length > 0 ? options : [h('option', {}, 'None found')]));
    select.disabled = options.length === 0;
  }

  /** The level beside the microphone, as long as the lobby is shown. */
  private animate(): void {
    const draw = (): void => {
      this.meter.style.setProperty('--level', this.preview.level.toFixed(2));
      if (this.element.isConnected || !this.shown) requestAnimationFrame(draw);
      this.shown ||= this.element.isConnected;
    };
    requestAnimationFrame(draw);
  }
  private shown = false;
}

function backdrop(): SVGElement {
  return svg(`<svg viewBox="-101 -101 202 202"><circle class="sea" r="100"/><path d="${graticule(34, 0, 100, 10)}"/></svg>`, 'backdrop');
}

function paintToggle(button: HTMLButtonElement, on: boolean, kind: 'camera' | 'microphone', extra?: HTMLElement): void {
  const label = `Turn ${kind} ${on ? 'off' : 'on'}`;
  button.setAttribute('aria-label', label);
  button.title = label;
  button.classList.toggle('off', !on);
  button.replaceChildren(icon(on ? kind : `${kind}Off`), ...(on && extra ? [extra] : []));
}
