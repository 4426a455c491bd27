/** Numbers as people read them. */

export function bytes(count: number): string {
  if (!Number.isFinite(count) || count < 0) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Bits per second from bytes per second. */
export function rate(bytesPerSecond: number): string {
  const kbit = (Math.max(0, bytesPerSecond) * 8) / 1000;
  return kbit >= 999.5 ? `${(kbit / 1000).toFixed(1)} Mbit/s` : `${Math.round(kbit)} kbit/s`;
}

export function milliseconds(ms: number): string {
  return ms < 9.95 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** A fraction (0-1) as percent. */
export function percent(fraction: number): string {
  const value = Math.min(1, Math.max(0, fraction)) * 100;
  return `${value === 0 || value >= 9.95 ? Math.round(value) : value.toFixed(1)} %`;
}

/** 0:07, 12:34, 1:02:03. */
export function elapsed(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** 40.7° N, 74.0° W. */
export function coordinates(lat: number, lon: number): string {
  return `${Math.abs(lat).toFixed(1)}° ${lat < 0 ? 'S' : 'N'}, ${Math.abs(lon).toFixed(1)}° ${lon < 0 ? 'W' : 'E'}`;
}

/** An address too long for a row: 0x12ab…89ef. */
export function shortId(id: string): string {
  return id.length > 15 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id;
}
