/** Where one writes: Enter sends, Shift+Enter begins a new line, and the field grows with the text up to a few lines. */

import { find } from './dom.js';

/** @param {HTMLFormElement} form @param {(text: string) => void} send */
export function createComposer(form, send) {
  /** @type {HTMLTextAreaElement} */
  const field = find('textarea', form);

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = field.value;
    if (!text.trim()) return;
    field.value = '';
    fit();
    send(text);
  });
  field.addEventListener('keydown', (event) => {
    // A composing keyboard uses Enter for itself.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  field.addEventListener('input', fit);

  function fit() {
    field.style.height = '';
    if (field.scrollHeight <= field.clientHeight) return;
    const borders = field.offsetHeight - field.clientHeight;
    field.style.height = `${Math.min(field.scrollHeight + borders, MOST)}px`;
  }

  return {
    /** @param {boolean} can */
    enable(can) {
      for (const control of form.elements) /** @type {HTMLButtonElement} */ (control).disabled = !can;
    },
  };
}

const MOST = 144;
