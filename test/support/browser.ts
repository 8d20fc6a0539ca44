import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Where distributions lay a Chromium; CHROMIUM names another one. */
const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** The Chromium of this machine; tests that need one are skipped where there is none. */
export function chromiumPath(): string | undefined {
  const named = process.env.CHROMIUM;
  return [...(named === undefined ? [] : [named]), ...PLACES].find((place) => existsSync(place));
}

/** Starts Chromium without a window. Close it when the tests are done. */
export function openBrowser(): Promise<Browser> {
  const executablePath = chromiumPath();
  if (executablePath === undefined) throw new Error("no Chromium: install Debian's chromium, or set CHROMIUM");
  // Containers run tests as root, for whom Chromium has no sandbox; the pages are our own.
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
}
