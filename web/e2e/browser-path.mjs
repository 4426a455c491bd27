// Where the browser is; a file of its own so that run.mjs can say what is missing before anything else is loaded.
export const chromiumPath = process.env.DRTC_CHROMIUM ?? '/usr/bin/chromium-headless-shell';
