/** The status pages: which page is shown, kept up to date while somebody looks. */

import { Feed, valueOf } from './status/feed.ts';
import type { Network } from './status/model.ts';
import { parseRoute } from './status/route.ts';
import { EpochPage } from './ui/status/epoch-page.ts';
import { EpochsPage } from './ui/status/epochs-page.ts';
import { NodePage } from './ui/status/node-page.ts';
import { NodesPage } from './ui/status/nodes-page.ts';
import { OverviewPage } from './ui/status/overview-page.ts';
import { Page } from './ui/status/page.ts';
import { nothing, tick } from './ui/status/parts.ts';
import { PayoutsPage } from './ui/status/payouts-page.ts';
import { Shell } from './ui/status/shell.ts';
import { TestsPage } from './ui/status/tests-page.ts';

const refreshEvery = 4000;
const feed = new Feed((input, init) => fetch(input, init));
const shell = new Shell();
document.querySelector('#app')!.replaceChildren(...shell.elements);

class LostPage extends Page {
  title = 'There is no such page';
  async load(): Promise<void> {}
  draw(): Node[] {
    return [nothing('Nothing is at this address.', 'The menu above leads to what there is.')];
  }
}

function pageOf(path: string): Page {
  const route = parseRoute(path);
  switch (route.page) {
    case 'overview': return new OverviewPage();
    case 'nodes': return new NodesPage();
    case 'node': return new NodePage(route.id);
    case 'epochs': return new EpochsPage();
    case 'epoch': return new EpochPage(route.number);
    case 'payouts': return new PayoutsPage();
    case 'tests': return new TestsPage();
    case 'lost': return new LostPage();
  }
}

let page: Page;
let shownPath = ''; // of page
let loading = false;

/** Shows the page of the address; a person who came by a link is taken to its title. */
async function open(byLink: boolean): Promise<void> {
  shownPath = location.pathname + location.search;
  const opened = (page = pageOf(location.pathname));
  opened.redraw = () => {
    if (page === opened) shell.show(opened);
  };
  shell.mark(location.pathname);
  await opened.load(feed);
  if (page !== opened) return; // another was opened meanwhile
  shell.replace(opened);
  if (byLink) shell.focusTitle();
  void refreshNetwork();
}

async function refreshNetwork(): Promise<void> {
  const answer = await feed.get<Network>('/network');
  shell.network(valueOf(answer), answer.kind === 'away' ? answer.problem : undefined);
}

async function refresh(): Promise<void> {
  if (loading || document.hidden) return;
  loading = true;
  const shown = page;
  try {
    await Promise.all([shown.load(feed), refreshNetwork()]);
    shown.redraw();
  } finally {
    loading = false;
  }
}

document.addEventListener('click', (event) => {
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  const href = link?.getAttribute('href') ?? '';
  if (!/^\/status(\/|\?|$)/.test(href) || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  history.pushState(null, '', href);
  scrollTo(0, 0);
  void open(true);
});
addEventListener('popstate', () => {
  // The skip link changes the fragment alone, and where the focus is.
  if (shownPath !== location.pathname + location.search) void open(true);
});
document.addEventListener('visibilitychange', () => void refresh());
setInterval(() => void refresh(), refreshEvery);
setInterval(() => tick(document.body), 1000);
void open(false);

