/** One person or one shared screen in the grid. */

import { hueOf, initials } from '../call/identity.ts';
import type { Playable, Tile } from '../call/session.ts';
import { h, setText } from './dom.ts';
import { icon } from './icons.ts';

const qualityWords: Record<Tile['quality'], string> = {
  excellent: 'Connection excellent',
  good: 'Connection good',
  poor: 'Connection poor',
  lost: 'Connection lost',
  unknown: '',
};

export class TileView {
  readonly element: HTMLElement;
  private readonly video = h('video', { autoplay: true, playsinline: true, muted: true });
  private readonly audio = h('audio', { autoplay: true });
  private readonly name = h('span', { class: 'name' });
  private readonly mark = h('span', { class: 'mark', role: 'img', 'aria-label': 'Microphone off' }, icon('microphoneOff'));
  private readonly bars = h('span', { class: 'quality', role: 'img' }, h('i'), h('i'), h('i'));
  private readonly face: HTMLElement;
  private playing: { video?: Playable; audio?: Playable } = {};

  constructor(tile: Tile) {
    this.video.muted = true;
    this.face = h('span', { class: 'face', 'aria-hidden': 'true' }, initials(tile.name));
    this.face.style.setProperty('--hue', String(hueOf(tile.identity)));
    this.element = h(
      'li',
      { class: `tile ${tile.source}${tile.local ? ' local' : ''}`, 'data-key': tile.key },
      this.face,
      this.video,
      this.audio,
      h('div', { class: 'caption' }, this.mark, this.name, this.bars),
    );
    this.update(tile);
  }

  update(tile: Tile): void {
    this.play('video', this.video, tile.video);
    this.play('audio', this.audio, tile.audio);
    this.element.classList.toggle('speaking', tile.speaking && !tile.muted);
    this.element.classList.toggle('dark', tile.video === undefined);
    this.mark.hidden = !tile.muted;
    setText(this.name, caption(tile));
    this.bars.dataset['quality'] = tile.quality;
    this.bars.hidden = tile.quality === 'unknown';
    this.bars.setAttribute('aria-label', qualityWords[tile.quality]);
    this.bars.title = qualityWords[tile.quality];
  }

  close(): void {
    this.play('video', this.video, undefined);
    this.play('audio', this.audio, undefined);
    this.element.remove();
  }

  private play(kind: 'video' | 'audio', element: HTMLMediaElement, wanted: Playable | undefined): void {
    const current = this.playing[kind];
    if (current === wanted) return;
    current?.detach(element);
    wanted?.attach(element);
    if (kind === 'video') element.muted = true;
    if (wanted) this.playing[kind] = wanted;
    else delete this.playing[kind];
  }
}

function caption(tile: Tile): string {
  if (tile.source === 'screen') return tile.local ? 'Your screen' : `${tile.name}’s screen`;
  return tile.local ? `${tile.name} (you)` : tile.name;
}
