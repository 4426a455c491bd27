import { defineConfig } from 'vite';

// Three pages, no lazy parts; names carry the hash of their bytes.
// The output is committed (dist/) and embedded by web.go, so it must not depend on when or where it was built.
export default defineConfig({
  root: 'app',
  base: '/',
  build: {
    outDir: process.env.DRTC_WEB_OUT ?? '../dist',
    emptyOutDir: true,
    target: 'es2022',
    sourcemap: false,
    rollupOptions: { input: ['app/index.html', 'app/watch.html', 'app/status.html'] },
    license: { fileName: 'licenses.md' },
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1024,
  },
  test: {
    include: ['src/**/*.test.ts'],
    environment: 'node',
  },
});
