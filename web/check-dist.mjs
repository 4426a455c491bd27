// Builds the page into a temporary folder and compares it with the committed dist/, byte by byte.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), 'drtc-dist-'));

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

try {
  execFileSync(process.execPath, [join(here, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn'], {
    cwd: here,
    env: { ...process.env, DRTC_WEB_OUT: fresh, NODE_ENV: 'production' },
    stdio: 'inherit',
  });
  const built = filesUnder(fresh);
  const committed = filesUnder(join(here, 'dist'));
  const differing = [...new Set([...built, ...committed])].filter(
    (name) =>
      !built.includes(name) ||
      !committed.includes(name) ||
      !readFileSync(join(fresh, name)).equals(readFileSync(join(here, 'dist', name))),
  );
  if (differing.length > 0) {
    console.error(`web/dist is not what the sources build: ${differing.join(', ')}\nrun "npm run build" in web/ and commit dist/`);
    process.exitCode = 1;
  } else {
    console.log(`web/dist equals a fresh build (${built.length} files)`);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
