/** The arrangement of equal tiles that shows people largest. */

export type Grid = { columns: number; rows: number; width: number; height: number };

const widest = 16 / 9;

/** Sizes are CSS pixels. Tiles are at most 16:9 wide, and at least 4:3 (3:4 in an upright area). */
export function arrange(count: number, width: number, height: number, gap: number): Grid {
  const narrowest = height > width ? 3 / 4 : 4 / 3;
  let best: Grid = { columns: 1, rows: Math.max(1, count), width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns++) {
    const rows = Math.ceil(count / columns) || 1;
    const tile = fit((width - gap * (columns - 1)) / columns, (height - gap * (rows - 1)) / rows, narrowest);
    if (tile.width * tile.height > best.width * best.height) best = { columns, rows, ...tile };
  }
  return best;
}

function fit(width: number, height: number, narrowest: number): { width: number; height: number } {
  const w = Math.max(0, width);
  const h = Math.max(0, height);
  const aspect = h === 0 ? widest : Math.min(widest, Math.max(narrowest, w / h));
  return w / aspect <= h
    ? { width: Math.floor(w), height: Math.floor(w / aspect) }
    : { width: Math.floor(h * aspect), height: Math.floor(h) };
}
