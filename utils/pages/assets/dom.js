'use strict';
// Every text that comes from a file name reaches the page as an attribute or textContent, never as HTML.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const percent = share => share == null ? '–' : `${(100 * share).toFixed(1)} %`;
const counted = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

const { names, colours, records } = JSON.parse($('#data').textContent);
const className = label => names[label] ?? 'not labelled';
const swatch = label => {
  const square = make('i', { className: 'swatch' });
  square.style.background = colours[label] ?? '#000';
  return square;
};

function remember(key, value) {
  try { localStorage.setItem('page-' + key, value); } catch { /* storage may be off for files */ }
}

function recall(key) {
  try { return localStorage.getItem('page-' + key); } catch { return null; }
}
