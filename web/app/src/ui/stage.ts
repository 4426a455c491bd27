/** The grid of tiles; a shared screen takes the stage and the people line up beside it. */

import { arrange } from '../call/grid.ts';
import type { Tile } from '../call/session.ts';
import { h } from './dom.ts';
import { TileView } from './tile.ts';

const gap = 10;

export class StageView {
  readonly element = h('ul', { class: 'tiles', 'aria-label': 'People in this call' });
  private readonly views = new Map<string, TileView>();
  private readonly observer = new ResizeObserver(() => this.layout());

  constructor() {
    this.observer.observe(this.element);
  }

  update(tiles: Tile[]): void {
    const present = new Set(tiles.map((tile) => tile.key));
    for (const [key, view] of this.views) {
      if (present.has(key)) continue;
      view.close();
      this.views.delete(key);
    }
    for (const tile of tiles) {
      const view = this.views.get(tile.key);
      if (view) view.update(tile);
      else this.add(tile);
    }
    this.element.classList.toggle('spotlight', tiles.some((tile) => tile.source === 'screen'));
    this.layout();
  }

  close(): void {
    this.observer.disconnect();
    for (const view of this.views.values()) view.close();
    this.views.clear();
  }

  private add(tile: Tile): void {
    const view = new TileView(tile);
    this.views.set(tile.key, view);
    // Screens come first: in the spotlight arrangement the first tile is the large one.
    if (tile.source === 'screen') this.element.prepend(view.element);
    else this.element.append(view.element);
  }

  private layout(): void {
    if (this.element.classList.contains('spotlight')) {
      this.element.style.removeProperty('--tile-width');
      return;
    }
    const { clientWidth, clientHeight } = this.element;
    const grid = arrange(this.views.size, clientWidth, clientHeight, gap);
    this.element.style.setProperty('--tile-width', `${grid.width}px`);
    this.element.style.setProperty('--tile-height', `${grid.height}px`);
  }
}
