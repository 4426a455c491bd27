/** One-letter shortcuts of the call; none while somebody types. */

export type Shortcut = 'microphone' | 'camera' | 'screen' | 'chat' | 'node' | 'close';

export type KeyPress = {
  key: string;
  ctrl: boolean;
  alt: boolean;
  meta: boolean;
  repeat: boolean;
  /** True when the focus is in a text field, a select or other editable place. */
  editing: boolean;
};

const letters: Readonly<Record<string, Shortcut>> = {
  m: 'microphone',
  v: 'camera',
  s: 'screen',
  c: 'chat',
  n: 'node',
};

export function shortcutFor(press: KeyPress): Shortcut | undefined {
  if (press.key === 'Escape') return 'close';
  if (press.editing || press.ctrl || press.alt || press.meta || press.repeat) return undefined;
  return letters[press.key.toLowerCase()];
}
