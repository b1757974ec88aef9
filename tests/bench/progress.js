/** How far the benchmark is, and what it is at: a bar in a terminal, else a line for each step. */

import cliProgress from 'cli-progress';

/** @param {number} steps */
export function openProgress(steps) {
  const bar = new cliProgress.SingleBar(
    {
      format: '  {bar} {value}/{total} · {duration_formatted} of about {total_formatted} · {figure} {label}',
      hideCursor: true,
    },
    cliProgress.Presets.shades_classic,
  );
  const terminal = process.stdout.isTTY;
  const began = Date.now();
  let [figure, done] = ['', 0];
  return {
    /** @param {string} name */
    figure(name) {
      figure = name;
      if (terminal && !bar.isActive) bar.start(steps, 0, { figure, label: '', total_formatted: '?' });
    },
    /** @param {string} label */
    step(label) {
      const passed = (Date.now() - began) / 1_000;
      const whole = done ? `${Math.round((passed / done) * steps)}s` : '?';
      if (terminal) bar.update(done, { figure, label, total_formatted: whole });
      else console.log(`  … ${Math.round(passed)} s, ${done}/${steps}: ${figure}, ${label}`);
      done += 1;
    },
    stop() {
      if (terminal) bar.stop();
    },
  };
}
