/**
 * `node scripts/screenshots.ts PAGE.html IMAGE.png [WIDTH HEIGHT]`: takes the image of a page that the README shows. Light, at one and a half times the density, cut at
 * HEIGHT (default 900).
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openBrowser } from '../test/support/browser.ts';

const [page, image, width = '1000', height = '900'] = process.argv.slice(2);
if (page === undefined || image === undefined)
  throw new Error('node scripts/screenshots.ts PAGE.html IMAGE.png [WIDTH HEIGHT]');
const browser = await openBrowser();
try {
  const viewport = { width: Number(width), height: Number(height) };
  const tab = await browser.newPage({ viewport, deviceScaleFactor: 1.5, colorScheme: 'light' });
  await tab.goto(pathToFileURL(resolve(page)).href);
  await tab.screenshot({ path: image });
} finally {
  await browser.close();
}
