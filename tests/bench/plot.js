/** How the contenders stand to each other, as a picture. */

import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { express, hono, ours } from './contenders.js';

/** @import { Summaries } from './bench.js' */

/** @param {Record<string, Summaries>} groups by what was measured @returns {string} SVG */
export function plot(groups) {
  const shown = [ours, hono, express].map(({ title }) => title);
  const bars = Object.entries(groups).flatMap(([group, summaries]) => {
    const base = summaries[express.title].perSecond;
    return shown
      .filter((title) => summaries[title])
      .map((title) => {
        const { median, min, max } = summaries[title].perSecond;
        return { group, title, times: median / base.median, least: min / base.median, most: max / base.median };
      });
  });
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const svg = Plot.plot({
    document,
    width: 760,
    height: 60 + Object.keys(groups).length * 84,
    marginLeft: 150,
    marginRight: 190,
    style: { background: 'white', color: '#222', fontFamily: 'system-ui, sans-serif', fontSize: '12px' },
    // Room for the figure beside the longest bar.
    x: {
      label: 'messages a second, Express = 1',
      grid: true,
      domain: [0, 1.2 * Math.max(...bars.map(({ most }) => most))],
    },
    y: { label: null, domain: shown },
    fy: { label: null, domain: Object.keys(groups), padding: 0.2 },
    color: { domain: shown, range: ['#c2410c', '#64748b', '#94a3b8'] },
    marks: [
      Plot.barX(bars, { x: 'times', y: 'title', fy: 'group', fill: 'title' }),
      Plot.ruleY(bars, { x1: 'least', x2: 'most', y: 'title', fy: 'group', stroke: '#222' }),
      Plot.text(bars, {
        x: 'most',
        y: 'title',
        fy: 'group',
        text: ({ times }) => `${times.toFixed(1)} ×`,
        textAnchor: 'start',
        dx: 6,
      }),
      Plot.ruleX([0]),
    ],
  });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return `${svg.outerHTML}\n`;
}
