// The storage of a contract as the compiler tells it, and what an upgrade must not do to it.

// The compiler numbers types by their place in the source tree, which says nothing about storage.
function plain(type) {
  return type.replace(/\)\d+/g, ')');
}

// Where each variable lies, and each member of a struct in its own.
export function layout({ storageLayout }) {
  const entry = ({ label, slot, offset, type }) => ({ label, slot, offset, type: plain(type) });
  const types = {};
  for (const [name, type] of Object.entries(storageLayout.types ?? {})) {
    if (type.members) types[plain(name)] = type.members.map(entry);
  }
  return { storage: storageLayout.storage.map(entry), types };
}

// The namespace of ERC-7201 that a source declares for its struct Store; undefined if it has none.
export function namespace(source) {
  const declared = source.match(/@custom:storage-location (.*)/);
  if (!declared) return undefined;
  const [, space] = source.match(/@custom:storage-location erc7201:(\S+)\s+struct Store \{/) ?? [];
  if (!space) throw new Error(`want a struct Store in a namespace erc7201:, got ${declared[1]}`);
  return space;
}

// What an upgrade from one layout to another would read wrong: what stood somewhere must stand there still. More may
// follow, but not in a struct of an array, where the next element begins.
export function moved(before, now) {
  const wrong = [];
  if (before.namespace !== now.namespace) wrong.push(`namespace ${before.namespace}`);
  const compare = (where, old, fresh) => {
    for (const [i, a] of old.entries()) {
      const b = fresh[i];
      if (!b || ['slot', 'offset', 'type'].some((key) => a[key] !== b[key])) wrong.push(`${a.label} of ${where}`);
    }
  };
  compare('storage', before.storage, now.storage);
  const everything = [...before.storage, ...Object.values(before.types).flat()];
  for (const [name, members] of Object.entries(before.types)) {
    const fresh = now.types[name];
    // A struct that is gone shows in the type of whatever held it.
    if (!fresh) continue;
    compare(name, members, fresh);
    const isElement = everything.some(({ type }) => type.includes(`t_array(${name})`));
    if (isElement && fresh.length > members.length) wrong.push(`elements after the first of ${name}`);
  }
  return wrong;
}
