import { expect, test } from 'vitest';
import { type KeyPress, shortcutFor } from './shortcuts.ts';

const press = (key: string, more: Partial<KeyPress> = {}): KeyPress => ({ key, ctrl: false, alt: false, meta: false, repeat: false, editing: false, ...more });

test.each([
  ['m', 'microphone'],
  ['V', 'camera'],
  ['c', 'chat'],
  ['n', 'node'],
  ['s', 'screen'],
  ['Escape', 'close'],
  ['x', undefined],
])('%s means %s', (key, want) => {
  expect(shortcutFor(press(key))).toBe(want);
});

test.each<Partial<KeyPress>>([{ editing: true }, { ctrl: true }, { alt: true }, { meta: true }, { repeat: true }])('m means nothing with %j', (more) => {
  expect(shortcutFor(press('m', more))).toBeUndefined();
});

test('Escape closes also from a text field', () => {
  expect(shortcutFor(press('Escape', { editing: true }))).toBe('close');
});
